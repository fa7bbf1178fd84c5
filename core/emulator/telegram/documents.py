"""Stored files: their bytes, what they are, and the opaque ids under which each bot knows them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
from collections.abc import Callable

from telecine.core.clock import Clock
from telecine.core.emulator.telegram.blobs import Blobs
from telecine.core.emulator.telegram.directory import ACCESS_HASH_BITS
from telecine.core.emulator.telegram.entities import Bot, Document, MediaKind, VideoTrait, WorldState
from telecine.core.emulator.telegram.limits import PART_BYTES_MAX, TelegramLimits

_ID_BYTES = 8
_MAC_BYTES = 16
# Real ids begin with the kind and the data centre, which spells BAACAgIA and BQACAgIA.
_PREFIXES = {MediaKind.VIDEO: bytes((4, 0, 2, 2, 2, 0)), MediaKind.DOCUMENT: bytes((5, 0, 2, 2, 2, 0))}
_PREFIX_BYTES = 6


class Documents:
    """All files of one world. Bytes never change once stored."""

    def __init__(
        self,
        state: WorldState,
        blobs: Blobs,
        clock: Clock,
        rng: random.Random,
        limits: TelegramLimits,
        changed: Callable[[], None],
    ) -> None:
        self._state = state
        self._blobs = blobs
        self._clock = clock
        self._rng = rng
        self._limits = limits
        self._changed = changed

    def store(self, content: bytes, file_name: str, mime_type: str, video: VideoTrait | None = None) -> Document:
        """Keep a file whose bytes are at hand, such as one that a bot uploads."""
        blob = f"d{self._rng.getrandbits(96):024x}"
        for index in range(-(-len(content) // PART_BYTES_MAX)):
            self._blobs.write_part(blob, index, content[index * PART_BYTES_MAX : (index + 1) * PART_BYTES_MAX])
        return self.register(blob, len(content), PART_BYTES_MAX, file_name, mime_type, video)

    def register(
        self,
        blob: str,
        size_bytes: int,
        part_bytes: int,
        file_name: str,
        mime_type: str,
        video: VideoTrait | None = None,
    ) -> Document:
        """Make a document of a finished blob. The file name is trimmed as Telegram does."""
        document = Document(
            id=self._rng.getrandbits(ACCESS_HASH_BITS) | 1,
            access_hash=self._rng.getrandbits(ACCESS_HASH_BITS) | 1,
            date_s=self._clock.now_ms() // 1000,
            size_bytes=size_bytes,
            part_bytes=part_bytes,
            mime_type=mime_type,
            file_name=self._limits.trim_file_name(file_name),
            blob=blob,
            video=video,
        )
        self.replace(document)
        return document

    def replace(self, document: Document) -> None:
        """Keep a completed description, for instance with its thumbnail, under the same id."""
        self._state.documents[document.id] = document
        self._changed()

    def find(self, document_id: int) -> Document | None:
        return self._state.documents.get(document_id)

    def read(self, document: Document, offset: int = 0, limit: int | None = None) -> bytes:
        """Bytes of a file from `offset`, at most `limit` (all the rest if None)."""
        rest = max(0, document.size_bytes - offset)
        wanted = rest if limit is None else min(rest, limit)
        return self._blobs.read(document.blob, document.part_bytes, offset, wanted) if wanted else b""

    def read_thumb(self, document: Document, offset: int = 0, limit: int | None = None) -> bytes:
        if document.thumb_blob is None:
            return b""
        rest = max(0, document.thumb_size_bytes - offset)
        return self._blobs.read(
            document.thumb_blob, PART_BYTES_MAX, offset, rest if limit is None else min(rest, limit)
        )

    def file_id(self, bot: Bot, document: Document) -> str:
        """The id under which this bot, and no other, may send the file again. The same after a restart."""
        prefix = _PREFIXES[document.kind]
        plain = document.id.to_bytes(_ID_BYTES, "big")
        mac = _keyed(bot, b"mac" + prefix + plain, _MAC_BYTES)
        body = _mask(plain, _keyed(bot, b"pad" + mac, _ID_BYTES))
        return base64.urlsafe_b64encode(prefix + mac + body).rstrip(b"=").decode()

    def by_file_id(self, bot: Bot, file_id: str) -> Document | None:
        """The file behind an id; None if the id is garbled, of another bot, or its file is gone."""
        try:
            raw = base64.urlsafe_b64decode(file_id + "=" * (-len(file_id) % 4))
        except ValueError:
            return None
        prefix, rest = raw[:_PREFIX_BYTES], raw[_PREFIX_BYTES:]
        mac, body = rest[:_MAC_BYTES], rest[_MAC_BYTES:]
        plain = _mask(body, _keyed(bot, b"pad" + mac, _ID_BYTES))
        if len(body) != _ID_BYTES or not hmac.compare_digest(mac, _keyed(bot, b"mac" + prefix + plain, _MAC_BYTES)):
            return None
        return self.find(int.from_bytes(plain, "big"))

    def file_unique_id(self, document: Document) -> str:
        """The same for every bot; good for comparing, useless for sending."""
        digest = hashlib.blake2b(document.id.to_bytes(_ID_BYTES, "big"), digest_size=9).digest()
        return "AgAD" + base64.urlsafe_b64encode(digest).decode()


def _keyed(bot: Bot, content: bytes, size_bytes: int) -> bytes:
    key = hashlib.sha256(bot.token.encode()).digest()
    return hashlib.blake2b(content, key=key, digest_size=size_bytes).digest()


def _mask(content: bytes, pad: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(content, pad, strict=False))
