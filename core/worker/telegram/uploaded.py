"""A file that is with Telegram, and the digests that name what it holds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import blake3
import msgspec
from telethon.tl import types

from telecine.core.worker.telegram.uploads import StoredPart


class UploadedFile(msgspec.Struct, frozen=True):
    """A file whose parts are all with Telegram, for minutes to hours, until a message is made of it.

    `digests` are the SHA-256 digests of the parts in order, `md5` is set for a small file only. `blake3` is BLAKE3
    over the BLAKE3 digests of the parts in order, in hexadecimal digits; None where it was not asked for.
    """

    file_id: int
    name: str
    size_bytes: int
    digests: tuple[bytes, ...]
    md5: str | None = None
    blake3: str | None = None

    @property
    def parts(self) -> int:
        return len(self.digests)

    @property
    def sha256(self) -> str:
        """SHA-256 over the digests of the 512 KiB parts in order: the same whatever order the parts came in."""
        return digest_of(self.digests)

    def as_input(self) -> Any:
        """The TL object that names this file in a request."""
        if self.md5 is not None:
            return types.InputFile(self.file_id, self.parts, self.name, self.md5)
        return types.InputFileBig(self.file_id, self.parts, self.name)


def digest_of(digests: Iterable[bytes]) -> str:
    """How a file is named by the SHA-256 digests of its parts."""
    return hashlib.sha256(b"".join(digests)).hexdigest()


def part_of(data: bytes, *, content_hash: bool) -> StoredPart:
    """Size and digests of a part; BLAKE3 with `content_hash` only."""
    hashed = blake3.blake3(data).digest() if content_hash else None
    return StoredPart(len(data), hashlib.sha256(data).digest(), hashed)


def content_hash_of(parts: Iterable[StoredPart]) -> str | None:
    """How a file is named by the BLAKE3 digests of its parts; None where one is missing."""
    whole = blake3.blake3()
    for part in parts:
        if part.blake3 is None:
            return None
        whole.update(part.blake3)
    return whole.hexdigest()
