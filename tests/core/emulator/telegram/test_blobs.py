"""Bytes come back as they went in, wherever they are kept and in whatever order the parts came."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telecine.core.emulator.telegram.blobs import Blobs, FolderBlobs, MemoryBlobs

KIB = 1024


@pytest.fixture(params=["memory", "folder"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return MemoryBlobs() if request.param == "memory" else FolderBlobs(tmp_path / "blobs")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.integers(1, 5 * KIB),
    part_bytes=st.sampled_from([KIB, 512 * KIB]),
    offset=st.integers(0, 6 * KIB),
    limit=st.integers(1, 6 * KIB),
    seed=st.integers(0, 2**32),
)
def test_any_range_reads_what_was_written(
    blobs: Blobs, size: int, part_bytes: int, offset: int, limit: int, seed: int
) -> None:
    rng = random.Random(seed)
    content = rng.randbytes(size)
    indexes = list(range(-(-size // part_bytes)))
    rng.shuffle(indexes)
    name = f"{seed}-{size}-{part_bytes}"
    blobs.drop(name)
    for index in indexes:
        blobs.write_part(name, index, content[index * part_bytes : (index + 1) * part_bytes])
    assert blobs.read(name, part_bytes, offset, limit) == content[offset : offset + limit]


def test_part_written_again_replaces_the_first(blobs: Blobs) -> None:
    blobs.write_part("f", 0, b"old")
    blobs.write_part("f", 0, b"new")
    assert blobs.read("f", 512 * KIB, 0, 10) == b"new"


def test_dropped_file_is_gone_and_dropping_nothing_is_fine(blobs: Blobs) -> None:
    blobs.write_part("f", 0, b"x")
    blobs.drop("f")
    blobs.drop("f")
    assert blobs.read("f", KIB, 0, 10) == b""
    assert blobs.names() == frozenset()


def test_folder_keeps_files_from_one_run_to_the_next(tmp_path: Path) -> None:
    FolderBlobs(tmp_path).write_part("f", 0, b"kept")
    assert FolderBlobs(tmp_path).read("f", 512 * KIB, 0, 10) == b"kept"


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2)])
def test_zeros_take_no_room_on_the_disk(tmp_path: Path, order: tuple[int, ...]) -> None:
    blobs, parts = FolderBlobs(tmp_path), [bytes(512 * KIB), b"x" * 512 * KIB, bytes(512 * KIB), bytes(100)]
    for index in order:
        blobs.write_part("f", index, parts[index])
    assert blobs.read("f", 512 * KIB, 0, 4 * 512 * KIB) == b"".join(parts)
    assert (tmp_path / "f").stat().st_blocks * 512 <= 600 * KIB


def test_zeros_replace_what_was_there(blobs: Blobs) -> None:
    blobs.write_part("f", 0, b"x" * 1000)
    blobs.write_part("f", 0, bytes(1000))
    assert blobs.read("f", 512 * KIB, 0, 1000) == bytes(1000)
