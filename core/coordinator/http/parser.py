"""From bytes to requests."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Mapping
from http import HTTPStatus

import httptools
import msgspec

from telecine.core.coordinator.http.limits import Limits

FRAMING_FACTOR = 8  # chunked, a body may take this much more than itself on the wire


class Request(msgspec.Struct, frozen=True):
    """One complete request. Header names are in lower case; a repeated header is joined with commas."""

    method: str
    path: str
    """Percent-encoded, as it was sent."""
    query: str
    headers: dict[bytes, bytes]
    body: bytes
    version: str
    keep_alive: bool
    """Whether the client wants to go on with this connection."""

    def header(self, name: bytes) -> str | None:
        """A header's value; None where it was not sent."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")


class RequestRefusedError(Exception):
    """What arrived is refused by HTTP's own rules, before any call looks at it."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = HTTPStatus(status)
        self.detail = detail
        self.headers = headers or {}


class Stage(enum.Enum):
    """What is expected next."""

    IDLE = enum.auto()  # a request
    HEAD = enum.auto()  # the rest of its headers
    BODY = enum.auto()  # the rest of its body


class RequestParser:
    """Reads the requests of one connection. Methods named `on_…` are for httptools alone."""

    def __init__(self, limits: Limits) -> None:
        self.requests: deque[Request] = deque()
        """What has arrived in whole, to be taken from the left."""
        self.stage = Stage.IDLE
        self.awaits_continue = False
        """Whether the client wants to be told before it sends its body."""
        self._limits = limits
        self._http = httptools.HttpRequestParser(self)
        self._refusal: RequestRefusedError | None = None
        self._ended = False
        self._begin()

    def feed(self, data: bytes) -> None:
        """Take what arrived. Raises RequestRefusedError, after which nothing more may be fed."""
        if self._ended:
            return
        before = self.stage
        try:
            self._http.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The offer of another protocol is declined by answering in this one. llhttp, which took the offer, reads
            # no further, so that this request is the last.
            self._ended = True
            self.requests.append(msgspec.structs.replace(self.requests.pop(), keep_alive=False))
        except httptools.HttpParserError:
            raise self._refusal or RequestRefusedError(400, "this is not HTTP/1.1") from None
        if self.stage is before and before is not Stage.IDLE:
            self._bound(before, len(data))

    def on_message_begin(self) -> None:
        self._begin()
        self.stage = Stage.HEAD

    def on_url(self, piece: bytes) -> None:
        self._target += piece
        if len(self._target) > self._limits.target_bytes_max:
            self._refuse(414, "the address is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        headers, name = self._headers, name.lower()
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > self._limits.head_bytes_max:
            self._refuse(431, "the headers are too large")
        if self.stage is Stage.BODY:
            return  # a trailer: nothing that comes after the body changes what the request is
        headers[name] = headers[name] + b", " + value if name in headers else value

    def on_headers_complete(self) -> None:
        self.stage = Stage.BODY
        headers = self._headers
        if b"host" not in headers and self._http.get_http_version() == "1.1":
            self._refuse(400, "the header Host is missing")
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            self._refuse(415, "bodies are taken uncompressed only")
        if int(headers.get(b"content-length", b"0")) > self._limits.body_bytes_max:
            self._refuse(413, "the body is too large")
        if b"expect" in headers:
            if headers[b"expect"].lower() != b"100-continue":
                self._refuse(417, "nothing but 100-continue can be expected")
            self.awaits_continue = True

    def on_body(self, piece: bytes) -> None:
        self.awaits_continue = False
        self._body_bytes += len(piece)
        if self._body_bytes > self._limits.body_bytes_max:
            self._refuse(413, "the body is too large")
        self._body.append(piece)

    def on_message_complete(self) -> None:
        self.stage = Stage.IDLE
        self.awaits_continue = False
        path, _, query = self._target.decode("latin-1").partition("?")
        request = Request(
            method=self._http.get_method().decode("ascii"),
            path=path if path.startswith("/") else _path_of_absolute(path),
            query=query,
            headers=self._headers,
            body=self._body[0] if len(self._body) == 1 else b"".join(self._body),
            version=self._http.get_http_version(),
            keep_alive=self._http.should_keep_alive(),
        )
        self.requests.append(request)
        if len(self.requests) > self._limits.pipelined_max:
            self._refuse(400, "too many requests were sent ahead of their answers")

    def _begin(self) -> None:
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._head_bytes = 0
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._wire_bytes = 0

    def _bound(self, stage: Stage, count: int) -> None:
        """Bound what httptools keeps of an unfinished header or chunk, of which no callback tells."""
        self._wire_bytes += count
        if stage is Stage.HEAD and self._wire_bytes > self._limits.head_bytes_max:
            raise RequestRefusedError(431, "the headers are too large")
        if stage is Stage.BODY and self._wire_bytes > self._limits.body_bytes_max * FRAMING_FACTOR:
            raise RequestRefusedError(413, "the body is too large")

    def _refuse(self, status: int, detail: str) -> None:
        # httptools puts an error of its own in the place of what a callback raises.
        self._refusal = RequestRefusedError(status, detail)
        raise self._refusal


def _path_of_absolute(target: str) -> str:
    """The path of `http://host/path`, as it is sent to proxies; what is neither stays as it is, to be answered 404."""
    _, scheme, rest = target.partition("://")
    return "/" + rest.partition("/")[2] if scheme else target
