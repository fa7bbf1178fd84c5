"""What the demonstration imports: invented films and series, with links as good and as bad as real ones.

A *clip* is one encoded picture; a *file* is a clip in some container; a link is a file at some host, declared with some
quality, and perhaps with a fault. A target can be delivered if at least one of its links is good.
"""

from __future__ import annotations

import enum

import msgspec

LARGE_BYTES = 8_000_000


class Packing(enum.StrEnum):
    """How a clip is packed into a file."""

    MP4 = "mp4"  # index first: goes out as it is
    MP4_INDEX_LAST = "mp4-index-last"  # must be remuxed
    MKV = "mkv"  # must be remuxed
    MKV_SUBTITLED = "mkv-subtitled"
    AVI = "avi"
    WEBM = "webm"  # does not play inside Telegram: goes out as a document
    CUT_SHORT = "cut-short"  # the first part of an MKV
    WEB_PAGE = "web-page"  # HTML that calls itself .mkv


class Codec(enum.StrEnum):
    H264 = "h264"
    HEVC = "hevc"
    MPEG4 = "mpeg4"
    VP9 = "vp9"


class Trouble(enum.StrEnum):
    """What is wrong with a link. All but SLOW make it useless."""

    NONE = "none"
    GONE = "gone"
    FORBIDDEN = "forbidden"
    STALLING = "stalling"  # a trickle, below any worker's patience
    SLOW = "slow"  # slow, but worth waiting for
    BREAKS_OFF = "breaks-off"
    RATE_LIMITED = "rate-limited"
    NOT_A_FILM = "not-a-film"
    MISLABELLED = "mislabelled"

    @property
    def is_fatal(self) -> bool:
        return self not in (Trouble.NONE, Trouble.SLOW)


class Clip(msgspec.Struct, frozen=True):
    """One encoded picture. `seed` makes it differ from all others; `video_bytes` is the size to aim at."""

    seed: int
    height_px: int
    codec: Codec = Codec.H264
    seconds: float = 2.0
    video_bytes: int | None = None
    has_audio: bool = True

    @property
    def is_large(self) -> bool:
        """Whether its upload takes long enough for a worker to be killed in the middle of it."""
        return (self.video_bytes or 0) > LARGE_BYTES

    @property
    def width_px(self) -> int:
        """16:9, whole and even."""
        return (self.height_px * 16 // 9 + 1) // 2 * 2


class Link(msgspec.Struct, frozen=True):
    """A link of the demonstration. `quality` is what CM says of it; None leaves it to be inferred from the name."""

    clip: Clip
    packing: Packing
    path: str
    quality: str | None = None
    trouble: Trouble = Trouble.NONE

    @property
    def is_good(self) -> bool:
        return not self.trouble.is_fatal


class Episode(msgspec.Struct, frozen=True):
    season: int
    number: int
    name: str
    links: tuple[Link, ...]


class Title(msgspec.Struct, frozen=True):
    """A film has links, a series has episodes. `search` is what the viewer types."""

    name: str
    year: int
    search: str
    links: tuple[Link, ...] = ()
    episodes: tuple[Episode, ...] = ()

    @property
    def is_series(self) -> bool:
        return bool(self.episodes)


def _film(number: int, name: str, year: int, search: str, *links: Link) -> Title:
    return Title(name, year, search, tuple(_at_host(number, link) for link in links))


def _at_host(number: int, link: Link) -> Link:
    """Give the link's file a folder of its own title."""
    return msgspec.structs.replace(link, path=f"films/{number:02d}/{link.path}")


_LIGHTHOUSE, _LIGHTHOUSE_HD = Clip(1, 1080), Clip(2, 720)
_STARS = Clip(3, 720)
_TRAIN, _TRAIN_SD = Clip(4, 1080, Codec.HEVC), Clip(5, 480, Codec.MPEG4)
_RAIN = Clip(6, 720)
_MAPS, _MAPS_LOW = Clip(7, 1080), Clip(8, 360)
_ORCHARD = Clip(9, 480, has_audio=False)
_HARBOUR = Clip(10, 480, Codec.VP9)
_REEL = Clip(11, 1080, seconds=4.0, video_bytes=16_000_000)
_REEL_TWO = Clip(12, 720, seconds=4.0, video_bytes=13_000_000)
_NOTHING = Clip(8, 360)
_FRAGMENT = Clip(13, 480)

FILMS: tuple[Title, ...] = (
    _film(
        1, "The Lighthouse at Noon", 1958, "lighthouse noon",
        Link(_LIGHTHOUSE, Packing.MKV_SUBTITLED, "The.Lighthouse.at.Noon.1958.1080p.BluRay.x264.mkv"),
        Link(_LIGHTHOUSE, Packing.MP4, "lighthouse-1080.mp4", "1080p", Trouble.GONE),
        Link(_LIGHTHOUSE_HD, Packing.MP4_INDEX_LAST, "The.Lighthouse.at.Noon.720p.mp4"),
        Link(_LIGHTHOUSE_HD, Packing.MP4, "lighthouse-720.mp4", "720p", Trouble.STALLING),
    ),
    _film(
        2, "Żółw i gwiazdy", 1979, "gwiazdy zolw",
        Link(_STARS, Packing.MP4, "zolw-i-gwiazdy.mp4", "720p", Trouble.SLOW),
        Link(_STARS, Packing.MKV, "Zolw.i.gwiazdy.1979.720p.mkv"),
    ),
    _film(
        3, "Night Train to Évora", 1994, "evora night",
        Link(_TRAIN, Packing.MKV, "Night.Train.to.Evora.1994.1080p.x265.mkv"),
        Link(_TRAIN, Packing.MP4, "evora.mp4", "1080p", Trouble.FORBIDDEN),
        Link(_TRAIN_SD, Packing.AVI, "Night.Train.to.Evora.480p.avi"),
    ),
    _film(
        4, "A Short History of Rain", 2003, "history rain",
        Link(_RAIN, Packing.MP4, "rain.mp4", "720p", Trouble.BREAKS_OFF),
        Link(_RAIN, Packing.WEB_PAGE, "A.Short.History.of.Rain.720p.WEB.mkv", None, Trouble.NOT_A_FILM),
        Link(_RAIN, Packing.CUT_SHORT, "A.Short.History.of.Rain.720p.HDTV.mkv", None, Trouble.BREAKS_OFF),
        Link(_RAIN, Packing.MKV, "A.Short.History.of.Rain.720p.mkv"),
    ),
    _film(
        5, "The Cartographer's Daughter", 2011, "cartographer",
        Link(_MAPS_LOW, Packing.MP4, "maps-best.mp4", "1080p", Trouble.MISLABELLED),
        Link(_MAPS, Packing.MKV, "The.Cartographers.Daughter.1080p.mkv"),
        Link(_MAPS_LOW, Packing.MP4, "The.Cartographers.Daughter.360p.mp4"),
    ),
    _film(
        6, "Silent Orchard", 1926, "silent orchard",
        Link(_ORCHARD, Packing.MP4, "Silent.Orchard.1926.480p.mp4"),
        Link(_ORCHARD, Packing.MKV, "Silent.Orchard.1926.480p.mkv"),
    ),
    _film(
        7, "Winter Harbour", 2016, "harbour winter",
        Link(_HARBOUR, Packing.WEBM, "Winter.Harbour.2016.480p.webm"),
        Link(_HARBOUR, Packing.WEBM, "winter-harbour.webm", "480p", Trouble.RATE_LIMITED),
    ),
    _film(
        8, "The Long Reel", 1971, "long reel",
        Link(_REEL, Packing.MP4, "reel-1.mp4", "1080p", Trouble.FORBIDDEN),
        Link(_REEL, Packing.MKV, "The.Long.Reel.1971.1080p.mkv"),
        Link(_REEL, Packing.MP4, "The.Long.Reel.1971.1080p.mp4"),
    ),
    _film(
        9, "The Longer Reel", 1972, "longer reel",
        Link(_REEL_TWO, Packing.MP4, "The.Longer.Reel.1972.720p.mp4"),
        Link(_REEL_TWO, Packing.MP4_INDEX_LAST, "longer.mp4", "720p"),
    ),
    _film(
        10, "Nothing Remains", 1919, "nothing remains",
        Link(_NOTHING, Packing.MP4, "Nothing.Remains.360p.mp4", None, Trouble.GONE),
        Link(_NOTHING, Packing.MKV, "Nothing.Remains.1919.360p.mkv", None, Trouble.GONE),
        Link(_NOTHING, Packing.MP4, "nothing.mp4", "360p", Trouble.FORBIDDEN),
    ),
    _film(
        11, "Untitled Fragment", 1933, "untitled fragment",
        Link(_FRAGMENT, Packing.MP4, "fragment.mp4"),
        Link(_FRAGMENT, Packing.MP4, "fragment-copy.mp4", None, Trouble.GONE),
    ),
)  # fmt: skip


def _episode(series: str, season: int, number: int, name: str, clip: Clip) -> Episode:
    stem = f"{series}.S{season:02d}E{number:02d}.{clip.height_px}p"
    trouble = Trouble.GONE if number % 2 else Trouble.NONE
    return Episode(
        season,
        number,
        name,
        (
            Link(clip, Packing.MP4, f"series/{stem}.mp4", None, trouble),
            Link(clip, Packing.MKV, f"series/{stem}.mkv"),
        ),
    )


SERIES: tuple[Title, ...] = (
    Title(
        "Harbour Lights", 1998, "harbour lights",
        episodes=(
            _episode("Harbour.Lights", 1, 1, "Arrivals", Clip(21, 720)),
            _episode("Harbour.Lights", 1, 2, "The Second Pilot", Clip(22, 720)),
            _episode("Harbour.Lights", 1, 3, "Slack Water", Clip(23, 720)),
            _episode("Harbour.Lights", 2, 1, "Departures", Clip(24, 480)),
        ),
    ),
    Title(
        "The Number Station", 2019, "number station",
        episodes=(
            _episode("The.Number.Station", 1, 1, "Four", Clip(31, 480)),
            _episode("The.Number.Station", 1, 2, "Nine", Clip(32, 480)),
            _episode("The.Number.Station", 1, 3, "Nought", Clip(33, 480)),
        ),
    ),
)  # fmt: skip

TITLES: tuple[Title, ...] = FILMS + SERIES


def links_of(title: Title) -> tuple[Link, ...]:
    """Every link of a title, those of its episodes included, in order."""
    return title.links + tuple(link for episode in title.episodes for link in episode.links)
