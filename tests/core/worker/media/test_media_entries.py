from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecine.core.worker.media.entries import h264_begins, hevc_begins

# One unit of each kind; the byte behind the header is not looked at but in SEI.
PARAMETERS, IDR, SLICE, DELIMITER = b"\x67\x42", b"\x65\x88", b"\x41\x9a", b"\x09\x10"
RECOVERY_NOW = b"\x06\x06\x01\xc4\x80"  # recovery_frame_cnt 0
RECOVERY_LATER = b"\x06\x06\x01\x24\x80"  # after eight frames
OTHER_SEI_FIRST = b"\x06\x05\x02ab\x06\x01\xc4\x80"
OTHER_SEI = b"\x06\x05\x02ab\x80"


def with_lengths(*units: bytes) -> bytes:
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


def with_start_codes(*units: bytes) -> bytes:
    return b"".join(b"\x00\x00\x00\x01" + unit for unit in units)


@pytest.mark.parametrize(
    ("units", "begins"),
    [
        ((IDR,), True),
        ((DELIMITER, PARAMETERS, IDR), True),
        ((SLICE,), False),
        ((RECOVERY_NOW, SLICE), True),
        ((OTHER_SEI_FIRST, SLICE), True),
        ((OTHER_SEI, SLICE), False),
        ((RECOVERY_LATER, SLICE), False),
        ((SLICE, RECOVERY_NOW), False),
        ((PARAMETERS,), False),
        ((), False),
    ],
)
def test_h264_begins_at_idr_pictures_and_recovery_points(units: tuple[bytes, ...], begins: bool) -> None:
    assert h264_begins(with_lengths(*units), 4) is begins
    assert h264_begins(with_start_codes(*units), None) is begins


@pytest.mark.parametrize(
    ("kind", "begins"), [(0, False), (1, False), (8, False), (9, False), (16, True), (19, True), (20, True), (21, True)]
)
def test_hevc_begins_at_pictures_for_random_access(kind: int, begins: bool) -> None:
    parameters, picture = bytes([32 << 1, 1]), bytes([kind << 1, 1, 0xAF])
    assert hevc_begins(with_lengths(parameters, picture), 4) is begins
    assert hevc_begins(with_start_codes(parameters, picture), None) is begins


@given(picture=st.binary(max_size=200), prefix=st.sampled_from([None, 1, 2, 4]))
def test_whatever_a_picture_is_made_of_there_is_an_answer(picture: bytes, prefix: int | None) -> None:
    assert h264_begins(picture, prefix) in (True, False)
    assert hevc_begins(picture, prefix) in (True, False)
