"""A host of sources that can be broken, and workers' ways to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from telecine.core.clock import Clock, SystemClock
from telecine.core.config import WorkerSettings
from telecine.core.emulator.sources.faults import SourceFault, SourceFaultKind
from telecine.core.emulator.sources.host import SourceHost, serve_sources
from telecine.core.quality import Quality
from telecine.core.worker.sources.source import Source, SourceError, SourceLimits
from telecine.core.worker.sources.sources import Sources

QUICK = SourceLimits(
    connect_timeout_s=1.0, stall_bytes_per_s=1_000_000, stall_window_s=0.2, resumes_max=3, resume_wait_s=0.0
)
PATIENT = SourceLimits(stall_window_s=5.0, resumes_max=3, resume_wait_s=0.0)


class Hosted:
    """A running source host, its folder, and a worker that reads from it."""

    def __init__(self, host: SourceHost, url: str, folder: Path, settings: WorkerSettings) -> None:
        self.host = host
        self.url = url
        self.folder = folder
        self.settings = settings

    def of(self, name: str) -> str:
        """The link to a file, or what is a link already."""
        return name if ":" in name else f"{self.url}/{name}"

    @asynccontextmanager
    async def open(
        self,
        name: str,
        limits: SourceLimits = QUICK,
        clock: Clock | None = None,
        quality: Quality = Quality.AUTO,
        **settings: object,
    ) -> AsyncIterator[Source]:
        """A source, opened by a worker with these settings and no other job."""
        async with self.boot(limits, clock, **settings) as boot, boot.open(self.of(name), quality=quality) as source:
            yield source

    def boot(self, limits: SourceLimits = QUICK, clock: Clock | None = None, **settings: object) -> Sources:
        """A worker's sources with these settings."""
        ours = msgspec.structs.replace(self.settings, **settings)
        return Sources(ours, clock or SystemClock(), limits=limits)

    async def failure(self, name: str, limits: SourceLimits = QUICK, **settings: object) -> SourceError:
        """How opening and reading everything fails."""
        with pytest.raises(SourceError) as raised:
            async with self.open(name, limits, **settings) as source:
                await whole(source)
        assert name not in str(raised.value)
        return raised.value

    def break_link(self, name: str, kind: SourceFaultKind, **numbers: object) -> None:
        """Add a fault to those of a path."""
        fault = msgspec.convert({"kind": kind, **numbers}, SourceFault)
        self.host.set_faults(name, [*self.host.faults().get(name, []), fault])

    def add(self, name: str, content: bytes) -> bytes:
        """Have the host serve a file."""
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(content)
        return content


async def whole(source: Source, start: int = 0) -> bytes:
    """All of a source from `start` on."""
    return b"".join([chunk async for chunk in source.chunks(start)])


@pytest.fixture
def settings(tmp_path: Path) -> WorkerSettings:
    return WorkerSettings(
        name="cm-ember",
        coordinator_url="http://127.0.0.1:1",
        token="token",
        session=tmp_path / "worker" / "cm-ember.session",
        allow_private_sources=True,
    )


@pytest.fixture
async def sources(tmp_path: Path, settings: WorkerSettings) -> AsyncIterator[Hosted]:
    folder = tmp_path / "media"
    folder.mkdir()
    async with serve_sources(folder, SystemClock()) as (host, url):
        yield Hosted(host, url, folder, settings)
