"""`make bench NAME=queue`: claim+settle pairs per second beside other queues, and what parked accounts cost."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop
from tests.bench.crew import CHANNELS_PER_ACCOUNT, muster, pairs
from tests.bench.filling import HOSTS, Filling, fill, rewind
from tests.bench.pace import Pace
from tests.bench.parking import ParkingFigure, ParkingScale, measure_parking, parking_method, parking_sheet
from tests.bench.peers import PEERS, Peer, consume, settings_of
from tests.bench.report import Check, Findings, Options, Sheet, count_words, median

from telecine.cmd.running import garbage_waits
from telecine.core.clock import SystemClock
from telecine.store import Store

OURS = "telecine"
OUR_SETTINGS = {"journal_mode": "wal", "synchronous": "FULL"}
PAIRS_PER_S_MIN = 10_000
TIMES_BEST_PEER_MIN = 10
RATE_1M_OVER_10K_MIN = 0.5
PARKED_P99_RATIO_MAX = 2


class Scale(msgspec.Struct, frozen=True):
    """How much is measured. Rounds are many: the machine's noise comes in bursts. They are not too short either: making
    ready again what was done empties the cache of pages, which a queue at work has filled."""

    rows: tuple[int, int, int] = (10_000, 100_000, 1_000_000)
    rounds: int = 11
    accounts: int = 16
    callers: int = 256
    pairs_of_round_max: int = 10_000  # and half of what is ready at most
    pairs_of_lone_round: int = 150
    peer_seconds: float = 1.5
    peer_rounds: int = 3
    peer_callers: tuple[int, ...] = (1, 4)
    parking: ParkingScale = ParkingScale(accounts=200, rows=100_000, rounds=24, claims=250)

    def pairs_of_round(self, rows: int) -> int:
        return min(rows // 4, self.pairs_of_round_max)


QUICK = Scale(
    rows=(200, 400, 800),
    rounds=2,
    accounts=2,
    callers=8,
    pairs_of_lone_round=5,
    peer_seconds=0.05,
    peer_rounds=1,
    peer_callers=(1,),
    parking=ParkingScale(accounts=10, rows=1000, rounds=2, claims=10),
)


class PairsFigure(msgspec.Struct, frozen=True):
    """One line of the comparison: medians over the rounds. `done`: how many of the rows were done before."""

    engine: str
    acknowledges: bool
    settings: dict[str, str]
    rows: int
    done: int
    callers: int
    pairs_per_s: float
    cpu_us_per_pair: float
    rounds: tuple[Pace, ...]

    @property
    def label(self) -> str:
        return self.engine if self.done else f"{self.engine}, none done yet"


def measure(options: Options) -> Findings:
    """Raises PeerMissingError."""
    scale = QUICK if options.quick else Scale()
    peers = [peer for peer in PEERS if peer.is_installed or not options.skip_missing_peers]
    for peer in peers:
        peer.require()
    with garbage_waits():
        figures = [figure for rows in scale.rows for figure in _compare(options, scale, peers, rows)]
        options.say("parked accounts")
        parking = uvloop.run(measure_parking(options.folder, scale.parking))
    return Findings(
        method=(*_method(scale), *(f"{peer.name}: {peer.remark}" for peer in peers)),
        sheets=(_sheet(scale, figures), parking_sheet(parking)),
        figures={"pairs": figures, "parking": parking},
        checks=_checks(scale, figures, parking),
    )


def _compare(options: Options, scale: Scale, peers: Sequence[Peer], rows: int) -> list[PairsFigure]:
    options.say(f"{OURS}, {count_words(rows)} rows")
    figures = uvloop.run(_ours(options.folder, scale, rows))
    for peer in peers:
        options.say(f"{peer.name}, {count_words(rows)} rows")
        figures += _theirs(options.folder, scale, peer, rows, done=rows // 2)
        if peer.acknowledges and rows == scale.rows[1]:
            figures += _theirs(options.folder, scale, peer, rows, done=0)
    return figures


async def _ours(folder: Path, scale: Scale, rows: int) -> list[PairsFigure]:
    path, clock, done = folder / f"telecine-{rows}.db", SystemClock(), rows // 2
    figures = []
    async with Store.open(path, clock=clock) as store:
        crew = await muster(store.queue, accounts=scale.accounts, hands=scale.callers)
        fill(path, Filling(rows, done, scale.accounts, scale.accounts * CHANNELS_PER_ACCOUNT), clock.now_ms())
        for hands, count in ((crew[:1], scale.pairs_of_lone_round), (crew, scale.pairs_of_round(rows))):
            rounds = []
            for _ in range(scale.rounds + 1):
                rounds.append(await pairs(hands, count))
                rewind(path, done)
            del rounds[0]  # it warms up
            figures.append(_figure(OURS, True, OUR_SETTINGS, rows, done, len(hands), rounds))
    path.unlink()
    return figures


def _theirs(folder: Path, scale: Scale, peer: Peer, rows: int, *, done: int) -> list[PairsFigure]:
    place = folder / f"{peer.name}-{rows}-{done}"
    place.mkdir()
    peer.fill(place, rows, done)
    figures = []
    for callers in scale.peer_callers[: 1 if peer.is_lone else None]:
        share = rows // (4 * scale.peer_rounds * len(scale.peer_callers))  # they work off a quarter of the rows
        rounds = [
            consume(peer, place, callers=callers, seconds=scale.peer_seconds, pairs_max=share)
            for _ in range(scale.peer_rounds)
        ]
        figures.append(_figure(peer.name, peer.acknowledges, settings_of(peer, place), rows, done, callers, rounds))
    shutil.rmtree(place)
    return figures


def _figure(
    engine: str,
    acknowledges: bool,
    settings: dict[str, str],
    rows: int,
    done: int,
    callers: int,
    rounds: Sequence[Pace],
) -> PairsFigure:
    return PairsFigure(
        engine=engine,
        acknowledges=acknowledges,
        settings=settings,
        rows=rows,
        done=done,
        callers=callers,
        pairs_per_s=median([one.pairs_per_s for one in rounds]),
        cpu_us_per_pair=median([one.cpu_us_per_pair for one in rounds]),
        rounds=tuple(rounds),
    )


# ---- what it comes to ----------------------------------------------------------------------------


def _checks(
    scale: Scale, figures: Sequence[PairsFigure], parking: tuple[ParkingFigure, ParkingFigure]
) -> tuple[Check, ...]:
    small, middle, large = (
        max(f.pairs_per_s for f in figures if f.engine == OURS and f.rows == rows) for rows in scale.rows
    )
    peers = [
        f.pairs_per_s for f in figures if f.engine != OURS and f.acknowledges and f.done and f.rows == scale.rows[1]
    ]
    times = middle / max(peers) if peers else None
    free, parked = parking
    return (
        Check.at_least("pairs_per_s_at_100k", middle, PAIRS_PER_S_MIN),
        Check.at_least("times_best_acknowledging_peer_at_100k", times, TIMES_BEST_PEER_MIN),
        Check.at_least("rate_1m_over_10k", large / small, RATE_1M_OVER_10K_MIN),
        Check.at_most("parked_p99_over_unparked", parked.p99_ms / free.p99_ms, PARKED_P99_RATIO_MAX),
    )


def _method(scale: Scale) -> tuple[str, ...]:
    rows = f"half of the rows are done and kept, half are ready; ours are on {HOSTS} source hosts"
    ours = (
        f"ours: median of {scale.rounds} rounds after one to warm up, {scale.pairs_of_round(scale.rows[1])} pairs each "
        f"({scale.pairs_of_lone_round} with one caller); what was done is made ready again by SQL between rounds; "
        f"{scale.callers} callers are as many workers of {scale.accounts} accounts, on uvloop"
    )
    peers = (
        f"peers: median of {scale.peer_rounds} rounds of at most {scale.peer_seconds:g} s; filled by SQL into "
        "their own tables; their own defaults; threads as callers"
    )
    garbage = "the garbage collector is kept out of the way of all of them, as `telecine serve` does"
    return rows, ours, peers, garbage, parking_method(scale.parking)


def _sheet(scale: Scale, figures: Sequence[PairsFigure]) -> Sheet:
    found = {(f.label, f.callers, f.rows): f for f in figures}
    lines = dict.fromkeys((label, callers) for label, callers, _ in found)
    rows = []
    for label, callers in lines:
        some = found[label, callers, scale.rows[1]]
        rates = [found.get((label, callers, count)) for count in scale.rows]
        rows.append(
            (
                label,
                str(callers),
                "yes" if some.acknowledges else "no",
                some.settings["synchronous"],
                *("" if rate is None else f"{rate.pairs_per_s:,.0f}" for rate in rates),
                f"{some.cpu_us_per_pair:,.0f}",
            )
        )
    counts = [f"{count_words(count)} rows" for count in scale.rows]
    columns = ("engine", "callers", "acknowledges", "synchronous", *counts, f"CPU us, {counts[1]}")
    return Sheet("claim+settle pairs per second", columns, tuple(rows))
