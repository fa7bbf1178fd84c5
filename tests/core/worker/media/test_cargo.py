"""What is uploaded for each plan, over a real source and a real child."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import msgspec
import pytest

from telecine.core.emulator.media.pictures import pictures
from telecine.core.plans import PART_BYTES, Plan, PlanKind, Recipe
from telecine.core.reasons import Reason
from telecine.core.worker.cargo import Cargo, MuxedCargo, cargo
from telecine.core.worker.media.process import MediaChild, MediaLimits
from telecine.core.worker.media.wire import Part, PartMade
from telecine.core.worker.sources.source import Source, SourceError

from .conftest import KINDS, Clip, Sources, child, whole

GREAT = msgspec.structs.replace(KINDS["big"], name="great.mkv", video_bytes=20_000_000, seed=62)
LONG = msgspec.structs.replace(KINDS["big"], name="long.mkv", gop_frames=12, seconds=3, seed=61)


@asynccontextmanager
async def loaded(sources: Sources, file: Path, plan: Plan) -> AsyncIterator[tuple[Cargo, Source]]:
    async with child(sources, file) as (media, source):
        probe = await media.probe()
        yield cargo(plan, source, media, probe, MediaLimits()), source


async def unloaded(load: Cargo) -> dict[int, dict[int, bytes]]:
    """The blocks of all files."""
    files: dict[int, dict[int, bytes]] = {}
    async for file in load.files():
        files[file.file_no] = {block.index: block.data async for block in file.blocks()}
        assert file.film is not None
    return files


async def test_plain_cargo_is_the_source_itself(clip: Clip, sources: Sources) -> None:
    content = clip("big").read_bytes()
    async with loaded(sources, clip("big"), Plan(PlanKind.DOCUMENT, "")) as (load, _):
        assert load.kind == (".mkv", "video/x-matroska")
        (file,) = [file async for file in load.files()]
        assert (file.file_no, file.size_bytes, file.film) == (1, len(content), None)
        blocks = {block.index: block.data async for block in file.blocks()}
        assert whole(blocks) == content
        assert (await load.again(1, 2)).data == blocks[2]


@pytest.mark.parametrize("known", [{0}, {1, 2, 3}, {0, 1, 5, 6, 7}, set(range(100)), set(range(100)) - {4}, {17}])
async def test_blocks_that_are_known_are_not_even_read(known: set[int], clip: Clip, sources: Sources) -> None:
    content = clip(GREAT).read_bytes()
    count = -(-len(content) // PART_BYTES)
    async with sources.open(link(sources, clip(GREAT))) as source, child(sources, clip(GREAT)) as (media, _):
        load = cargo(Plan(PlanKind.DIRECT, ""), source, media, await media.probe(), MediaLimits())
        (file,) = [file async for file in load.files()]
        blocks = {block.index: block.data async for block in file.blocks(known)}
    assert sorted(blocks) == [index for index in range(count) if index not in known]
    assert all(data == content[index * PART_BYTES :][:PART_BYTES] for index, data in blocks.items())
    if len(known) >= count - 1:
        assert source.bytes_read < 3 * PART_BYTES


def link(sources: Sources, file: Path) -> str:
    if not (sources.folder / file.name).exists():
        (sources.folder / file.name).hardlink_to(file)
    return file.name


async def test_muxed_cargo_is_one_streamable_mp4(clip: Clip, sources: Sources, tmp_path: Path) -> None:
    async with loaded(sources, clip("mkv"), Plan(PlanKind.REMUX, "", recipe=Recipe())) as (load, _):
        assert load.kind == (".mp4", "video/mp4")
        files = await unloaded(load)
    assert list(files) == [1]
    (tmp_path / "out.mp4").write_bytes(whole(files[1]))
    assert pictures(tmp_path / "out.mp4") == pictures(clip("mkv"))


async def test_split_cargo_gives_each_block_of_each_file_again(clip: Clip, sources: Sources) -> None:
    size = clip(LONG).stat().st_size
    plan = Plan(PlanKind.SPLIT, "", recipe=Recipe(part_bytes_max=size // 2, part_count=3))
    async with loaded(sources, clip(LONG), plan) as (load, _):
        files = await unloaded(load)
        assert list(files) == [1, 2, 3]
        for file_no, index in ((1, 0), (2, 1), (3, max(files[3]))):
            assert (await load.again(file_no, index)).data == files[file_no][index]
        with pytest.raises(SourceError) as raised:
            await load.again(4, 0)
    assert raised.value.reason is Reason.WRONG_CONTENT


class Teller:
    """A child that says what it likes."""

    def __init__(self, *messages: Part | PartMade) -> None:
        self._messages = messages

    async def mux(self, recipe: Recipe) -> AsyncGenerator[Part | PartMade]:
        for message in self._messages:
            yield message


def made(file_no: int, size_bytes: int, *, streamable: bool = True) -> PartMade:
    return PartMade(file_no, size_bytes, 2.0, 1920, 1080, has_audio=True, streamable=streamable)


def told(*messages: Part | PartMade) -> Cargo:
    return MuxedCargo(Recipe(), cast("Source", None), cast("MediaChild", Teller(*messages)), MediaLimits())


@pytest.mark.parametrize(
    "messages",
    [
        (Part(1, 0, b"film"),),
        (Part(1, 0, b"film"), made(1, 5)),
        (Part(1, 0, b"film"), made(2, 4)),
        (Part(1, 0, b"film"), Part(2, 1, b"film"), made(1, 8)),
        (Part(2, 0, b"film"), made(2, 4)),
        (Part(1, 0, b"film"), made(1, 4), Part(1, 0, b"film"), made(1, 4)),
    ],
    ids=["ends early", "other size", "other number", "two at once", "none before", "the same again"],
)
async def test_child_that_does_not_make_what_it_says_fails_the_source(messages: tuple[Part | PartMade, ...]) -> None:
    with pytest.raises(SourceError) as raised:
        await unloaded(told(*messages))
    assert raised.value.reason is Reason.NOT_MEDIA


@pytest.mark.parametrize("streamable", [True, False])
async def test_film_says_whether_it_streams(streamable: bool) -> None:
    async for file in told(Part(1, 0, b"film"), made(1, 4, streamable=streamable)).files():
        assert [block.data async for block in file.blocks()] == [b"film"]
        assert file.film is not None
        assert file.film.streamable is streamable
