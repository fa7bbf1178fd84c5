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


def by_height(quality: Quality) -> int:
    """Sort key: tallest first, AUTO last."""
    return -(quality.height_px or 0)
