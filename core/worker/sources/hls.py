"""Films that come as a playlist of segments: read as the one stream that they make."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from yarl import URL

from telecine.core.quality import Quality
from telecine.core.reasons import Reason
from telecine.core.worker.sources.ahead import Ahead, Piece
from telecine.core.worker.sources.company import Company
from telecine.core.worker.sources.decipher import KEY_BYTES, Decipher
from telecine.core.worker.sources.errors import SourceError
from telecine.core.worker.sources.link import Link
from telecine.core.worker.sources.pages import is_page
from telecine.core.worker.sources.playlist import (
    PLAYLIST_BYTES_MAX,
    Choice,
    Cipher,
    Film,
    Segment,
    Stretch,
    looks_like_playlist,
    parse,
)
from telecine.core.worker.sources.run import Run
from telecine.core.worker.sources.streamed import Stream
from telecine.core.worker.sources.surroundings import Surroundings
from telecine.core.worker.sources.transport import kinds_of_tracks

SEGMENT_BYTES_MAX = 512 * 1024 * 1024
HEAD_BYTES_MAX = 4 * 1024 * 1024
MP4_BOXES = frozenset({b"ftyp", b"styp", b"moov", b"sidx", b"free"})

Linker = Callable[[str], Link]
"""Makes a link of a URL. Raises SourceError where that may not be asked for."""


class HlsOrigin:
    """A film behind a playlist. Neither its size nor its ranges are known, since segments need not tell theirs."""

    size_bytes: int | None = None
    supports_ranges = False
    stamp: str | None = None

    def __init__(self, film: Film, link_to: Linker, around: Surroundings) -> None:
        self._film = film
        self._link_to = link_to
        self._around = around
        self._keys = Keys(self._run)
        self.content_type = "video/mp2t" if film.head is None else "video/mp4"

    @classmethod
    async def open(cls, text: bytes, base: URL, quality: Quality, link_to: Linker, around: Surroundings) -> HlsOrigin:
        """The film of a playlist that came from `base`, in `quality` if there is a choice. Raises SourceError."""
        found = await asyncio.to_thread(parse, text.decode(errors="replace"), base, quality)
        if isinstance(found, Choice):
            link = link_to(found.url)
            text = await _read(Run(link, 0, None, stamp=None, around=around), PLAYLIST_BYTES_MAX)
            if not looks_like_playlist(text):
                raise SourceError(Reason.NOT_MEDIA, "a playlist that leads to none")
            found = await asyncio.to_thread(parse, text.decode(errors="replace"), link.url, quality)
        if isinstance(found, Choice):
            raise SourceError(Reason.NOT_MEDIA, "a playlist of playlists of playlists")
        return cls(found, link_to, around)

    @property
    def duration_s(self) -> float | None:
        """The sum of what the playlist says of its segments."""
        return self._film.duration_s

    def stream(self, position: int, length: int | None) -> Stream:
        """The film from its start, segments ahead of time."""
        pieces = self._pieces()
        host = self._link_to(self._film.segments[0].bytes_at.url).host
        company = Company(host, self._around.meter, self._around.clock)
        return Ahead(lambda alone: next(pieces, None), company, self._around)

    def _pieces(self) -> Iterator[Piece]:
        head = self._film.head
        if head is not None:
            yield HeadPiece(self._run(head.bytes_at), head.cipher, self._keys)
        joints = Joints()
        for number, segment in enumerate(self._film.segments):
            checked = joints if segment.is_joint or not number else None
            yield SegmentPiece(self._run(segment.bytes_at), segment, self._keys, checked)

    def _run(self, stretch: Stretch) -> Run:
        link = self._link_to(stretch.url)
        return Run(link, stretch.start, stretch.end, stamp=None, around=self._around)


class Keys:
    """The keys of one film, each asked for once."""

    def __init__(self, run: Callable[[Stretch], Run]) -> None:
        self._run = run
        self._known: dict[str, bytes] = {}

    async def decipher(self, cipher: Cipher) -> Decipher:
        """Raises SourceError where the key cannot be had."""
        key = self._known.get(cipher.key_url)
        if key is None:
            key = await _read(self._run(Stretch(cipher.key_url)), KEY_BYTES)
            if len(key) != KEY_BYTES:
                raise SourceError(Reason.NOT_MEDIA, "a key that is none")
            self._known[cipher.key_url] = key
        return Decipher(key, cipher.iv)


class Joints:
    """Sees that what is joined has the same tracks, as far as segments tell in their first bytes."""

    def __init__(self) -> None:
        self._kinds: tuple[int, ...] | None = None

    def check(self, beginning: bytes) -> None:
        """Raises SourceError NOT_MEDIA for a segment with other tracks than the one that was seen first."""
        kinds = kinds_of_tracks(beginning)
        if kinds is None:
            return
        if self._kinds is not None and self._kinds != kinds:
            raise SourceError(Reason.NOT_MEDIA, "a playlist whose segments are not all of one kind")
        self._kinds = kinds


class SegmentPiece:
    """One segment, decrypted. `joints`: what has to agree to its beginning."""

    def __init__(self, run: Run, segment: Segment, keys: Keys, joints: Joints | None = None) -> None:
        self._joints = joints
        self._run = run
        self._cipher = segment.cipher
        self._keys = keys
        self._decipher: Decipher | None = None
        self._bytes = 0
        self._is_over = False

    async def take(self) -> bytes:
        """The next bytes, empty at the end. Raises SourceError."""
        if self._cipher is not None and self._decipher is None:
            self._decipher = await self._keys.decipher(self._cipher)
        while not self._is_over:
            data = await self._run.take()
            self._check(data)
            plain = self._plain(data)
            if plain:
                if self._joints is not None:
                    self._joints.check(plain)
                    self._joints = None
                return plain
        return b""

    def close(self) -> None:
        """Give up the connection."""
        self._run.close()

    def _check(self, data: bytes) -> None:
        if not self._bytes and (not data or is_page(data)):
            raise SourceError(Reason.NOT_MEDIA, "a segment with nothing of the film in it")
        self._bytes += len(data)
        if self._bytes > SEGMENT_BYTES_MAX:
            raise SourceError(Reason.NOT_MEDIA, f"a segment of more than {SEGMENT_BYTES_MAX} bytes")

    def _plain(self, data: bytes) -> bytes:
        self._is_over = not data
        if self._decipher is None:
            return data
        return self._decipher.update(data) if data else self._decipher.finish()


class HeadPiece:
    """The initialization section. Playlists do not agree on whether it is encrypted as the segments are, so it is
    looked at."""

    def __init__(self, run: Run, cipher: Cipher | None, keys: Keys) -> None:
        self._run = run
        self._cipher = cipher
        self._keys = keys
        self._read = bytearray()
        self._is_over = False

    async def take(self) -> bytes:
        """All of it at once, then nothing. Raises SourceError."""
        if self._is_over:
            return b""
        while data := await self._run.take():
            self._read += data
            if len(self._read) > HEAD_BYTES_MAX:
                raise SourceError(Reason.NOT_MEDIA, f"an initialization section of more than {HEAD_BYTES_MAX} bytes")
        head = bytes(self._read)
        if self._cipher is not None and head[4:8] not in MP4_BOXES:
            decipher = await self._keys.decipher(self._cipher)
            head = decipher.update(head) + decipher.finish()
        self._is_over = True
        return head

    def close(self) -> None:
        """Give up the connection."""
        self._run.close()


async def _read(run: Run, bytes_max: int) -> bytes:
    """All of something small. Raises SourceError NOT_MEDIA where it is not."""
    data = bytearray()
    try:
        while piece := await run.take():
            data += piece
            if len(data) > bytes_max:
                raise SourceError(Reason.NOT_MEDIA, f"a playlist or key of more than {bytes_max} bytes")
    finally:
        run.close()
    return bytes(data)
