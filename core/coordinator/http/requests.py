"""What the API reads of a request."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from telecine.core.coordinator.http.limits import Limits

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

# RFC 3986 section 3.2.2: an address in brackets, or a name; a port.
_HOST = re.compile(r"(\[[\w:.%~-]+\]|([\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(:[0-9]*)?", re.ASCII)


class RequestRefusedError(Exception):
    """What arrived is refused by HTTP's own rules, before any call looks at it."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = HTTPStatus(status)
        self.detail = detail
        self.headers = headers or {}


class Request:
    """One request, of which the headers are there. `path` and `query` are percent-encoded, as they were sent."""

    __slots__ = ("_head", "_limits", "body", "is_last", "method", "path", "query")

    def __init__(self, head: web.BaseRequest, limits: Limits) -> None:
        self._head = head
        self._limits = limits
        self.method = head.method
        path, _, self.query = _byte_by_byte(head.raw_path).partition("?")
        self.path = path if path.startswith("/") else _path_of_absolute(path)
        self.body = b""
        """Empty until `receive`."""
        # aiohttp loses what comes with a request that offers to speak another protocol.
        self.is_last = hdrs.UPGRADE in head.headers
        """Whether nothing behind it can be read, as behind one that was refused."""

    def header(self, name: str) -> str | None:
        """A header's value; None where it was not sent. A repeated one is joined with commas."""
        values = self._head.headers.getall(name, None)
        return None if values is None else _byte_by_byte(values[0] if len(values) == 1 else ", ".join(values))

    async def receive(self) -> None:
        """Wait for the body. Raises RequestRefusedError where it is too large, too slow, or not as it was announced."""
        if not self._head.body_exists:
            return
        try:
            self._check_announced()
            await self._expect()
            content = self._head.content
            body = content.read_nowait() if content.is_eof() else await self._read()
            if len(body) > self._limits.body_bytes_max:
                raise _too_large()
            self.body = body
        except RequestRefusedError:
            self.is_last = True
            raise

    def refuse_body(self) -> None:
        """Raises RequestRefusedError where there is a body, or one is announced."""
        if self._head.body_exists:
            self.is_last = True
            raise RequestRefusedError(400, "this call takes no body")

    def _check_announced(self) -> None:
        if self._head.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
            raise RequestRefusedError(415, "bodies are taken uncompressed only")
        length = self._head.content_length
        if length is None:
            if self._head.headers.get(hdrs.TRANSFER_ENCODING, "").lower() != "chunked":
                raise RequestRefusedError(501, "of transfer codings, only chunked is known")
        elif length > self._limits.body_bytes_max:
            raise _too_large()

    async def _expect(self) -> None:
        """Tell a client that asks for it to go on with its body."""
        expected = self._head.headers.get(hdrs.EXPECT)
        if expected is None:
            return
        if expected.lower() != "100-continue":
            raise RequestRefusedError(417, "nothing but 100-continue can be expected")
        if self._head.version < (1, 1):  # RFC 9110 section 10.1.1
            return
        try:
            await self._head.writer.write(CONTINUE)
        except ConnectionError:
            raise _broken_off() from None
        self._head.writer.output_size = 0  # of the answer, of which nothing has gone out yet

    async def _read(self) -> bytes:
        """The body, or more of it than it may have."""
        pieces, body_bytes, content = list[bytes](), 0, self._head.content
        try:
            async with asyncio.timeout(self._limits.body_wait_s):
                while body_bytes <= self._limits.body_bytes_max and (piece := await content.readany()):
                    pieces.append(piece)
                    body_bytes += len(piece)
        except TimeoutError:
            raise RequestRefusedError(408, "the body did not arrive in time") from None
        except (HttpProcessingError, web.RequestPayloadError, ConnectionError):
            raise _broken_off() from None
        return b"".join(pieces)


def head_fault(head: web.BaseRequest, known_host: str) -> RequestRefusedError | None:
    """What aiohttp lets through, and HTTP does not. `known_host` was a good one."""
    if not (1, 0) <= head.version <= (1, 1):  # 0.9 and 2.0 have no heads like this one
        return RequestRefusedError(400, "this is not HTTP/1.1")
    host = head.headers.get(hdrs.HOST, known_host)  # aiohttp sees to it that there is one
    if host != known_host and not _HOST.fullmatch(host):
        return RequestRefusedError(400, "the Host is none")
    if head.version < (1, 1) and hdrs.TRANSFER_ENCODING in head.headers:  # RFC 9112 section 6.1
        return RequestRefusedError(400, "HTTP/1.0 knows no transfer codings")
    return None


def _too_large() -> RequestRefusedError:
    return RequestRefusedError(413, "the body is too large")


def _broken_off() -> RequestRefusedError:
    return RequestRefusedError(400, "the body broke off")


def _byte_by_byte(text: str) -> str:
    """One character for each byte that was sent: aiohttp reads UTF-8 and makes surrogates, which cannot be written to
    anywhere, of what is none."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def _path_of_absolute(target: str) -> str:
    """The path of `http://host/path`, as it is sent to proxies; what is neither stays as it is, to be answered 404."""
    _, scheme, rest = target.partition("://")
    return "/" + rest.partition("/")[2] if scheme else target
