"""One client."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import aclosing
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Protocol, cast

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError, InvalidURLError, LineTooLong

from telecine.core.coordinator.http.answers import Answer, Stream
from telecine.core.coordinator.http.limits import Limits
from telecine.core.coordinator.http.requests import Request, RequestRefusedError, head_fault

logger = logging.getLogger(__name__)

SERVER = "telecine"


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
    is_closing: bool
    """Whether the answers that go out now are the last ones."""

    def entered(self, connection: Connection) -> bool:
        """Whether there is room for it."""
        ...

    def left(self, connection: Connection) -> None: ...


class Connection(web.RequestHandler):
    """aiohttp's connection, with what it leaves out: time for a head and for taking what is sent, and problem documents
    for what it refuses by itself. Requests are answered one after the other."""

    def __init__(self, home: Home, server: web.Server) -> None:
        self._home = home
        self._limits = home.limits
        self._heard = False  # any byte at all
        self._host = ""  # of the request before, which was a good one
        self._answering: web.BaseRequest | None = None  # or answered last
        self._is_answering = False
        self._head_began_s: float | None = None  # there while a head is awaited
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._end_timer: asyncio.TimerHandle | None = None
        self._ahead_timer: asyncio.TimerHandle | None = None
        self._line: asyncio.Transport | None = None  # aiohttp lets go of its own before all is sent
        super().__init__(server, loop=asyncio.get_running_loop(), **_settings(home.limits))

    # ---- what asyncio calls ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._line = cast("asyncio.Transport", transport)
        # Whatever is not taken counts: an end that waits for the last bytes of an answer would wait for ever.
        self._line.set_write_buffer_limits(high=0)
        super().connection_made(transport)
        self._await_head()
        if not self._home.entered(self):
            self._refuse(RequestRefusedError(503, "too many clients are connected"))

    def data_received(self, data: bytes) -> None:
        if data and not self._is_answering:
            self._heard = True
            body_is_over = self._answering is None or self._answering.content.is_eof()
            if self._head_began_s is None and body_is_over:
                self._await_head()
        super().data_received(data)
        if self._is_answering and self._is_deaf:
            self._await_turn()

    def connection_lost(self, exc: BaseException | None) -> None:
        for timer in (self._head_timer, self._write_timer, self._end_timer, self._ahead_timer):
            if timer is not None:
                timer.cancel()
        self._line = None
        super().connection_lost(exc)
        self._home.left(self)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_taking()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()

    # ---- what the server calls -------------------------------------------------------------------

    @property
    def answering(self) -> asyncio.Task[None] | None:
        """What answers a request at the moment, to be waited for."""
        return self._answering.task if self._answering is not None and self._is_answering else None

    def abort(self) -> None:
        """End it at once, whatever has not been sent."""
        if self._line is not None:
            self._line.abort()

    # ---- what aiohttp calls ----------------------------------------------------------------------

    async def answer(self, head: web.BaseRequest) -> web.StreamResponse:
        """The response to one request, of which the headers are there."""
        self._answering, self._is_answering, self._head_began_s = head, True, None
        if self._is_deaf:
            self._await_turn()
        try:
            fault = head_fault(head, self._host)
            if fault is not None:
                return _response(self._home.service.refuse(fault), closes=True)
            self._host = head.headers.get(hdrs.HOST, "")
            request = Request(head, self._limits)
            answer = await self._home.service.handle(request)
            closes = self._home.is_closing or request.is_last
            if isinstance(answer, Stream):
                return await self._send(answer, head, closes=closes)
            return _response(answer, closes=closes)
        finally:
            self._is_answering = False

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What aiohttp refuses by itself, as a problem document; the connection ends. Raises ConnectionError where part
        of an answer has gone out."""
        del message  # quotes what the client sent
        self._head_began_s = None
        if not isinstance(exc, HttpProcessingError):
            logger.error("a request failed outside of any call", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer broke off")
        return _response(self._home.service.refuse(_refusal(status, exc, self._limits)), closes=True)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Keeps what a client sent out of the log: aiohttp quotes what it cannot parse, token and all."""
        error = kw.get("exc_info")
        if isinstance(error, HttpProcessingError | web.RequestPayloadError):
            logger.debug("a request broke off: %s", type(error).__name__)
        else:
            super().log_exception(*args, **kw)

    # ---- streams ---------------------------------------------------------------------------------

    async def _send(self, stream: Stream, head: web.BaseRequest, *, closes: bool) -> web.StreamResponse:
        # A client that knows no chunks (HTTP/1.0) sees the end of a stream by the end of the connection.
        response = web.StreamResponse(status=stream.status, headers=stream.headers)
        response.headers[hdrs.CONTENT_TYPE] = stream.media_type
        _finish(response, closes=closes or head.version < (1, 1))
        async with aclosing(stream.pieces) as pieces:
            try:
                await response.prepare(head)
                if head.method != hdrs.METH_HEAD:
                    await response.write(stream.first)
                    async for piece in pieces:
                        await response.write(piece)
            except ConnectionError:
                self.abort()
            except Exception:  # the edge: the status has gone out, so that the end must be seen to be none
                logger.exception("a stream broke off")
                self.abort()
        return response

    # ---- refusing and timing ---------------------------------------------------------------------

    def _refuse(self, refusal: RequestRefusedError) -> None:
        """Answer who made no request, and go. Closing at once would have the kernel reset the connection while the
        client still sends, and throw away the answer with it."""
        if self.transport is None or self.transport.is_closing():
            return
        self.transport.write(_render(self._home.service.refuse(refusal)))
        self._head_began_s = None
        self.close()  # what still comes is thrown away
        self._end_timer = self._loop.call_later(self._limits.linger_s, self.force_close)

    @property
    def _is_deaf(self) -> bool:
        """Whether nothing more is read for now, so that its end would go unheard."""
        return self._line is not None and not self._line.is_reading()

    def _await_turn(self) -> None:
        """Give what is being answered a while, when too much was sent ahead behind it."""
        if self._ahead_timer is None:
            self._ahead_timer = self._loop.call_later(self._limits.ahead_wait_s, self._look_ahead, self._answering)

    def _look_ahead(self, head: web.BaseRequest | None) -> None:
        self._ahead_timer = None
        # aiohttp does not read on either where a call is slow to take a body, which is timed by itself.
        if head is None or not (self._is_answering and self._is_deaf and head.content.is_eof()):
            return
        if head is self._answering:
            self.abort()
        else:
            self._await_turn()

    def _await_taking(self) -> None:
        """Look again when the client had time to take some of what is there to be sent."""
        if self._line is not None:
            left_bytes = self._line.get_write_buffer_size()
            self._write_timer = self._loop.call_later(self._limits.write_wait_s, self._look_at_taking, left_bytes)

    def _look_at_taking(self, left_bytes: int) -> None:
        if self._line is not None and self._line.get_write_buffer_size() < left_bytes:
            self._await_taking()
        else:
            self.abort()

    def _await_head(self) -> None:
        """The timer is not moved with each head: it looks again when it is early, which is far less work."""
        self._head_began_s = self._loop.time()
        if self._head_timer is None:
            self._head_timer = self._loop.call_later(self._limits.head_wait_s, self._look)

    def _look(self) -> None:
        self._head_timer = None
        if self._head_began_s is None:
            return
        due_s = self._head_began_s + self._limits.head_wait_s
        if due_s > self._loop.time():
            self._head_timer = self._loop.call_at(due_s, self._look)
        elif self._heard:
            self._refuse(RequestRefusedError(408, "the request did not arrive in time"))
        else:
            self.force_close()


def _settings(limits: Limits) -> Mapping[str, Any]:
    return {
        "logger": logger,
        "access_log": None,  # it would log query strings; the API logs its calls itself
        "auto_decompress": False,
        "keepalive_timeout": limits.idle_wait_s,
        "lingering_time": limits.linger_s,
        "max_line_size": limits.target_bytes_max,
        "max_field_size": limits.header_bytes_max,
        "max_headers": limits.headers_max,
    }


def _refusal(status: int, error: BaseException | None, limits: Limits) -> RequestRefusedError:
    if not isinstance(error, HttpProcessingError):
        return RequestRefusedError(status, "the request could not be answered")
    if isinstance(error, LineTooLong):
        _, bound, _ = error.args
        too_long = bound == limits.target_bytes_max
        return (
            RequestRefusedError(414, "the address is too long")
            if too_long
            else RequestRefusedError(431, "a header is too large")
        )
    if isinstance(error, InvalidURLError):
        return RequestRefusedError(400, "the address is none: what is not ASCII in it must be percent-encoded")
    return RequestRefusedError(400, f"this is not HTTP/1.1, or has more than {limits.headers_max} headers")


def _response(answer: Answer, *, closes: bool) -> web.Response:
    response = web.Response(status=answer.status, body=answer.body or None, headers=answer.headers)
    if answer.body:
        response.headers[hdrs.CONTENT_TYPE] = answer.media_type
    _finish(response, closes=closes)
    return response


def _finish(response: web.StreamResponse, *, closes: bool) -> None:
    response.headers[hdrs.SERVER] = SERVER
    if closes:
        response.headers[hdrs.CONNECTION] = "close"
        response.force_close()


def _render(answer: Answer) -> bytes:
    """An answer to what is no request, which aiohttp gives no place to write to."""
    lines = [
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        f"Date: {formatdate(usegmt=True)}",
        f"Server: {SERVER}",
        f"Content-Type: {answer.media_type}",
        f"Content-Length: {len(answer.body)}",
        *(f"{name}: {value}" for name, value in answer.headers.items()),
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + answer.body
