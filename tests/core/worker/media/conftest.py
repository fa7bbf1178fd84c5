"""A host of sources that can be broken, with a client for it, and clips of every kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from telecine.core.clock import SystemClock
from telecine.core.config import WorkerSettings
from telecine.core.emulator.media.files import generate
from telecine.core.emulator.media.specs import SAMPLES, MediaSpec
from telecine.core.emulator.sources.faults import SourceFault, SourceFaultKind
from telecine.core.emulator.sources.host import SourceHost, serve_sources
from telecine.core.plans import PART_BYTES, Recipe
from telecine.core.worker.media.process import MediaChild, MediaLimits
from telecine.core.worker.media.wire import Part, PartMade
from telecine.core.worker.sources import sources as worker
from telecine.core.worker.sources.source import Source, SourceError, SourceLimits

Clip = Callable[[MediaSpec | str], Path]

# Pictures that are soon encoded and decoded; "big" is many times what a demuxer reads at first.
KINDS = {kind: msgspec.structs.replace(spec, width_px=320, height_px=180) for kind, spec in SAMPLES.items()}
KINDS["big"] = msgspec.structs.replace(SAMPLES["big"], width_px=640, height_px=360, noise=80, video_bytes=8_000_000)

QUICK = SourceLimits(
    connect_timeout_s=1.0, stall_bytes_per_s=1_000_000, stall_window_s=0.2, resumes_max=3, resume_wait_s=0.0
)


class Sources:
    """A running source host and its folder."""

    def __init__(self, host: SourceHost, url: str, folder: Path, boot: worker.Sources) -> None:
        self.host = host
        self.url = url
        self.folder = folder
        self.boot = boot

    def open(self, name: str) -> AbstractAsyncContextManager[Source]:
        return self.boot.open(f"{self.url}/{name}")

    def break_link(self, name: str, kind: SourceFaultKind, **numbers: object) -> None:
        fault = msgspec.convert({"kind": kind, **numbers}, SourceFault)
        self.host.set_faults(name, [*self.host.faults().get(name, []), fault])

    def add(self, name: str, content: bytes) -> bytes:
        (self.folder / name).write_bytes(content)
        return content


@pytest.fixture
async def sources(tmp_path: Path) -> AsyncIterator[Sources]:
    folder = tmp_path / "media"
    folder.mkdir()
    settings = WorkerSettings(
        name="cm-ember",
        coordinator_url="http://127.0.0.1:1",
        token="token",
        session=tmp_path / "cm-ember.session",
        allow_private_sources=True,
    )
    async with (
        serve_sources(folder, SystemClock()) as (host, url),
        worker.Sources(settings, SystemClock(), limits=QUICK) as boot,
    ):
        yield Sources(host, url, folder, boot)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Makes a clip, by its spec or by the name of a sample, once a session."""
    folder = tmp_path_factory.mktemp("clips")

    def make(spec: MediaSpec | str) -> Path:
        return generate(KINDS[spec] if isinstance(spec, str) else spec, folder)

    return make


@asynccontextmanager
async def child(
    sources: Sources, file: Path, limits: MediaLimits | None = None
) -> AsyncIterator[tuple[MediaChild, Source]]:
    """A media child at work on a file."""
    link = sources.folder / file.name
    if not link.exists():
        link.hardlink_to(file)
    async with sources.open(file.name) as source, MediaChild.start(source, limits) as media:
        yield media, source


async def remuxed(media: MediaChild, target: Path) -> PartMade:
    """Writes the one MP4 that the child makes."""
    made = await muxed(media, Recipe(), target.parent)
    assert [file.file_no for file in made] == [1]
    await asyncio.to_thread((target.parent / "1.mp4").replace, target)
    return made[0]


async def muxed(media: MediaChild, recipe: Recipe, folder: Path) -> list[PartMade]:
    """Writes the MP4s that the child makes, as `folder/N.mp4`."""
    made: list[PartMade] = []
    blocks: dict[int, bytes] = {}
    async for message in media.mux(recipe):
        assert message.file_no == len(made) + 1
        if isinstance(message, Part):
            assert message.index not in blocks
            blocks[message.index] = message.data
            continue
        await asyncio.to_thread((folder / f"{message.file_no}.mp4").write_bytes, whole(blocks))
        assert message.size_bytes == (folder / f"{message.file_no}.mp4").stat().st_size
        made.append(message)
        blocks = {}
    assert not blocks
    return made


def whole(blocks: dict[int, bytes]) -> bytes:
    """The file that its parts make."""
    assert sorted(blocks) == list(range(len(blocks)))
    assert all(len(blocks[index]) == PART_BYTES for index in range(len(blocks) - 1))
    return b"".join(blocks[index] for index in sorted(blocks))


async def probe_failure(sources: Sources, file: Path, limits: MediaLimits | None = None) -> SourceError:
    with pytest.raises(SourceError) as raised:
        async with child(sources, file, limits) as (media, _):
            await media.probe()
    return raised.value
