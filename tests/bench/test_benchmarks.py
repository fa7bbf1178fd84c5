"""The benchmarks run, and what they write is what it should be. How fast anything is, is not tested here."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.bench.crew import CHANNELS_PER_ACCOUNT, Hand, IdleError, muster
from tests.bench.filling import Filling, fill, rewind
from tests.bench.peers import PEERS, Peer, PeerMissingError, consume
from tests.bench.report import Check, Report, count_words, percentile
from tests.bench.wire import dial

from telecine.core.clock import SystemClock
from telecine.store import Store

ROOT = Path(__file__).parents[2]
BOUNDS = {
    "queue": [
        ("pairs_per_s_at_100k", ">=", 10_000),
        ("times_best_acknowledging_peer_at_100k", ">=", 10),
        ("rate_1m_over_10k", ">=", 0.5),
        ("parked_p99_over_unparked", "<=", 2),
    ],
    "api": [("ratio_at_64", ">=", 0.6)],
    "upload": [
        ("times_telethon_at_50_ms", ">=", 6),
        ("times_best_other_at_50_ms", ">=", 1.5),
        ("share_of_limit_at_0_ms", ">=", 0.8),
    ],
    "relay": [
        ("wall_over_slower_line", "<=", 1.1),
        ("disk_bytes_direct", "<=", 0),
        ("disk_bytes_remux", "<=", 0),
        ("memory_largest_over_smallest", "<=", 1.25),
    ],
    "remux": [("wall_over_ffmpeg", "<=", 1.3)],
}


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.bench", *arguments], cwd=ROOT, check=False, capture_output=True, text=True
    )


SLOW = ("upload", "relay")  # even where it is quick


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in BOUNDS]
)
def test_a_quick_run_writes_figures_and_a_check_for_each_bound(name: str, tmp_path: Path) -> None:
    done = bench(name, "--quick", "--skip-missing-peers", "--into", str(tmp_path))
    assert done.stderr == ""
    report = msgspec.json.decode((tmp_path / f"{name}-quick.json").read_bytes(), type=Report)
    assert [(check.name, check.relation, check.bound) for check in report.checks] == BOUNDS[name]
    assert all(figures for figures in report.figures.values())
    assert report.quick
    assert report.machine.cores >= 1
    assert done.returncode == (0 if all(check.holds for check in report.checks) else 1)
    assert all(check.name in done.stdout for check in report.checks)
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}-quick.json"]


def test_without_a_name_the_benchmarks_are_listed() -> None:
    done = bench()
    assert done.returncode == 0
    assert {line.split()[0] for line in done.stdout.splitlines() if line} >= {"queue", "api", "all"}


def test_an_unknown_name_is_refused_with_what_there_is() -> None:
    done = bench("quue")
    assert done.returncode == 2
    assert "there is no benchmark 'quue'; there are: queue, relay, remux, upload, api, all" in done.stderr


def test_only_a_quick_run_may_leave_peers_out() -> None:
    done = bench("queue", "--skip-missing-peers")
    assert done.returncode == 2
    assert "--quick" in done.stderr


def test_a_peer_that_is_missing_says_how_to_install_it() -> None:
    peer = Peer("nobody's queue", "no_such_module", True, lambda *_: None, lambda *_: [], "")
    with pytest.raises(PeerMissingError, match=r"nobody's queue is not installed; .*requirements-bench\.lock"):
        peer.require()


@pytest.mark.parametrize("callers", [1, 2])
@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_a_peer_consumes_what_it_was_filled_with(peer: Peer, callers: int, tmp_path: Path) -> None:
    if not peer.is_installed or (callers > 1 and peer.is_lone):
        pytest.skip("not installed, or for one caller only")
    peer.fill(tmp_path, 20, 10)
    assert consume(peer, tmp_path, callers=callers, seconds=30, pairs_max=8).pairs == 8
    assert consume(peer, tmp_path, callers=1, seconds=30, pairs_max=2).pairs == 2
    with pytest.raises(IndexError):
        consume(peer, tmp_path, callers=1, seconds=30, pairs_max=1)


async def test_what_is_filled_keeps_every_rule_and_can_be_claimed_to_the_last_and_made_ready_again(
    tmp_path: Path,
) -> None:
    path, clock = tmp_path / "telecine.db", SystemClock()
    async with Store.open(path, clock=clock) as store:
        crew = await muster(store.queue, accounts=3, hands=3)
        fill(path, Filling(200, done=100, accounts=3, channels=3 * CHANNELS_PER_ACCOUNT), clock.now_ms())
        for _ in range(2):
            assert sum([await _work_off(hand) for hand in crew]) == 100
            rewind(path, done=100)
        page = await store.catalogue.variants(state=None, after="", limit=1000)
        states = [variant.state.value for variant in page]
        assert (states.count("done"), states.count("ready")) == (100, 100)
        connection = store.queue._writer._connection
        for pragma, sound in (("foreign_key_check", []), ("integrity_check", [("ok",)])):
            found = await connection.run(partial(_pragma, name=pragma))
            assert [tuple(row) for row in found] == sound


async def _work_off(hand: Hand) -> int:
    """Claim and settle until there is nothing left for this worker; how many there were."""
    for done in itertools.count():
        try:
            await hand.settle(await hand.claim())
        except IdleError:
            return done
    raise AssertionError


def _pragma(raw: Any, name: str) -> list[tuple[Any, ...]]:
    return list(raw.execute(f"PRAGMA {name}").fetchall())


def test_a_check_that_could_not_be_measured_does_not_hold() -> None:
    assert not Check.at_least("pairs", None, 1).holds
    assert not Check.at_most("ratio", None, 1).holds
    assert Check.at_least("pairs", 1, 1).holds
    assert not Check.at_most("ratio", 1.01, 1).holds


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(n) for n in range(1, 101)]
    assert (percentile(values, 50), percentile(values, 99), percentile(values, 100)) == (50.0, 99.0, 100.0)
    assert percentile([7.0], 99) == 7.0


def test_counts_of_rows_are_said_in_words() -> None:
    assert [count_words(rows) for rows in (200, 10_000, 1_000_000)] == ["200", "10k", "1M"]


async def test_the_client_puts_answers_together_that_come_in_pieces() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for body in (b"", b"abc"):
            await reader.readuntil(b"\r\n\r\n")
            for piece in (b"HTTP/1.1 200 OK\r\nconTent-le", b"ngth: %d\r\n\r" % len(body), b"\n", body[:1], body[1:]):
                writer.write(piece)
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        wire = await dial("127.0.0.1", server.sockets[0].getsockname()[1])
        assert await wire.request(b"GET / HTTP/1.1\r\n") == (200, b"")
        assert await wire.request(b"POST / HTTP/1.1\r\n", b"x") == (200, b"abc")
        with pytest.raises(ConnectionError):
            await wire.request(b"GET / HTTP/1.1\r\n")
