from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecine.core.quality import Quality, by_height, of_frame

pixels = st.integers(1, 8192)


@pytest.mark.parametrize(
    ("width_px", "height_px", "quality"),
    [
        (3840, 1600, Quality.UHD),
        (4096, 1716, Quality.UHD),
        (2560, 1080, Quality.QHD),
        (1920, 1080, Quality.FULL_HD),
        (1920, 800, Quality.FULL_HD),
        (1440, 1080, Quality.FULL_HD),
        (1788, 1000, Quality.FULL_HD),
        (1280, 720, Quality.HD),
        (1280, 534, Quality.HD),
        (960, 720, Quality.HD),
        (1024, 576, Quality.PAL),
        (720, 576, Quality.PAL),
        (960, 540, Quality.QUARTER_HD),
        (854, 480, Quality.SD),
        (640, 480, Quality.SD),
        (640, 360, Quality.LOW),
        (426, 240, Quality.TINY),
        (256, 144, Quality.AUTO),
        (1080, 1920, Quality.FULL_HD),
    ],
)
def test_frame_belongs_to_the_class_it_is_sold_as(width_px: int, height_px: int, quality: Quality) -> None:
    assert of_frame(width_px, height_px) is quality


@given(pixels, pixels)
def test_turning_a_frame_does_not_change_its_class(width_px: int, height_px: int) -> None:
    assert of_frame(width_px, height_px) is of_frame(height_px, width_px)


@given(pixels, pixels, st.integers(0, 500))
def test_larger_frame_is_never_of_a_lower_class(width_px: int, height_px: int, more_px: int) -> None:
    smaller, larger = of_frame(width_px, height_px), of_frame(width_px + more_px, height_px + more_px)
    assert by_height(larger) <= by_height(smaller)


@pytest.mark.parametrize("quality", [quality for quality in Quality if quality is not Quality.AUTO])
def test_nominal_height_is_of_its_own_class(quality: Quality) -> None:
    height_px = quality.height_px
    assert height_px is not None
    assert of_frame(height_px, height_px) is quality
    assert of_frame(round(height_px * 16 / 9), height_px) is quality
    assert quality.label == f"{height_px}p"


def test_unknown_comes_last_and_has_no_height() -> None:
    ordered = sorted(Quality, key=by_height)
    assert ordered[0] is Quality.UHD
    assert ordered[-1] is Quality.AUTO
    assert (Quality.AUTO.height_px, Quality.AUTO.label) == (None, "auto")
