"""Frames of real releases, and what they are sold as."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecine.core.quality import Quality, agrees, of_frame

pixels = st.integers(1, 8192)
CLASSES = [quality for quality in Quality if quality is not Quality.AUTO]

SOLD: dict[Quality, list[tuple[int, int]]] = {
    Quality.UHD: [
        *[(3840, 2160), (3840, 1600), (3840, 1606), (3840, 2072), (3840, 1920), (4096, 2160), (4096, 1716)],
        *[(2880, 2160), (3832, 1592), (3168, 1800), (2840, 1760), (7680, 4320)],
    ],
    Quality.QHD: [(2560, 1440), (2560, 1066), (1920, 1440), (3440, 1440), (2336, 1312)],
    Quality.FULL_HD: [
        *[(1920, 1080), (1920, 800), (1920, 804), (1920, 816), (1920, 1040), (1920, 1036), (1920, 960), (1920, 818)],
        *[
            (1440, 1080),
            (1436, 1080),
            (1480, 1080),
            (1620, 1080),
            (1788, 1000),
            (1792, 1080),
            (1916, 796),
            (1904, 1072),
        ],
        *[(1920, 1088), (2048, 1080), (2048, 858), (1998, 1080), (2560, 1080), (1744, 736), (1316, 988), (1080, 1920)],
    ],
    Quality.HD: [
        *[(1280, 720), (1280, 534), (1280, 536), (1280, 544), (1280, 690), (1280, 640), (1280, 528), (1280, 718)],
        *[(960, 720), (962, 720), (988, 720), (1248, 704), (1184, 640), (1152, 640), (1720, 720), (1838, 720)],
        *[(848, 640), (1280, 1024), (720, 1280), (1280, 768), (1366, 768)],
    ],
    Quality.PAL: [
        *[(1024, 576), (720, 576), (768, 576), (1024, 436), (1024, 552), (704, 576), (702, 574), (1048, 576)],
        *[(992, 548), (704, 544), (1382, 576)],
    ],
    Quality.QUARTER_HD: [(960, 540), (960, 400), (960, 402), (720, 540), (880, 508), (1296, 540), (960, 528)],
    Quality.SD: [
        *[(854, 480), (852, 480), (848, 480), (720, 480), (640, 480), (720, 404), (720, 304), (704, 480), (853, 356)],
        *[(872, 480), (1146, 480), (1024, 576), (768, 576), (720, 576), (1024, 428), (480, 854)],
    ],
    Quality.LOW: [(640, 360), (640, 272), (624, 352), (480, 360), (576, 320), (862, 360), (640, 346)],
    Quality.TINY: [(426, 240), (320, 240), (424, 180), (352, 288), (574, 240), (400, 226)],
}


@pytest.mark.parametrize(("quality", "frame"), [(quality, frame) for quality in SOLD for frame in SOLD[quality]])
def test_frame_agrees_with_what_it_is_sold_as(quality: Quality, frame: tuple[int, int]) -> None:
    assert agrees(quality, *frame)
    assert agrees(quality, *reversed(frame))


@pytest.mark.parametrize(
    ("declared", "frame"),
    [
        (Quality.UHD, (1920, 1080)),
        (Quality.UHD, (2560, 1440)),
        (Quality.QHD, (1920, 1080)),
        (Quality.FULL_HD, (1280, 720)),
        (Quality.FULL_HD, (1280, 536)),
        (Quality.FULL_HD, (3840, 1600)),
        (Quality.FULL_HD, (1600, 900)),
        (Quality.HD, (1920, 800)),
        (Quality.HD, (1024, 576)),
        (Quality.HD, (854, 480)),
        (Quality.PAL, (854, 480)),
        (Quality.PAL, (960, 540)),
        (Quality.SD, (960, 540)),
        (Quality.SD, (640, 360)),
        (Quality.SD, (1280, 720)),
        (Quality.LOW, (854, 480)),
        (Quality.LOW, (426, 240)),
        (Quality.TINY, (640, 360)),
        (Quality.AUTO, (640, 360)),
    ],
)
def test_frame_of_another_class_does_not_agree(declared: Quality, frame: tuple[int, int]) -> None:
    assert not agrees(declared, *frame)


@given(pixels, pixels)
def test_every_frame_agrees_with_its_own_class(width_px: int, height_px: int) -> None:
    assert agrees(of_frame(width_px, height_px), width_px, height_px)


@given(st.sampled_from(Quality), pixels, pixels)
def test_turning_a_frame_does_not_change_what_it_agrees_with(quality: Quality, width_px: int, height_px: int) -> None:
    assert agrees(quality, width_px, height_px) == agrees(quality, height_px, width_px)


@given(pixels, pixels)
def test_a_frame_agrees_with_few_classes_that_lie_close_together(width_px: int, height_px: int) -> None:
    agreed = [place for place, quality in enumerate(CLASSES) if agrees(quality, width_px, height_px)]
    assert len(agreed) <= 3
    assert not agreed or agreed[-1] - agreed[0] <= 2


@given(pixels, pixels)
def test_only_frames_too_small_for_any_class_agree_with_the_unknown(width_px: int, height_px: int) -> None:
    unknown = of_frame(width_px, height_px) is Quality.AUTO
    assert agrees(Quality.AUTO, width_px, height_px) == unknown
    assert unknown != any(agrees(quality, width_px, height_px) for quality in CLASSES)


@given(st.sampled_from(CLASSES), st.floats(1.33, 2.0))
def test_full_height_agrees_whatever_the_shape(quality: Quality, shape: float) -> None:
    height_px = quality.height_px or 0
    assert agrees(quality, round(height_px * shape), height_px)
