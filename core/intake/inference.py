"""The picture quality of a link, read off what is known of it without opening it.

Kinds of evidence are asked in a fixed order and the first that speaks decides: CM's own field, a playlist's
RESOLUTION, a frame size, `1080p`, `quality=1080`, a word such as `uhd`, a bare number that is a field of the path.
Within one kind a name given by CM comes before the URL, and the end of a text before its beginning. `hd` and `sd`
decide nothing: on live URLs `hd` was 720 in 108 cases and 1080 in 59. Even a spelled token is wrong for about one
live URL in twelve, so a probe overrides all of this later; nothing here is ever a reason to drop a link.
"""

from __future__ import annotations

import enum
import functools
import itertools
import re
from collections.abc import Callable, Iterator, Sequence

import msgspec

from telecine.core.intake.urlparts import UrlParts, split_url
from telecine.core.quality import Quality, of_frame

TEXT_CHARS_MAX = 8192  # what is longer is cut before it is looked at


class Evidence(enum.StrEnum):
    """Where a quality came from."""

    FIELD = "field"  # CM says so
    PLAYLIST = "playlist"  # RESOLUTION of an HLS master playlist
    SIZE = "size"  # 1920x1080
    TOKEN = "token"  # noqa: S105 - 1080p, not a secret
    QUERY = "query"  # ?quality=1080
    WORD = "word"  # 4k, uhd, fhd
    NUMBER = "number"  # /1080/index.m3u8, film_1080.mp4
    NONE = "none"


class Inferred(msgspec.Struct, frozen=True):
    """A quality and what it rests on. AUTO goes with NONE and with nothing else."""

    quality: Quality
    evidence: Evidence


def infer(url: str, *, declared: str | None = None, name: str | None = None, playlist: str | None = None) -> Inferred:
    """The quality of a link. Never raises, whatever the texts hold.

    `declared` is CM's quality field, `name` a file or release name that CM gives beside the URL, `playlist` the
    text of an HLS master playlist if somebody has fetched it.
    """
    if declared is not None and (quality := of_declared(declared)):
        return Inferred(quality, Evidence.FIELD)
    if playlist is not None and (quality := of_playlist(playlist)):
        return Inferred(quality, Evidence.PLAYLIST)
    parts = split_url(url[:TEXT_CHARS_MAX])
    names = [name[:TEXT_CHARS_MAX]] if name else []
    for evidence, find in _KINDS:
        if quality := next(find(names, parts), None):
            return Inferred(quality, evidence)
    return Inferred(Quality.AUTO, Evidence.NONE)


def of_declared(text: str) -> Quality | None:
    """The quality that CM's field names: `1080p`, `1080`, `1920x1080`, `4K`, `Full HD`; None where it names none."""
    text = text[:TEXT_CHARS_MAX].strip()
    if re.fullmatch(r"[0-9]{3,4}", text):
        return _of_height(int(text))
    for find in (_sizes, _tokens, _words):
        if quality := _last(find(text)):
            return quality
    return None


def of_playlist(text: str) -> Quality | None:
    """The tallest RESOLUTION of an HLS master playlist; None for a text that lists none."""
    lines = (line for line in text.splitlines() if line.startswith("#EXT-X-STREAM-INF:"))
    frames = (_RESOLUTION.search(line) for line in lines)
    found = [quality for match in frames if match and (quality := _of_size(match))]
    return max(found, key=lambda quality: quality.height_px or 0, default=None)


# ---- what a text spells --------------------------------------------------------------------------

_RESOLUTION = re.compile(r"[:,]\s*RESOLUTION=(?P<width>[0-9]{2,5})x(?P<height>[0-9]{2,5})")
_SIZE = re.compile(
    r"(?<![0-9a-z])(?P<width>[0-9]{3,5})(?! x26[45])"  # `720 x264` is a height and a codec
    r" ?[x\u00d7*] ?(?P<height>[0-9]{3,5})(?:[pi](?:[0-9]{2,3})?)?(?![0-9a-z])",
    re.IGNORECASE,
)
_TOKEN = re.compile(
    r"(?<![0-9A-Za-z])"  # a whole word, not the inside of an opaque id such as 1a480bXyz720p
    r"(?:[A-Z]?[a-z]*|[A-Z]+)"  # video1080p, HD720p: letters of one kind, not the mixture of an id
    r"(?P<height>[0-9]{3,4})[pPiI]"
    r"(?:[0-9]{2,3}(?:[fF][pP][sS])?)?"  # 1080p60, 720p25fps
    r"(?i:hevc|[xh]\.?26[45]|hd(?:tv|rip|r)?|web(?:-?dl|rip)?|blu-?ray|(?:8|10)bit)?"
    r"(?![0-9A-Za-z])"
)
_HD_TOKEN = re.compile(r"(?<![0-9a-z])[ufq]?hd[-_ ]?(?P<height>2160|1440|1080|720)(?![0-9a-z])", re.IGNORECASE)
_WORD = re.compile(
    r"(?<![0-9a-z])(?:(?P<uhd>[48]k(?:uhd)?|uhd(?:tv|rip)?|ultra[-_. ]?hd)|fhd|full[-_. ]?hd)(?![0-9a-z])"
    r"(?![-_. ]*(?:remaster|restor|scan|transfer|master))",  # a 4K restoration is sold in every size
    re.IGNORECASE,
)
_ASPECT_MAX = 3.0  # width by height; wider than any film, so not a frame
_FRAME_PX_MAX = 8192
_HEIGHT_PX_MAX = 4320


def _sizes(text: str) -> Iterator[Quality]:
    for match in _SIZE.finditer(text):
        if quality := _of_size(match):
            yield quality


def _tokens(text: str) -> Iterator[Quality]:
    matches = [*_TOKEN.finditer(text), *_HD_TOKEN.finditer(text)]
    for match in sorted(matches, key=lambda found: found.start()):
        if quality := _of_height(int(match["height"])):
            yield quality


def _words(text: str) -> Iterator[Quality]:
    for match in _WORD.finditer(text):
        yield Quality.UHD if match["uhd"] else Quality.FULL_HD


def _of_size(match: re.Match[str]) -> Quality | None:
    width, height = sorted((int(match["width"]), int(match["height"])), reverse=True)
    if not height or width > _FRAME_PX_MAX or width / height > _ASPECT_MAX:
        return None
    return _known(of_frame(width, height))


def _of_height(height_px: int) -> Quality | None:
    if height_px > _HEIGHT_PX_MAX:
        return None
    return _known(of_frame(height_px, height_px))  # a square, so that only the height can decide


def _known(quality: Quality) -> Quality | None:
    return None if quality is Quality.AUTO else quality


def _last(found: Iterator[Quality]) -> Quality | None:
    last = None
    for last in found:  # noqa: B007 - only the last one counts
        pass
    return last


# ---- where it is looked for ----------------------------------------------------------------------


def _spelled(find: Callable[[str], Iterator[Quality]], names: Sequence[str], parts: UrlParts) -> Iterator[Quality]:
    texts = (*names, *reversed(parts.segments), *(value for _, value in parts.query))
    return (quality for text in texts if (quality := _last(find(text))))


def _in_query(_names: Sequence[str], parts: UrlParts) -> Iterator[Quality]:
    values = (value.replace("+", " ") for key, value in parts.query if key.lower() in _QUALITY_KEYS)
    return (quality for value in values if (quality := of_declared(value)))


def _in_words(names: Sequence[str], parts: UrlParts) -> Iterator[Quality]:
    return _spelled(_words, names, UrlParts(parts.segments, ()))


def _in_numbers(_names: Sequence[str], parts: UrlParts) -> Iterator[Quality]:
    above, folder, file = ("", "", "", *parts.segments)[-3:]
    suffix = _SUFFIX.search(file)
    stem = file[: suffix.start()] if suffix else file
    if stem in _HEIGHTS:
        if folder and not _names_ids(folder):
            yield _HEIGHTS[stem]
        return
    if quality := _in_fields(stem):
        yield quality
    if suffix and _MEDIA_SUFFIX.fullmatch(suffix[0]) and folder in _HEIGHTS and not _names_ids(above):
        yield _HEIGHTS[folder]


def _in_fields(stem: str) -> Quality | None:
    """The last field that is a height. The first field of a name is its title, one behind ` - ` or `ep` a number."""
    fields = list(_FIELD.finditer(stem))
    for before, field in reversed(list(itertools.pairwise(fields))):
        gap = stem[before.end() : field.start()]
        if field[0] in _HEIGHTS and " - " not in gap and not _names_ids(before[0]):
            return _HEIGHTS[field[0]]
    return None


def _names_ids(text: str) -> bool:
    noun = text.lower()
    return noun in _ID_NOUNS or noun.removesuffix("s") in _ID_NOUNS


_QUALITY_KEYS = frozenset({"quality", "resolution", "res", "height", "vq", "definition", "video_quality", "rendition"})
_HEIGHTS = {str(quality.height_px): quality for quality in Quality if quality is not Quality.AUTO}
_FIELD = re.compile(r"[^\W_]+")
_SUFFIX = re.compile(r"\.(?=[0-9]*[A-Za-z])[0-9A-Za-z]{2,5}$")
_MEDIA_SUFFIX = re.compile(
    r"\.(?:m3u8|mpd|mp4|m4v|m4s|mkv|webm|m?2?ts|avi|mov|flv|f4v|wmv|mpe?g|vob|3gp|ism[vc]?)", re.IGNORECASE
)
# Words that announce a number of something else, in the singular.
_ID_NOUNS = frozenset(
    re.split(
        r"\s+",
        """album article asset c category ch channel chapter clip content e embed ep episode event film group i id item
        key live movie news no node number p page part play player playlist post product program programme s season
        series show t title topic track tv u user v video view vol volume watch""",
    )
)

_Find = Callable[[Sequence[str], UrlParts], Iterator[Quality]]
_KINDS: tuple[tuple[Evidence, _Find], ...] = (
    (Evidence.SIZE, functools.partial(_spelled, _sizes)),
    (Evidence.TOKEN, functools.partial(_spelled, _tokens)),
    (Evidence.QUERY, _in_query),
    (Evidence.WORD, _in_words),
    (Evidence.NUMBER, _in_numbers),
)
