"""HTTP Live Streaming (RFC 8216): what a playlist says, as far as a film can be read from it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import m3u8  # type: ignore[import-untyped]
import msgspec
from yarl import URL

from telecine.core import quality as qualities
from telecine.core.quality import Quality
from telecine.core.reasons import Reason
from telecine.core.worker.sources.errors import SourceError
from telecine.core.worker.sources.link import parsed

BEGINNING = b"#EXTM3U"
PLAYLIST_BYTES_MAX = 8 * 1024 * 1024
SEGMENTS_MAX = 50_000
AUDIO_CODECS = ("mp4a", "ac-3", "ec-3", "ac-4", "opus", "flac", "mp3", "alac", "dts")
_TAGS_OF_FILMS = {"#EXTINF", "#EXT-X-ENDLIST", "#EXT-X-GAP", "#EXT-X-DISCONTINUITY", "#EXT-X-I-FRAMES-ONLY"}
_TAGS_OF_BYTES = {"#EXT-X-BYTERANGE", "#EXT-X-KEY", "#EXT-X-MAP", "#EXT-X-MEDIA-SEQUENCE"}
_TAGS_OF_CHOICES = {"#EXT-X-STREAM-INF", "#EXT-X-MEDIA"}
_TAGS_READ = frozenset({"#EXTM3U"} | _TAGS_OF_FILMS | _TAGS_OF_BYTES | _TAGS_OF_CHOICES)
_MALFORMED = (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, m3u8.ParseError)


class Stretch(msgspec.Struct, frozen=True):
    """A file, or so many bytes of it. `length` None: to its end."""

    url: str
    start: int = 0
    length: int | None = None

    @property
    def end(self) -> int | None:
        return None if self.length is None else self.start + self.length


class Cipher(msgspec.Struct, frozen=True):
    """AES-128 in CBC mode: where the key is, and what the first block was mixed with."""

    key_url: str
    iv: bytes


class Segment(msgspec.Struct, frozen=True):
    """A few seconds of a film. `is_joint`: where something else may begin, such as an advertisement."""

    bytes_at: Stretch
    cipher: Cipher | None = None
    is_joint: bool = False


class Film(msgspec.Struct, frozen=True):
    """All segments of one film. `head`: what a decoder needs before the first, for fragmented MP4."""

    segments: tuple[Segment, ...]
    duration_s: float
    head: Segment | None = None


class Choice(msgspec.Struct, frozen=True):
    """Another playlist that has the film in the quality that was chosen."""

    url: str


def looks_like_playlist(head: bytes) -> bool:
    """Whether a file with this beginning is a playlist, whatever its name and type say."""
    return head.removeprefix(b"\xef\xbb\xbf").startswith(BEGINNING)


def parse(text: str, base: URL, quality: Quality) -> Film | Choice:
    """What a playlist that came from `base` holds: a film, or where the one of `quality` is, or else of the best.

    Raises SourceError NOT_MEDIA for what no film can be made of.
    """
    entries = _entries(text)
    if entries > SEGMENTS_MAX:  # each takes about a kilobyte once it is parsed
        raise SourceError(Reason.NOT_MEDIA, f"a playlist of {entries} segments")
    try:
        playlist: Any = m3u8.loads(_legible(text))
        return Choice(_chosen(playlist, base, quality)) if playlist.is_variant else _film(playlist, base)
    except _MALFORMED as error:
        raise SourceError(Reason.NOT_MEDIA, "a playlist that cannot be understood") from error


def _legible(text: str) -> str:
    """The lines that a film is read off. What other tags say may be as wrong as it likes."""
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if not line.startswith("#") or line.partition(":")[0] in _TAGS_READ)


def _entries(text: str) -> int:
    return sum(1 for line in text.splitlines() if line and not line.startswith("#"))


def _chosen(master: Any, base: URL, quality: Quality) -> str:
    """The URL of the variant that comes closest. Sound has to be in the same stream as the picture."""
    films = [variant for variant in master.playlists if not _is_sound_alone(variant.stream_info)]
    apart = _groups_apart(master)
    complete = [film for film in films if film.stream_info.audio not in apart]
    if not complete:
        why = "its sound is apart from its picture" if films else "it names no film"
        raise SourceError(Reason.NOT_MEDIA, f"a playlist of playlists: {why}")
    best = max(complete, key=lambda film: _rank(film.stream_info, quality))
    return _absolute(base, best.uri)


def _groups_apart(master: Any) -> set[str | None]:
    """Groups of sound tracks of which none is in the stream of the picture."""
    sounds = [medium for medium in master.media if medium.type == "AUDIO"]
    within = {medium.group_id for medium in sounds if not medium.uri}
    return {medium.group_id for medium in sounds} - within


def _is_sound_alone(info: Any) -> bool:
    codecs = _codecs(info)
    return bool(codecs) and info.resolution is None and all(codec.startswith(AUDIO_CODECS) for codec in codecs)


def _rank(info: Any, quality: Quality) -> tuple[bool, bool, int, int]:
    width, height = info.resolution or (0, 0)
    codecs = _codecs(info)
    is_silent = bool(codecs) and not any(codec.startswith(AUDIO_CODECS) for codec in codecs)
    wanted = quality is not Quality.AUTO and qualities.of_frame(width, height) is quality
    return wanted, not is_silent, width * height, info.bandwidth or 0


def _codecs(info: Any) -> list[str]:
    return [codec.strip().lower() for codec in (info.codecs or "").split(",") if codec.strip()]


def _film(playlist: Any, base: URL) -> Film:
    if not playlist.is_endlist:
        raise SourceError(Reason.NOT_MEDIA, "a live stream: its playlist has no end")
    if playlist.is_i_frames_only:
        raise SourceError(Reason.NOT_MEDIA, "a playlist of single pictures")
    if not 0 < len(playlist.segments) <= SEGMENTS_MAX:
        raise SourceError(Reason.NOT_MEDIA, f"a playlist of {len(playlist.segments)} segments")
    duration_s = math.fsum(segment.duration or 0.0 for segment in playlist.segments)
    if not 0 <= duration_s < math.inf:
        raise SourceError(Reason.NOT_MEDIA, "a playlist of no length in time")
    return Film(tuple(_segments(playlist, base)), duration_s, _head(playlist, base))


def _segments(playlist: Any, base: URL) -> Iterator[Segment]:
    at = Stretch("")
    for number, segment in enumerate(playlist.segments, playlist.media_sequence or 0):
        if segment.gap_tag:
            raise SourceError(Reason.TRUNCATED, "a playlist with segments that are missing")
        url = _absolute(base, segment.uri)
        follows = (at.end or 0) if at.url == url else 0
        at = _stretch(url, segment.byterange, follows)
        yield Segment(at, _cipher(segment.key, base, number), is_joint=bool(segment.discontinuity))


def _head(playlist: Any, base: URL) -> Segment | None:
    """The one initialization section of all segments: with another, the film's parameters change on the way."""
    sections = {_section(segment, base) for segment in playlist.segments}
    if len(sections) > 1:
        raise SourceError(Reason.NOT_MEDIA, "a playlist whose segments are not all of one kind")
    section = next(iter(sections))
    if section is None:
        return None
    first = playlist.segments[0]
    return Segment(section, _cipher(first.key, base, None))


def _section(segment: Any, base: URL) -> Stretch | None:
    section = segment.init_section
    return None if section is None else _stretch(_absolute(base, section.uri), section.byterange, 0)


def _cipher(key: Any, base: URL, number: int | None) -> Cipher | None:
    """How a segment is encrypted. `number`: what stands in for an IV that is not given; None: nothing does."""
    if key is None or key.method == "NONE":
        return None
    if key.method != "AES-128" or (key.keyformat or "identity") != "identity":
        raise SourceError(Reason.NOT_MEDIA, f"is protected by {str(key.method)[:20]}, which is not undone")
    if key.iv is None and number is None:
        return None
    iv = number if key.iv is None else int(key.iv, 16)
    return Cipher(_absolute(base, key.uri), (iv or 0).to_bytes(16, "big"))


def _stretch(url: str, byterange: str | None, follows: int) -> Stretch:
    if not byterange:
        return Stretch(url)
    length, _, start = byterange.partition("@")
    found = Stretch(url, int(start) if start else follows, int(length))
    if found.start < 0 or int(length) <= 0:
        raise SourceError(Reason.NOT_MEDIA, "a playlist with a range that is none")
    return found


def _absolute(base: URL, uri: str) -> str:
    if not uri or "{$" in uri:
        raise SourceError(Reason.NOT_MEDIA, "a playlist with addresses that are not there")
    return str(base.join(parsed(uri)))
