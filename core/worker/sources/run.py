"""A stretch of a file, over as many answers as it takes."""

from __future__ import annotations

from telecine.core.reasons import Reason
from telecine.core.worker.sources.body import Body, Stamp
from telecine.core.worker.sources.errors import BrokenOffError, SourceError
from telecine.core.worker.sources.link import Link
from telecine.core.worker.sources.surroundings import Surroundings

PROGRESS_BYTES_MIN = 1024 * 1024  # a resumption that brings this much was worth it
REREAD_BYTES_MAX = 8 * 1024 * 1024  # where a host begins at the start in spite of being asked for a range


class Run:
    """The bytes of a link from `position` to `end` (None: wherever the host ends); a lost connection is taken up again.

    `stamp`: the version of the file that the bytes must be of; None for that of the first answer. `body`: an answer
    that is there already. Whenever `take` has failed or was cancelled, it may be called again.
    """

    def __init__(
        self,
        link: Link,
        start: int,
        end: int | None,
        *,
        stamp: Stamp | None,
        around: Surroundings,
        body: Body | None = None,
        resumable: bool = True,
    ) -> None:
        self.position = start
        self.end = end
        self._link = link
        self._stamp = stamp
        self._meter = around.meter
        self._limits = around.limits
        self._clock = around.clock
        self._body = body
        self._resumable = resumable
        self._resumes = 0
        self._resumed_at = start
        self._is_over = False

    async def take(self) -> bytes:
        """The next bytes, empty at the end. Raises SourceError."""
        while not self._is_over and self.position != self.end:
            try:
                data = await self._next()
            except BrokenOffError as error:
                await self._wait_to_resume(self._why(error))
            except SourceError as error:
                self.close()
                if error.reason is not Reason.NETWORK:
                    raise
                await self._wait_to_resume(error)
            except BaseException:
                self.close()
                raise
            else:
                if data:
                    return data
        return b""

    def close(self) -> None:
        """Give up the connection; `take` makes another."""
        if self._body is not None:
            self._body.close()
            self._body = None

    async def _next(self) -> bytes:
        if self._body is None:
            self._body = await self._opened()
        body = self._body
        at = body.position
        data = await self._meter.wait(body.take)
        if not data:
            self.close()
            self._note_end_of(body)
        data = data[max(0, self.position - at) :]  # of a body that began earlier
        if self.end is not None:
            data = data[: self.end - self.position]
        self.position += len(data)
        if self.position == self.end:
            self.close()
        return data

    def _note_end_of(self, body: Body) -> None:
        """An answer has ended before the stretch has."""
        if body.position != body.end and body.end is not None:
            raise BrokenOffError(reset=False)
        if self.end is None:
            self._is_over = True
        elif body.end is None or not body.is_partial or body.position == self._resumed_at:
            raise BrokenOffError(reset=False)
        else:
            self._resumed_at = body.position  # the host sends less at once than was asked for

    async def _opened(self) -> Body:
        length = None if self.end is None else self.end - self.position
        body = await self._link.open(self.position, length, self._stamp)
        try:
            self._check(body)
        except SourceError:
            body.close()
            raise
        if self._stamp is None:
            self._stamp = body.stamp
            self.end = self.end or body.stamp.size_bytes
        return body

    def _check(self, body: Body) -> None:
        if self._stamp is not None and self._stamp.contradicts(body.stamp):
            raise SourceError(Reason.WRONG_CONTENT, "the file changed while it was read")
        if body.is_partial and body.position != self.position:
            raise SourceError(Reason.NETWORK, "the host sends another range than it was asked for")
        if self.position - body.position > REREAD_BYTES_MAX:
            raise SourceError(Reason.NETWORK, "the host does not send ranges any more")

    async def _wait_to_resume(self, error: SourceError) -> None:
        """Leave the host in peace before it is asked again, a bounded number of times without progress."""
        self.close()
        if self.position - self._resumed_at >= PROGRESS_BYTES_MIN:
            self._resumes = 0
        self._resumed_at = self.position
        if not self._resumable or self._resumes >= self._limits.resumes_max:
            raise error
        self._resumes += 1
        await self._clock.sleep(self._limits.wait_s(self._resumes - 1))

    def _why(self, error: BrokenOffError) -> SourceError:
        of_size = f" of {self._stamp.size_bytes}" if self._stamp and self._stamp.size_bytes is not None else ""
        reason = Reason.NETWORK if error.reset else Reason.TRUNCATED
        return SourceError(reason, f"{error} after {self.position} bytes{of_size}")
