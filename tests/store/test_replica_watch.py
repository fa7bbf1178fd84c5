"""The state of the replication, as a real Litestream tells it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.waiting import found

from telecine.core.clock import SystemClock
from telecine.core.coordinator import backup
from telecine.core.coordinator.backup import ReplicaWatch
from telecine.core.operator_protocol import BackupState, BackupStatus
from telecine.store import Store

LITESTREAM = Path(sys.executable).with_name("litestream")


def free_port() -> int:
    """Litestream does not say which port it took when it may take any."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


@asynccontextmanager
async def litestream(database: Path, port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    config = database.with_name("litestream.yml")
    config.write_text(
        f"addr: 127.0.0.1:{port}\n"
        f"dbs:\n  - path: {database}\n    monitor-interval: 100ms\n"
        f"    replica:\n      url: file://{database.parent}/replica\n      sync-interval: 100ms\n"
    )
    process = await asyncio.create_subprocess_exec(
        LITESTREAM,
        *("replicate", "-config", config),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until(watch: ReplicaWatch, condition: Callable[[BackupStatus], bool]) -> BackupStatus:
    """Litestream tells nobody when it has done something; it has to be asked."""

    async def look() -> BackupStatus | None:
        status = await watch.status()
        return status if condition(status) else None

    return await found(look, within_s=20)


async def test_the_watch_follows_litestream_while_it_works_hangs_and_dies(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "ASK_WAIT_S", 0.5)
    port = free_port()
    async with Store.open(path, clock=SystemClock(), replicated=True) as store:
        url = f"http://127.0.0.1:{port}/metrics"
        watch = ReplicaWatch(store.files, SystemClock(), replicated=True, litestream_url=url)
        assert (await watch.status()).state is BackupState.UNREACHABLE
        async with litestream(path, port) as process:
            first = await until(watch, lambda status: bool(status.txid))
            assert first.state is BackupState.REPLICATING
            assert first.wal_bytes > 0
            await store.shelf.note_user(7, "en")
            moved = await until(watch, lambda status: (status.txid or 0) > (first.txid or 0))
            assert moved.state is BackupState.REPLICATING

            process.send_signal(signal.SIGSTOP)  # the kernel stops its threads one after the other
            await until(watch, lambda status: status.state is BackupState.UNREACHABLE)
            process.send_signal(signal.SIGCONT)
            await until(watch, lambda status: status.state is BackupState.REPLICATING)
        assert (await watch.status()).state is BackupState.UNREACHABLE


async def test_a_database_that_is_gone_cannot_be_measured(path: Path) -> None:
    async with Store.open(path, clock=SystemClock()) as store:
        files = store.files
        open_sizes = files.measure()
        assert open_sizes.wal_bytes > 0
        assert open_sizes.written_at_ms is not None
    closed = files.measure()
    assert (closed.wal_bytes, closed.written_at_ms) == (0, None)
    assert closed.database_bytes > 0
