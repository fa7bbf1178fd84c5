"""One answer of a source's host: what it says about the file, and the bytes that it brings."""

from __future__ import annotations

import re

import aiohttp
import msgspec
from aiohttp import hdrs

from telecine.core.reasons import Reason
from telecine.core.worker.sources.client import Answer
from telecine.core.worker.sources.errors import BrokenOffError, SourceError

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,20})-([0-9]{1,20})/([0-9]{1,20}|\*)", re.IGNORECASE)  # RFC 9110, 14.1
SIZE_BYTES_MAX = 2**53  # what a size may be in any of the messages that tell of it
PLAIN = frozenset({"", "identity"})


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


class Body:
    """The bytes of a file from `position` to `end` (None: unknown), as one answer brings them.

    Raises SourceError for an answer that does not say where its bytes belong, or that is compressed: what it unpacks to
    knows no bounds.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._is_over = False
        response = answer.response
        encoding = response.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower()
        if encoding not in PLAIN:
            told = encoding[:20].encode("ascii", "replace").decode()
            raise SourceError(Reason.NOT_MEDIA, f"the host sends it compressed ({told}), which was not asked for")
        self.is_partial = response.status == 206
        self.content_type = response.content_type
        self.position, self.end, total = _extent(response)
        _refuse_impossible(self.end)
        _refuse_impossible(total)
        self.stamp = Stamp(_validator(response, hdrs.ETAG), _validator(response, hdrs.LAST_MODIFIED), total)

    async def take(self) -> bytes:
        """The next bytes, empty at the end. Raises BrokenOffError."""
        if self._is_over:
            return b""
        try:
            data = await self._answer.response.content.readany()
        except aiohttp.ClientPayloadError as error:
            raise BrokenOffError(reset=isinstance(error.__cause__, ConnectionResetError)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise BrokenOffError(reset=True) from error
        self.position += len(data)
        self._is_over = not data or self.position == self.end
        if self._is_over:
            self._answer.release()
        return data

    def close(self) -> None:
        """Give the rest up."""
        self._answer.release()


def _validator(response: aiohttp.ClientResponse, name: str) -> str | None:
    """What the host is told again later; None for bytes that no header may hold."""
    value = response.headers.get(name)
    return value if value and value.isascii() else None


def _extent(response: aiohttp.ClientResponse) -> tuple[int, int | None, int | None]:
    """Start and end of an answer in the file, and the size of the file."""
    if response.status != 206:
        return 0, response.content_length, response.content_length
    match = _CONTENT_RANGE.fullmatch(response.headers.get(hdrs.CONTENT_RANGE, ""))
    if match is None:
        raise SourceError(Reason.NETWORK, "the host answers 206 without saying which range")
    return int(match[1]), int(match[2]) + 1, None if match[3] == "*" else int(match[3])


def _refuse_impossible(size_bytes: int | None) -> None:
    if size_bytes is not None and size_bytes > SIZE_BYTES_MAX:
        raise SourceError(Reason.NOT_MEDIA, "the host tells a size that no file has")
