"""What the coordinator makes of what Litestream says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from aiohttp import web
from tests.clocks import JumpingClock

from telecine.core.coordinator import backup
from telecine.core.coordinator.backup import FileSizes, Replicated, ReplicaWatch, UnreadableError, replicated
from telecine.core.errors import StoreError
from telecine.core.operator_protocol import BackupState

if TYPE_CHECKING:
    from tests.core.coordinator.conftest import SteeredClock

PATH = Path("/var/lib/telecine/telecine.db")


class Files:
    """A database that the test writes to."""

    path = PATH

    def __init__(self) -> None:
        self.sizes: FileSizes | None = FileSizes(8192, 4152, written_at_ms=1)

    def measure(self) -> FileSizes:
        if self.sizes is None:
            raise StoreError(f"{PATH}: cannot be seen: No such file or directory")
        return self.sizes

    def commit(self) -> None:
        assert self.sizes is not None
        written_at_ms = self.sizes.written_at_ms or 0
        self.sizes = msgspec.structs.replace(self.sizes, written_at_ms=written_at_ms + 1000)


class Litestream:
    """Its metrics on a socket."""

    def __init__(self) -> None:
        self.text = ""
        self.status = 200
        self.url = ""
        self.tells(txid=1)

    def tells(self, txid: int, errors: int = 0, path: Path = PATH) -> None:
        self.text = (
            "# HELP litestream_txid The current transaction ID\n"
            "# TYPE litestream_txid gauge\n"
            f'litestream_txid{{db="{path}"}} {txid}\n'
            f'litestream_sync_error_count{{db="{path}"}} 0\n'
            f'litestream_replica_operation_errors_total{{operation="PUT",replica_type="s3"}} {errors}\n'
            'go_gc_duration_seconds{quantile="0"} NaN\n'
        )

    async def answer(self, _: web.Request) -> web.Response:
        return web.Response(text=self.text, status=self.status)


@pytest.fixture
def files() -> Files:
    return Files()


@pytest.fixture
def time() -> JumpingClock:
    return JumpingClock(1000.0)


@pytest.fixture
async def litestream() -> AsyncIterator[Litestream]:
    told = Litestream()
    app = web.Application()
    app.router.add_get("/metrics", told.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    told.url = f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"
    yield told
    await runner.cleanup()


@pytest.fixture
def watch(files: Files, litestream: Litestream, time: JumpingClock) -> ReplicaWatch:
    return ReplicaWatch(files, time, replicated=True, litestream_url=litestream.url)


async def state(watch: ReplicaWatch) -> BackupState:
    return (await watch.status()).state


async def test_a_database_that_nobody_replicates_is_off(files: Files, clock: SteeredClock) -> None:
    status = await ReplicaWatch(files, clock, replicated=False, litestream_url="http://127.0.0.1:9").status()
    assert (status.state, status.database_bytes, status.wal_bytes) == (BackupState.OFF, 8192, 4152)


async def test_without_an_address_litestream_cannot_be_asked(files: Files, clock: SteeredClock) -> None:
    status = await ReplicaWatch(files, clock, replicated=True).status()
    assert (status.state, status.detail) == (BackupState.UNREACHABLE, "coordinator.litestream_url is not set")


async def test_transactions_that_move_are_replicated(
    watch: ReplicaWatch, litestream: Litestream, files: Files, time: JumpingClock
) -> None:
    for txid in range(1, 5):
        litestream.tells(txid)
        status = await watch.status()
        assert (status.state, status.txid, status.detail) == (BackupState.REPLICATING, txid, None)
        files.commit()
        time.now_s += 60


async def test_a_quiet_database_has_nothing_to_replicate(watch: ReplicaWatch, time: JumpingClock) -> None:
    for _ in range(4):
        assert await state(watch) is BackupState.REPLICATING
        time.now_s += 3600


async def test_commits_that_wait_too_long_are_a_stall_until_they_move(
    watch: ReplicaWatch, litestream: Litestream, files: Files, time: JumpingClock
) -> None:
    await watch.status()
    files.commit()
    time.now_s += 3600
    assert await state(watch) is BackupState.REPLICATING, "that commit may be a moment old"
    time.now_s += backup.STALLED_AFTER_S - 1
    assert await state(watch) is BackupState.REPLICATING
    time.now_s += 1
    status = await watch.status()
    assert (status.state, status.detail) == (
        BackupState.STALLED,
        "commits have waited for Litestream for 10 s or more",
    )
    litestream.tells(txid=2)
    assert await state(watch) is BackupState.REPLICATING
    time.now_s += 60
    assert await state(watch) is BackupState.REPLICATING


async def test_errors_since_the_last_look_are_a_stall(watch: ReplicaWatch, litestream: Litestream) -> None:
    litestream.tells(txid=1, errors=5)
    assert await state(watch) is BackupState.REPLICATING, "of how long ago nobody knows"
    litestream.tells(txid=2, errors=6)
    assert await state(watch) is BackupState.STALLED
    assert await state(watch) is BackupState.REPLICATING


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        'litestream_txid{db="/a.db"} 1\nlitestream_txid{db="/b.db"} 2\n',
        f'litestream_txid{{db="{PATH}"}} seven\n',
        f'litestream_txid{{db="{PATH}"}} NaN\n',
        "x" * (backup.METRICS_BYTES_MAX + 1),
    ],
)
async def test_what_says_nothing_of_the_database_is_as_good_as_no_answer(
    watch: ReplicaWatch, litestream: Litestream, text: str
) -> None:
    litestream.text = text
    status = await watch.status()
    assert status.state is BackupState.UNREACHABLE
    assert status.detail is not None
    assert litestream.url in status.detail


async def test_a_peer_that_fails_or_is_gone_is_unreachable(
    watch: ReplicaWatch, litestream: Litestream, files: Files, clock: SteeredClock
) -> None:
    litestream.status = 500
    assert await state(watch) is BackupState.UNREACHABLE
    gone = ReplicaWatch(files, clock, replicated=True, litestream_url="http://127.0.0.1:9/metrics")
    assert await state(gone) is BackupState.UNREACHABLE


def test_the_database_is_told_by_its_path_or_is_the_only_one() -> None:
    two = f'litestream_txid{{db="/other.db"}} 1\nlitestream_txid{{db="{PATH}"}} 20\n'
    assert replicated(two, PATH) == Replicated(20, 0)
    assert replicated('litestream_txid{db="/mnt/telecine.db"} 3e+01\n', PATH) == Replicated(30, 0)
    with pytest.raises(UnreadableError, match="2 databases"):
        replicated(two, Path("/third.db"))


def test_errors_of_other_databases_do_not_count() -> None:
    text = (
        f'litestream_txid{{db="{PATH}"}} 1\n'
        f'litestream_sync_error_count{{db="{PATH}"}} 2\n'
        'litestream_sync_error_count{db="/other.db"} 40\n'
        'litestream_replica_operation_errors_total{operation="PUT"} 3\n'
    )
    assert replicated(text, PATH) == Replicated(1, 5)


@pytest.mark.parametrize(("is_replicated", "state"), [(True, BackupState.STALLED), (False, BackupState.OFF)])
async def test_a_database_that_cannot_be_seen_is_told_of_and_is_no_fault_of_the_coordinators(
    files: Files, time: JumpingClock, litestream: Litestream, is_replicated: bool, state: BackupState
) -> None:
    """Its metrics go on, too: they hold the same."""
    files.sizes = None
    watch = ReplicaWatch(files, time, replicated=is_replicated, litestream_url=litestream.url)
    status = await watch.status()
    assert (status.state, status.detail) == (state, f"{PATH}: cannot be seen: No such file or directory")
    assert (status.database_bytes, status.written_ago_s) == (0, None)
