"""One client."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import Protocol, cast

from telecine.core.coordinator.http.answers import Answer, Stream, render, render_head
from telecine.core.coordinator.http.limits import Limits
from telecine.core.coordinator.http.parser import Request, RequestParser, RequestRefusedError, Stage

logger = logging.getLogger(__name__)

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
NEVER_S = float("inf")


class Service(Protocol):
    """What answers requests. Neither call raises anything but CancelledError."""

    async def handle(self, request: Request) -> Answer | Stream:
        """The answer to a request. Cancelled when the client is gone."""
        ...

    def refuse(self, refusal: RequestRefusedError) -> Answer:
        """The answer to what is no request."""
        ...


class Home(Protocol):
    """Where a connection is kept while it lasts."""

    limits: Limits
    service: Service

    def date(self) -> bytes:
        """The header `Date` of now."""
        ...

    def entered(self, connection: Connection) -> bool:
        """Whether there is room for it."""
        ...

    def left(self, connection: Connection) -> None: ...


class Connection(asyncio.Protocol):
    """Reads requests, has them answered one after the other, and lets go of a client that is too slow.

    Requests are read while one is being answered, so that a client that leaves is noticed at once.
    """

    _transport: asyncio.Transport

    def __init__(self, home: Home) -> None:
        self._home = home
        self._limits = home.limits
        self._loop = asyncio.get_running_loop()
        self._parser = RequestParser(home.limits)
        self._refusal: RequestRefusedError | None = None
        self._answering: asyncio.Task[None] | None = None
        self._drained: asyncio.Future[None] | None = None  # is there while the client takes nothing
        self._closing = False  # no further request is answered
        self._lingering = False
        self._due_s = NEVER_S
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = NEVER_S

    # ---- what asyncio calls ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its base class
        self._wait_at_most(self._limits.head_wait_s)
        if not self._home.entered(self):
            self._refuse(RequestRefusedError(503, "too many clients are connected"))

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        before = self._parser.stage
        try:
            self._parser.feed(data)
        except RequestRefusedError as refusal:
            self._refuse(refusal)
        if self._parser.awaits_continue:
            self._parser.awaits_continue = False
            self._transport.write(CONTINUE)
        if self._parser.requests:
            if self._answering is not None:
                self._transport.pause_reading()  # whoever sends ahead waits, lest the requests pile up here
            else:
                self._due_s = NEVER_S
                self._answering = self._loop.create_task(self._answer_all())
        if self._parser.stage is not before and not self._closing:
            self._heed_stage()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        if self._answering is not None:
            self._answering.cancel()
        self.resume_writing()
        self._home.left(self)

    def pause_writing(self) -> None:
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    # ---- what the server calls -------------------------------------------------------------------

    @property
    def answering(self) -> asyncio.Task[None] | None:
        """What is being answered, to be waited for."""
        return self._answering

    def finish(self) -> None:
        """Answer what is being answered, and go."""
        self._closing = True
        if self._answering is None:
            self._transport.close()

    def abort(self) -> None:
        """Go at once."""
        self._closing = True
        self._transport.abort()

    # ---- answering -------------------------------------------------------------------------------

    async def _answer_all(self) -> None:
        requests = self._parser.requests
        try:
            while requests:
                request = requests.popleft()
                if not requests:
                    self._transport.resume_reading()
                answer = await self._home.service.handle(request)
                keep_alive = request.keep_alive and not (self._closing and self._refusal is None)
                if isinstance(answer, Stream):
                    keep_alive &= await self._send_stream(answer, request)
                else:
                    await self._send(answer, request, keep_alive=keep_alive)
                if not keep_alive:
                    self._transport.close()
                    return
        finally:
            self._answering = None
        if self._refusal is not None:
            self._linger(self._refusal)
        elif self._closing:
            self._transport.close()
        else:
            self._heed_stage()

    async def _send(self, answer: Answer, request: Request, *, keep_alive: bool) -> None:
        if keep_alive and request.version == "1.0":
            answer.headers["Connection"] = "keep-alive"
        bodiless = request.method == "HEAD"
        self._transport.write(render(answer, self._home.date(), keep_alive=keep_alive, bodiless=bodiless))
        if self._drained is not None:
            await self._drain()

    async def _send_stream(self, stream: Stream, request: Request) -> bool:
        """Whether the stream came to its end, and the client can tell."""
        chunked = request.version != "1.0"
        async with aclosing(stream.pieces) as pieces:
            self._transport.write(render_head(stream, self._home.date(), chunked=chunked))
            if request.method == "HEAD":
                return False
            try:
                self._write_piece(stream.first, chunked=chunked)
                async for piece in pieces:
                    self._write_piece(piece, chunked=chunked)
                    await self._drain()
            except Exception:  # the edge: the status has gone out, so that the end must be seen to be none
                logger.exception("a stream broke off")
                self._transport.abort()
                return False
        if chunked:
            self._transport.write(b"0\r\n\r\n")
        return chunked

    def _write_piece(self, piece: bytes, *, chunked: bool) -> None:
        self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)

    async def _drain(self) -> None:
        """Wait until the client has taken most of what it was sent; give it up after a while."""
        if self._drained is None:
            return
        try:
            async with asyncio.timeout(self._limits.write_wait_s):
                await asyncio.shield(self._drained)
        except TimeoutError:
            self._transport.abort()

    # ---- refusing and timing ---------------------------------------------------------------------

    def _refuse(self, refusal: RequestRefusedError) -> None:
        """Answer what is no request, behind the answers to those that came before it."""
        self._closing = True
        self._refusal = refusal
        if self._answering is None and not self._parser.requests:
            self._linger(refusal)

    def _linger(self, refusal: RequestRefusedError) -> None:
        """Refuse and go. Closing at once would have the kernel reset the connection while the client still sends, and
        throw away the answer with it."""
        self._lingering = True
        if self._transport.is_closing():
            return
        self._transport.write(render(self._home.service.refuse(refusal), self._home.date(), keep_alive=False))
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._wait_at_most(self._limits.linger_s)

    def _heed_stage(self) -> None:
        if self._parser.stage is Stage.HEAD:
            self._wait_at_most(self._limits.head_wait_s)
        elif self._parser.stage is Stage.BODY:
            self._wait_at_most(self._limits.body_wait_s)
        elif self._answering is None:
            self._wait_at_most(self._limits.idle_wait_s)

    def _wait_at_most(self, seconds: float) -> None:
        """Expect something within `seconds`. The timer is moved only to an earlier time: it looks again when it is
        early, which is far less work than a timer for each request."""
        self._due_s = self._loop.time() + seconds
        if self._due_s < self._timer_s:
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_s = self._due_s
        self._timer = self._loop.call_at(self._due_s, self._look)

    def _look(self) -> None:
        self._timer, self._timer_s = None, NEVER_S
        if self._due_s > self._loop.time():
            if self._due_s < NEVER_S:
                self._set_timer()
        elif self._lingering:
            self._transport.abort()
        elif self._parser.stage is Stage.IDLE:
            self.finish()
        else:
            self._refuse(RequestRefusedError(408, "the request did not arrive in time"))
