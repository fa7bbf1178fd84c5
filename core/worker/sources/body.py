"""One answer of a source's host: what it says about the file, and the bytes that it brings."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

import aiohttp
import msgspec
from aiohttp import hdrs
from yarl import URL

from telecine.core.clock import Clock
from telecine.core.reasons import Reason
from telecine.core.worker.sources.errors import BrokenOffError, SourceError, failure, refusal

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class SourceLimits(msgspec.Struct, frozen=True):
    """How much patience a source gets."""

    connect_timeout_s: float = 15.0
    stall_bytes_per_s: int = 16 * 1024  # a source that is slower than this over a window has stalled
    stall_window_s: float = 20.0
    redirects_max: int = 5
    resumes_max: int = 5  # resumptions in a row that bring next to nothing
    resume_wait_s: float = 0.5  # before the first resumption; doubles each time


class Stamp(msgspec.Struct, frozen=True):
    """What tells one version of a file from another."""

    etag: str | None
    modified: str | None
    size_bytes: int | None

    @property
    def if_range(self) -> str | None:
        """For the If-Range header. A weak ETag does not do there (RFC 9110, 13.1.5)."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return self.modified

    @property
    def strong(self) -> str | None:
        """What changes whenever the bytes do; None where the host gives nothing of the kind."""
        if self.if_range is None or self.size_bytes is None:
            return None
        return f"{self.if_range} {self.size_bytes}"

    def contradicts(self, other: Stamp) -> bool:
        """Whether both say something of one kind and it differs. The date says nothing beside an ETag."""
        if self.size_bytes is not None and other.size_bytes is not None and self.size_bytes != other.size_bytes:
            return True
        if self.etag and other.etag:
            return self.etag != other.etag
        return bool(self.modified and other.modified and self.modified != other.modified)


class RateFloor:
    """Tells a source that has stalled from one that is merely slow.

    Counts only time spent waiting for the source, so that a consumer may take as long as it likes.
    """

    def __init__(self, limits: SourceLimits, clock: Clock) -> None:
        self._floor_bytes = limits.stall_bytes_per_s * limits.stall_window_s
        self._window_s = limits.stall_window_s
        self._clock = clock
        self._waited_s = 0.0
        self._bytes = 0

    async def read(self, take: Callable[[], Awaitable[bytes]]) -> bytes:
        """`await take()`, which may be given up and called anew. Raises SourceError STALLED."""
        while True:
            data, began_s = None, self._clock.monotonic_s()
            try:
                async with asyncio.timeout(max(0.0, self._window_s - self._waited_s)):
                    data = await take()
            except TimeoutError:
                self._waited_s = self._window_s
            else:
                self._waited_s += self._clock.monotonic_s() - began_s
                self._bytes += len(data)
            if self._waited_s >= self._window_s:
                self._judge()
            if data is not None:
                return data

    def _judge(self) -> None:
        if self._bytes < self._floor_bytes:
            raise SourceError(Reason.STALLED, f"sent {self._bytes} bytes in {self._window_s:g} s")
        self._waited_s, self._bytes = 0.0, 0


class Body:
    """The bytes of a file from `position` on, as one answer brings them."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.is_partial = response.status == 206
        self.content_type = response.content_type
        self.position, self._end, total = _extent(response)
        self.stamp = Stamp(response.headers.get(hdrs.ETAG), response.headers.get(hdrs.LAST_MODIFIED), total)

    @property
    def reaches_end(self) -> bool:
        """Whether the answer goes on to the end of the file."""
        return self._end is None or self._end == self.stamp.size_bytes

    async def take(self, floor: RateFloor) -> bytes:
        """The next bytes, empty at the end. Raises BrokenOffError, SourceError STALLED."""
        try:
            data = await floor.read(self._response.content.readany)
        except aiohttp.ClientPayloadError as error:
            raise BrokenOffError(reset=isinstance(error.__cause__, ConnectionResetError)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise BrokenOffError(reset=True) from error
        self.position += len(data)
        return data

    def close(self) -> None:
        """Give the rest up. The connection lives on if nothing is left of the answer."""
        self._response.close()


def _extent(response: aiohttp.ClientResponse) -> tuple[int, int | None, int | None]:
    """Start and end of an answer in the file, and the size of the file."""
    if response.status != 206:
        return 0, response.content_length, response.content_length
    match = _CONTENT_RANGE.fullmatch(response.headers.get(hdrs.CONTENT_RANGE, ""))
    if match is None:
        raise SourceError(Reason.NETWORK, "the host answers 206 without saying which range")
    return int(match[1]), int(match[2]) + 1, None if match[3] == "*" else int(match[3])


class Link:
    """One URL to ask for bodies. Redirects are walked by us, so that each hop is checked."""

    def __init__(self, session: aiohttp.ClientSession, url: str, limits: SourceLimits, clock: Clock) -> None:
        self._session = session
        self._limits = limits
        self._clock = clock
        self._first = _checked(_parsed(url))
        self._last = self._first

    async def open(self, start: int, length: int | None, stamp: Stamp | None = None) -> Body:
        """The file from `start` on, `length` bytes of it or all; a host without ranges sends the whole.

        `stamp` makes a host send the whole as well where the file is not the same any more. Raises SourceError.
        """
        headers: dict[str, str] = {}
        if start or length is not None:
            headers[hdrs.RANGE] = f"bytes={start}-" if length is None else f"bytes={start}-{start + length - 1}"
            if stamp and stamp.if_range:
                headers[hdrs.IF_RANGE] = stamp.if_range
        try:
            return await self._follow(self._last, headers)
        except SourceError:
            if self._last == self._first:
                raise
        return await self._follow(self._first, headers)  # what a redirect led to may have expired meanwhile

    async def _follow(self, url: URL, headers: dict[str, str]) -> Body:
        for _ in range(self._limits.redirects_max + 1):
            response = await self._ask(url, headers)
            location = response.headers.get(hdrs.LOCATION)
            if response.status in REDIRECTS and location:
                response.close()
                url = _checked(url.join(_parsed(location)))
                continue
            self._last = url
            return _body(response, self._clock.now_ms())
        raise SourceError(Reason.GONE, f"redirects more than {self._limits.redirects_max} times")

    async def _ask(self, url: URL, headers: dict[str, str]) -> aiohttp.ClientResponse:
        patience_s = self._limits.connect_timeout_s + self._limits.stall_window_s
        deadline = asyncio.timeout(patience_s)
        try:
            async with deadline:
                return await self._session.get(url, headers=headers, allow_redirects=False)
        except (aiohttp.ClientError, OSError) as error:  # a TimeoutError is an OSError
            if isinstance(error, TimeoutError) and deadline.expired():
                raise SourceError(Reason.STALLED, f"no answer within {patience_s:g} s") from error
            raise failure(error) from error


def _body(response: aiohttp.ClientResponse, now_ms: int) -> Body:
    """Raises SourceError for an answer that brings nothing of the file."""
    error = refusal(response.status, response.headers.get(hdrs.RETRY_AFTER), now_ms)
    if error:
        response.close()
        raise error
    try:
        return Body(response)
    except SourceError:
        response.close()
        raise


def _parsed(url: str) -> URL:
    try:
        return URL(url)
    except ValueError as error:
        raise SourceError(Reason.GONE, "is not a URL") from error


def _checked(url: URL) -> URL:
    """A URL that may be asked for, as far as the URL itself tells."""
    if url.scheme not in ("http", "https"):
        raise SourceError(Reason.FORBIDDEN, f"{url.scheme or 'no'} scheme: only http and https are asked")
    if not url.host:
        raise SourceError(Reason.GONE, "names no host")
    return url
