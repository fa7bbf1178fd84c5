"""Files in the making: parts that arrive in any order until a message claims them."""

from __future__ import annotations

import hashlib
import random

import msgspec

from telecine.core.emulator.telegram.blobs import Blobs
from telecine.core.emulator.telegram.entities import User
from telecine.core.emulator.telegram.limits import PART_BYTES_MAX, TelegramLimits, check_part_size
from telecine.core.emulator.telegram.refusals import bad_request


class _Upload(msgspec.Struct):
    blob: str
    big: bool
    sizes: dict[int, int] = msgspec.field(default_factory=dict)
    total: int | None = None


class FinishedUpload(msgspec.Struct, frozen=True):
    """A complete file that is nobody's document yet."""

    blob: str
    size_bytes: int
    part_bytes: int


class PartOutcome(msgspec.Struct, frozen=True):
    """What became of one part."""

    duplicate: bool


class Uploads:
    """The unclaimed parts of one world, by account and the file id that its client chose. They do not survive
    a restart: Telegram keeps them for minutes to hours only."""

    def __init__(self, blobs: Blobs, rng: random.Random, limits: TelegramLimits) -> None:
        self._blobs = blobs
        self._rng = rng
        self._limits = limits
        self._uploads: dict[tuple[int, int], _Upload] = {}

    def save_big_part(self, user: User, file_id: int, index: int, total: int, part: bytes) -> PartOutcome:
        """`upload.saveBigFilePart`. `total` is -1 while unknown; the last part carries the true one, and a stream
        that ends on a part boundary is closed by an empty part."""
        self._limits.check_part_index(index, user.premium)
        if total != -1:
            self._limits.check_part_count(total, user.premium)
            if index > total or (index == total and part):
                raise bad_request("FILE_PART_INVALID")
        if len(part) > PART_BYTES_MAX:
            raise bad_request("FILE_PART_SIZE_INVALID")
        if total == -1 or index < total - 1:
            check_part_size(len(part))
        upload = self._upload(user, file_id, big=True)
        if total != -1:
            upload.total = total
        return self._keep(upload, index, part)

    def save_small_part(self, user: User, file_id: int, index: int, part: bytes) -> PartOutcome:
        """`upload.saveFilePart`, for files up to 10 MB."""
        if not 0 <= index < self._limits.small_file_bytes_max // 1024:
            raise bad_request("FILE_PART_INVALID")
        if not part or len(part) > PART_BYTES_MAX:
            raise bad_request("FILE_PART_EMPTY" if not part else "FILE_PART_TOO_BIG")
        return self._keep(self._upload(user, file_id, big=False), index, part)

    def finish(self, user: User, file_id: int, parts: int, *, big: bool, md5_checksum: str = "") -> FinishedUpload:
        """Turn the parts into a file, see `check` for refusals; a refused call leaves them for another try."""
        finished = self.check(user, file_id, parts, big=big, md5_checksum=md5_checksum)
        del self._uploads[user.id, file_id]
        return finished

    def check(self, user: User, file_id: int, parts: int, *, big: bool, md5_checksum: str = "") -> FinishedUpload:
        """What `finish` would make of the parts. Refusals: FILE_PARTS_INVALID, FILE_PART_X_MISSING and others."""
        upload = self._uploads.get((user.id, file_id))
        if upload is None or parts < 1 or upload.big != big:
            raise bad_request("FILE_PARTS_INVALID")
        self._limits.check_part_count(parts, user.premium)
        for index in range(parts):
            if index not in upload.sizes:
                raise bad_request(f"FILE_PART_{index}_MISSING")
        if big:
            self._check_total(upload, parts)
        part_bytes = self._check_sizes(upload, parts)
        size = sum(upload.sizes[index] for index in range(parts))
        if not big:
            self._check_small(upload, size, part_bytes, md5_checksum)
        if size == 0:
            raise bad_request("FILE_PARTS_INVALID")
        return FinishedUpload(upload.blob, size, part_bytes)

    def lose_part(self, user: User, file_id: int, index: int) -> None:
        """Forget one part of a file under way, as if the server had lost it; nothing happens if it is not there."""
        upload = self._uploads.get((user.id, file_id))
        if upload is not None and upload.sizes.pop(index, None) is not None:
            self._blobs.drop_part(upload.blob, index)

    def expire(self) -> int:
        """Forget all unclaimed parts, as Telegram does after a while; how many files that were."""
        count = len(self._uploads)
        for upload in self._uploads.values():
            self._blobs.drop(upload.blob)
        self._uploads.clear()
        return count

    def _upload(self, user: User, file_id: int, *, big: bool) -> _Upload:
        upload = self._uploads.get((user.id, file_id))
        if upload is None:
            upload = _Upload(f"u{self._rng.getrandbits(96):024x}", big)
            self._uploads[user.id, file_id] = upload
        if upload.big != big:
            raise bad_request("FILE_ID_INVALID")
        return upload

    def _keep(self, upload: _Upload, index: int, part: bytes) -> PartOutcome:
        duplicate = index in upload.sizes
        self._blobs.write_part(upload.blob, index, part)
        upload.sizes[index] = len(part)
        return PartOutcome(duplicate)

    def _check_total(self, upload: _Upload, parts: int) -> None:
        """The last part must have told the total. An empty one after a full last part may or may not count."""
        trailing_empty = upload.sizes[parts - 1] == 0
        if upload.total != parts and not (trailing_empty and upload.total == parts - 1):
            raise bad_request("FILE_PARTS_INVALID")

    def _check_sizes(self, upload: _Upload, parts: int) -> int:
        """The length that all parts but the last have in common, in bytes."""
        part_bytes = upload.sizes[0]
        if parts == 1:
            return PART_BYTES_MAX
        check_part_size(part_bytes)
        if any(upload.sizes[index] != part_bytes for index in range(parts - 1)):
            raise bad_request("FILE_PART_SIZE_CHANGED")
        if upload.sizes[parts - 1] > part_bytes:
            raise bad_request("FILE_PART_LENGTH_INVALID")
        return part_bytes

    def _check_small(self, upload: _Upload, size: int, part_bytes: int, md5_checksum: str) -> None:
        if size > self._limits.small_file_bytes_max:
            raise bad_request("FILE_PARTS_INVALID")
        if md5_checksum:
            content = self._blobs.read(upload.blob, part_bytes, 0, size)
            if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5_checksum.lower():
                raise bad_request("MD5_CHECKSUM_INVALID")
