"""Coded names: what a file, a caption and a channel are called in Telegram.

A code names one upload target and says nothing about the title to a stranger:

    CM_M000321_1080P                 film 321
    CM_S000045_S01E03_720P           series 45, season 1, episode 3
    CM_M000321_1080P_P02OF03         the second of three parts
    CM_M000321_1080P_C02             the second copy of film 321, with another account
    CM_M000321_1080P_C02_P02OF03     the second of its parts
    CM_C000012                       storage channel 12

Numbers are padded to a minimal width and grow beyond it, so every code has exactly one spelling:
`parse(str(code)) == code` and `str(parse(text)) == text` for every valid text.
"""

from __future__ import annotations

import re

import msgspec

from telecine.core.errors import InputError
from telecine.core.quality import Quality

TITLE_NUMBER_MAX = 10**12 - 1
EPISODE_NUMBER_MAX = 10**5 - 1  # dated specials are numbered by some catalogues as MMDD or day of year
PART_COUNT_MAX = 99
COPIES_MAX = 2  # accounts that hold the same upload


class VariantCode(msgspec.Struct, frozen=True, order=True):
    """One upload target, or a further copy of it. `season` and `episode` are both given (an episode) or both None (a
    film). `copy` is 1 for the original, which is spelled without it."""

    title_number: int
    quality: Quality
    season: int | None = None
    episode: int | None = None
    copy: int = 1

    def __post_init__(self) -> None:
        _check("title number", self.title_number, 1, TITLE_NUMBER_MAX)
        if (self.season is None) != (self.episode is None):
            raise InputError("season and episode are given together or not at all", field="episode")
        if self.season is not None and self.episode is not None:
            _check("season", self.season, 0, EPISODE_NUMBER_MAX)
            _check("episode", self.episode, 0, EPISODE_NUMBER_MAX)
        _check("copy", self.copy, 1, COPIES_MAX)

    @property
    def is_episode(self) -> bool:
        return self.season is not None

    @property
    def copies(self) -> tuple[VariantCode, ...]:
        """The codes of all copies that there may be of this target, the original first."""
        return tuple(msgspec.structs.replace(self, copy=number) for number in range(1, COPIES_MAX + 1))

    def __str__(self) -> str:
        suffix = self.quality.value if self.copy == 1 else f"{self.quality.value}_C{self.copy:02d}"
        if self.season is None:
            return f"CM_M{self.title_number:06d}_{suffix}"
        return f"CM_S{self.title_number:06d}_S{self.season:02d}E{self.episode:02d}_{suffix}"


class PartCode(msgspec.Struct, frozen=True, order=True):
    """One file of an upload target. A target sent whole is part 1 of 1 and spelled without a suffix."""

    variant: VariantCode
    part_no: int = 1
    part_count: int = 1

    def __post_init__(self) -> None:
        _check("part count", self.part_count, 1, PART_COUNT_MAX)
        _check("part number", self.part_no, 1, self.part_count)

    def __str__(self) -> str:
        if self.part_count == 1:
            return str(self.variant)
        return f"{self.variant}_P{self.part_no:02d}OF{self.part_count:02d}"


_CODE = re.compile(
    r"CM_(?:M(?P<film>\d{6,12})|S(?P<series>\d{6,12})_S(?P<season>\d{2,5})E(?P<episode>\d{2,5}))"
    r"_(?P<quality>\d{3,4}P|AUTO)(?:_C(?P<copy>\d{2}))?(?:_P(?P<part_no>\d{2})OF(?P<part_count>\d{2}))?",
    re.ASCII,
)
_CODE_IN_TEXT = re.compile(rf"(?<![A-Za-z0-9]){_CODE.pattern}(?![A-Za-z0-9_])", re.ASCII)
_CHANNEL = re.compile(r"CM_C(?P<number>\d{6,12})", re.ASCII)


def parse(text: str) -> PartCode:
    """Read a code. Raises InputError, naming the text, for anything that `str` would not print."""
    match = _CODE.fullmatch(text)
    if match is None:
        raise _not_a_code(text)
    try:
        code = _build(match)
    except (InputError, ValueError) as error:
        raise _not_a_code(text) from error
    if str(code) != text:  # a second spelling, such as CM_M0000321_1080P
        raise _not_a_code(text)
    return code


def parse_variant(text: str) -> VariantCode:
    """Read the code of a whole target. Raises InputError, also for the code of one part of several."""
    code = parse(text)
    if code.part_count != 1:
        raise InputError(f"{text!r} names one part; give the code without _PxxOFyy", field="code")
    return code.variant


def find(text: str) -> PartCode | None:
    """The first code in a longer text, such as a caption; None where there is none. What is left of a longer code that
    was cut off is none: a part would be taken for the whole."""
    for match in _CODE_IN_TEXT.finditer(text):
        try:
            return parse(match.group())
        except InputError:
            continue
    return None


def channel_code(number: int) -> str:
    """The coded title of a storage channel."""
    _check("channel number", number, 1, TITLE_NUMBER_MAX)
    return f"CM_C{number:06d}"


def parse_channel(text: str) -> int:
    """The number in a coded channel title. Raises InputError for anything else."""
    match = _CHANNEL.fullmatch(text)
    if match is None or channel_code(int(match["number"])) != text:
        raise InputError(f"{text!r} is not a coded channel title such as CM_C000001", field="channel")
    return int(match["number"])


def _build(match: re.Match[str]) -> PartCode:
    season, episode = match["season"], match["episode"]
    variant = VariantCode(
        title_number=int(match["film"] or match["series"]),
        quality=Quality(match["quality"]),
        season=None if season is None else int(season),
        episode=None if episode is None else int(episode),
        copy=int(match["copy"] or 1),
    )
    if match["part_no"] is None:
        return PartCode(variant)
    return PartCode(variant, int(match["part_no"]), int(match["part_count"]))


def _check(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InputError(f"{name} must be between {low} and {high}, not {value}", field=name)


def _not_a_code(text: str) -> InputError:
    return InputError(f"{text!r} is not a code such as CM_M000321_1080P or CM_S000045_S01E03_720P", field="code")
