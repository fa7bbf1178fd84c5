"""Picture qualities: their names and the class that a measured frame belongs to."""

from __future__ import annotations

import enum


class Quality(enum.StrEnum):
    """A class of picture height. The value is how it is spelled in codes."""

    UHD = "2160P"
    QHD = "1440P"
    FULL_HD = "1080P"
    HD = "720P"
    PAL = "576P"
    QUARTER_HD = "540P"
    SD = "480P"
    LOW = "360P"
    TINY = "240P"
    AUTO = "AUTO"  # not known, and a bucket of its own: links of unknown quality are never dropped

    @property
    def height_px(self) -> int | None:
        """Nominal height in pixels; None for AUTO."""
        return None if self is Quality.AUTO else int(self.value[:-1])

    @property
    def label(self) -> str:
        """How a person reads it: `1080p`, or `auto`."""
        return self.value.lower()


# Class of a measured frame: the first row with width >= w or height >= h. Measured over release practice:
# 1920x800, 1440x1080 and 1788x1000 are all sold as 1080p; 1280x534 as 720p; 3840x1600 as 2160p.
_FRAME_CLASSES: tuple[tuple[Quality, int, int], ...] = (
    (Quality.UHD, 3200, 1800),
    (Quality.QHD, 2400, 1350),
    (Quality.FULL_HD, 1800, 1000),
    (Quality.HD, 1200, 650),
    (Quality.PAL, 1000, 560),
    (Quality.QUARTER_HD, 900, 520),
    (Quality.SD, 700, 440),
    (Quality.LOW, 560, 330),
    (Quality.TINY, 400, 220),
)


def of_frame(width_px: int, height_px: int) -> Quality:
    """The class of a frame in pixels; portrait frames are turned first. Smaller than all classes is AUTO."""
    if height_px > width_px:
        width_px, height_px = height_px, width_px
    for quality, width_min_px, height_min_px in _FRAME_CLASSES:
        if width_px >= width_min_px or height_px >= height_min_px:
            return quality
    return Quality.AUTO


# Frames that are sold as a class although `of_frame` puts them into another: class, least and greatest width, least
# and greatest height. Wide pictures of full height, cropped borders, and DVDs, of which many catalogues know one class.
_SOLD_AS: tuple[tuple[Quality, int, int, int, int], ...] = (
    (Quality.UHD, 2800, 3840, 1720, 1800),  # 3:2 and 4:3 with a border cut off: 2840x1760
    (Quality.QHD, 3200, 3500, 1350, 1460),  # 3440x1440, scope at full height
    (Quality.QHD, 2300, 2400, 900, 1350),  # 2336x1312, borders cut off
    (Quality.FULL_HD, 2400, 2640, 1000, 1100),  # 2560x1080, 2592x1080, scope at full height
    (Quality.FULL_HD, 1680, 1800, 650, 1000),  # 1744x736, 1788x960, borders cut off
    (Quality.FULL_HD, 1280, 1680, 961, 1000),  # 1316x988, 4:3 with borders cut off
    (Quality.HD, 1800, 1850, 700, 730),  # 1838x720, 2.55:1 at full height
    (Quality.HD, 1120, 1200, 440, 650),  # 1184x640, 1152x486, borders cut off
    (Quality.HD, 820, 1200, 620, 650),  # 848x640, 4:3 with borders cut off
    (Quality.HD, 1200, 1280, 1000, 1024),  # 1280x1024, 5:4
    (Quality.PAL, 1200, 1400, 565, 580),  # 1382x576, scope at full height
    (Quality.PAL, 970, 1000, 380, 560),  # 992x548, borders cut off
    (Quality.PAL, 680, 780, 528, 560),  # 704x544, 4:3 with borders cut off
    (Quality.QUARTER_HD, 1000, 1300, 530, 548),  # 1296x540, scope at full height
    (Quality.QUARTER_HD, 860, 900, 360, 520),  # 880x508, borders cut off
    (Quality.SD, 900, 1160, 470, 486),  # 1146x480, scope at full height
    (Quality.SD, 680, 1060, 560, 580),  # 1024x576, 768x576: a PAL disc
    (Quality.SD, 1000, 1060, 400, 560),  # 1024x428: the same, cropped
    (Quality.LOW, 700, 870, 352, 366),  # 862x360, scope at full height
    (Quality.TINY, 560, 580, 234, 246),  # 574x240, scope at full height
)


def agrees(declared: Quality, width_px: int, height_px: int) -> bool:
    """Whether a frame is one that is sold as `declared`. Every frame agrees with its own class, and AUTO with no other.

    A frame that agrees with two classes is rightly called either; to call it the other one would correct nothing.
    """
    if height_px > width_px:
        width_px, height_px = height_px, width_px
    return of_frame(width_px, height_px) is declared or any(
        declared is quality and width_min <= width_px <= width_max and height_min <= height_px <= height_max
        for quality, width_min, width_max, height_min, height_max in _SOLD_AS
    )


def by_height(quality: Quality) -> int:
    """Sort key: tallest first, AUTO last."""
    return -(quality.height_px or 0)
