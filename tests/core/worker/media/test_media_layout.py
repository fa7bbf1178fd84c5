from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecine.core.worker.media.layout import BOXES_MAX, Layout, survey


def box(kind: bytes, content: bytes = b"") -> bytes:
    return (len(content) + 8).to_bytes(4, "big") + kind + content


def large_box(kind: bytes, length: int) -> bytes:
    return (1).to_bytes(4, "big") + kind + length.to_bytes(8, "big")


FTYP = box(b"ftyp", b"isom" + bytes(12))
MOOV = box(b"moov", box(b"mvhd", bytes(100)) + box(b"trak", bytes(300)))
MDAT = box(b"mdat", bytes(5000))


def surveyed(content: bytes, size_bytes: int | None = -1) -> Layout:
    size = len(content) if size_bytes == -1 else size_bytes
    return survey(lambda at, length: content[at : at + length], size)


def test_index_in_front_is_seen_with_its_length() -> None:
    layout = surveyed(FTYP + MOOV + box(b"free", bytes(50)) + MDAT)
    assert layout.moov_first is True
    assert layout.moov_bytes == len(MOOV)
    assert layout.declared_bytes == len(FTYP + MOOV + MDAT) + 58
    assert not layout.falls_short(layout.declared_bytes)


@pytest.mark.parametrize("start", [b"", FTYP])
def test_index_at_the_end_is_seen(start: bytes) -> None:
    layout = surveyed(start + MDAT + MOOV)
    assert layout.moov_first is False
    assert layout.declared_bytes == len(start + MDAT + MOOV)


@pytest.mark.parametrize("order", [FTYP + MDAT + MOOV, FTYP + MOOV + MDAT])
def test_file_that_lacks_its_end_falls_short(order: bytes) -> None:
    cut = order[:3000]
    assert surveyed(cut).falls_short(len(cut))


def test_missing_index_is_not_in_front() -> None:
    assert surveyed(FTYP + MDAT).moov_first is False


def test_body_larger_than_four_gib_is_measured() -> None:
    layout = surveyed(FTYP + MOOV + large_box(b"mdat", 5 << 30), size_bytes=4 << 30)
    assert layout.declared_bytes == len(FTYP + MOOV) + (5 << 30)
    assert layout.falls_short(4 << 30)
    assert not layout.falls_short(None)


def test_body_that_goes_on_to_the_end_declares_what_is_there() -> None:
    content = FTYP + MOOV + (0).to_bytes(4, "big") + b"mdat" + bytes(700)
    assert surveyed(content).declared_bytes == len(content)


@pytest.mark.parametrize(
    "content", [FTYP + box(b"moov", box(b"mvex", bytes(8))) + box(b"moof"), FTYP + MOOV + box(b"moof", bytes(9)) + MDAT]
)
def test_fragments_are_not_an_index(content: bytes) -> None:
    layout = surveyed(content)
    assert layout.is_fragmented
    assert layout.moov_first is False


def test_chain_of_boxes_without_end_is_given_up() -> None:
    reads = 0

    def read(at: int, length: int) -> bytes:
        nonlocal reads
        reads += 1
        return box(b"free")[:length] + bytes(length - 8)

    assert survey(read, None).moov_first is False
    assert reads <= BOXES_MAX + 1


@pytest.mark.parametrize(
    ("content", "declared"),
    [
        (b"\x1a\x45\xdf\xa3\x84abcd\x18\x53\x80\x67\x43\xe8", 15 + 1000),
        (b"\x1a\x45\xdf\xa3\x84abcd\x18\x53\x80\x67\x01\x00\x00\x00\x00\x00\x03\xe8", 21 + 1000),
        (b"\x1a\x45\xdf\xa3\x84abcd\x18\x53\x80\x67\x01" + b"\xff" * 7, None),
        (b"\x1a\x45\xdf\xa3\x84abcd\x18\x53\x80\x67\xff", None),
        (b"\x1a\x45\xdf\xa3\x84abcdXXXX\x43\xe8", None),
        (b"\x1a\x45\xdf\xa3\x00", None),
        (b"RIFF\xe8\x03\x00\x00AVI ", 1008),
        (b"RIFF\xff\xff\xff\xffAVI ", None),
        (b"RIFF\x00\x00\x00\x00AVI ", None),
        (b"<html>", None),
        (b"", None),
    ],
)
def test_declared_length_of_other_containers(content: bytes, declared: int | None) -> None:
    assert surveyed(content).declared_bytes == declared
    assert surveyed(content).moov_first is None


@given(st.binary(max_size=300), st.sampled_from([b"", FTYP, FTYP + MOOV, b"\x1a\x45\xdf\xa3", b"RIFF"]))
def test_anything_is_surveyed(content: bytes, start: bytes) -> None:
    layout = surveyed(start + content)
    assert layout.declared_bytes is None or layout.declared_bytes >= 0
    assert surveyed(start + content, None).is_mp4 == layout.is_mp4
