"""A host of sources that can be broken, and workers' ways to it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

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
        ours = msgspec.structs.replace(self.settings, **settings)
        async with (
            Sources(ours, clock or SystemClock(), limits=limits) as boot,
            boot.open(self.of(name), quality=quality) as source,
        ):
            yield source

    def boot(self, limits: SourceLimits = QUICK, **settings: object) -> Sources:
        """A worker's sources with these settings."""
        return Sources(msgspec.structs.replace(self.settings, **settings), SystemClock(), limits=limits)

    async def failure(self, name: str, limits: SourceLimits = QUICK, **settings: object) -> SourceError:
        """How opening and reading everything fails."""
        with pytest.raises(SourceError) as raised:
            async with self.boot(limits, **settings) as boot, boot.open(self.of(name)) as source:
                await whole(source)
        assert name not in str(raised.value)
        return raised.value

    @property
    def port(self) -> int:
        """Where the host listens."""
        return URL(self.url).port or 0

    async def read(self, url: str, resolver: AbstractResolver | None = None, **settings: object) -> bytes:
        """All of a source, read by a worker that looks names up with `resolver`."""
        ours = msgspec.structs.replace(self.settings, **settings)
        async with Sources(ours, SystemClock(), limits=QUICK, resolver=resolver) as boot, boot.open(url) as source:
            return await whole(source)

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


class Proxy:
    """An HTTP proxy that knows requests for plain http alone."""

    def __init__(self, refusal: bytes = b"") -> None:
        self.asked: list[str] = []
        self._refusal = refusal

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, rest = head.split(b" ", 2)
            self.asked.append(target.decode())
            if self._refusal:
                writer.write(self._refusal)
                return
            host, _, path = target.removeprefix(b"http://").partition(b"/")
            port = host.decode().rpartition(":")[2]
            upstream, out = await asyncio.open_connection("127.0.0.1", int(port))
            with contextlib.closing(out):
                out.write(b"%s /%s %s" % (method, path, rest.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)))
                while data := await upstream.read(65536):
                    writer.write(data)
                    await writer.drain()


@contextlib.asynccontextmanager
async def running(proxy: Proxy) -> AsyncIterator[str]:
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


class Names(AbstractResolver):
    """Knows one name."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if host != "films.example":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [ResolveResult(hostname=host, host=self._address, port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None:
        pass


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
