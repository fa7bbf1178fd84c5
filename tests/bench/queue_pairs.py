"""`make bench NAME=queue`: claim+settle pairs per second beside other queues, and what parked accounts cost."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop
from tests.bench.crew import CHANNELS_PER_ACCOUNT, claim_latencies_ms, muster, pairs_per_s
from tests.bench.filling import HOSTS, Filling, fill, rewind, unpark
from tests.bench.peers import PEERS, Pace, Peer, pace
from tests.bench.report import Check, Findings, Options, Sheet, count_words, median, percentile

from telecine.core.clock import SystemClock
from telecine.store import Store

OURS = "telecine"
PAIRS_PER_S_MIN = 10_000
TIMES_BEST_PEER_MIN = 10
RATE_1M_OVER_10K_MIN = 0.5
PARKED_P99_RATIO_MAX = 2


class Scale(msgspec.Struct, frozen=True):
    """How much is measured. Rounds are short and many: the machine's noise comes in bursts."""

    rows: tuple[int, int, int] = (10_000, 100_000, 1_000_000)
    rounds: int = 11
    accounts: int = 16
    callers: int = 256
    pairs_of_round: int = 2500  # a quarter of the shortest queue, which is topped up after each round
    pairs_of_lone_round: int = 150
    peer_seconds: float = 1.5
    peer_rounds: int = 3
    peer_callers: tuple[int, ...] = (1, 4)
    lanes: int = 200
    lanes_rows: int = 100_000
    lanes_rounds: int = 8
    lanes_claims: int = 250


FULL = Scale()
QUICK = Scale(
    rows=(200, 400, 800),
    rounds=2,
    accounts=2,
    callers=8,
    pairs_of_round=50,
    pairs_of_lone_round=5,
    peer_seconds=0.05,
    peer_rounds=1,
    peer_callers=(1,),
    lanes=10,
    lanes_rows=1000,
    lanes_rounds=2,
    lanes_claims=10,
)


class PairsFigure(msgspec.Struct, frozen=True):
    """One line of the comparison. `done`: how many rows were done before. `pairs_per_s`: the median of `rounds`."""

    engine: str
    acknowledges: bool
    rows: int
    done: int
    callers: int
    pairs_per_s: float
    rounds: tuple[float, ...]
    settings: dict[str, str]


class ParkingFigure(msgspec.Struct, frozen=True):
    """Latency of single claims while `parked` of `accounts` accounts are parked, over all rounds."""

    accounts: int
    parked: int
    claims: int
    p50_ms: float
    p99_ms: float
    max_ms: float


def measure(options: Options) -> Findings:
    """Raises PeerMissingError."""
    scale = QUICK if options.quick else FULL
    peers = [peer for peer in PEERS if peer.is_installed or not options.skip_missing_peers]
    for peer in peers:
        peer.require()
    pairs: list[PairsFigure] = []
    for rows in scale.rows:
        options.say(f"{OURS}, {count_words(rows)} rows")
        pairs += uvloop.run(_ours(options.folder, scale, rows))
        for peer in peers:
            options.say(f"{peer.name}, {count_words(rows)} rows")
            pairs += _theirs(options.folder, scale, peer, rows, done=rows // 2)
            if peer.acknowledges and rows == scale.rows[1]:
                pairs += _theirs(options.folder, scale, peer, rows, done=0)
    parking = uvloop.run(_parking(options.folder, scale))
    return Findings(
        method=_method(scale),
        sheets=(_pairs_sheet(scale, pairs), _parking_sheet(parking)),
        figures={"pairs": pairs, "parking": parking},
        checks=_checks(scale, pairs, parking),
    )


# ---- ours ----------------------------------------------------------------------------------------


async def _ours(folder: Path, scale: Scale, rows: int) -> list[PairsFigure]:
    path, clock = folder / f"telecine-{rows}.db", SystemClock()
    async with Store.open(path, clock=clock) as store:
        crew = await muster(store.queue, accounts=scale.accounts, hands=scale.callers)

        fill(path, _filling(rows, scale.accounts, done=rows // 2), clock.now_ms())
        figures = []
        for hands, count in ((crew[:1], scale.pairs_of_lone_round), (crew, scale.pairs_of_round)):
            rounds = []
            for _ in range(scale.rounds + 1):
                rounds.append(await pairs_per_s(hands, count))
                rewind(path, rows // 2)
            figures.append(_figure(OURS, rows, len(hands), rounds[1:]))  # the first one warms up
    path.unlink()
    return figures


def _filling(rows: int, accounts: int, *, done: int, pinned_of_100: int = 50) -> Filling:
    return Filling(rows, done, accounts, accounts * CHANNELS_PER_ACCOUNT, pinned_of_100)


def _figure(engine: str, rows: int, callers: int, rounds: Sequence[float]) -> PairsFigure:
    settings = {"journal_mode": "wal", "synchronous": "FULL"}
    return PairsFigure(engine, True, rows, rows // 2, callers, median(rounds), tuple(rounds), settings)


# ---- theirs --------------------------------------------------------------------------------------


def _theirs(folder: Path, scale: Scale, peer: Peer, rows: int, *, done: int) -> list[PairsFigure]:
    place = folder / f"{peer.name}-{rows}-{done}"
    place.mkdir()
    peer.fill(place, rows, done)
    figures = []
    for callers in scale.peer_callers:
        if callers > 1 and not peer.module:
            continue
        share = rows // (4 * scale.peer_rounds * len(scale.peer_callers))
        paces = [
            pace(peer, place, callers=callers, seconds=scale.peer_seconds, pairs_max=share)
            for _ in range(scale.peer_rounds)
        ]
        figures.append(_peer_figure(peer, rows, done, callers, paces))
    shutil.rmtree(place)
    return figures


_SYNCHRONOUS = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}


def _peer_figure(peer: Peer, rows: int, done: int, callers: int, paces: Sequence[Pace]) -> PairsFigure:
    rounds = tuple(one.pairs_per_s for one in paces)
    pragmas = paces[0].pragmas
    settings = {"journal_mode": pragmas["journal_mode"], "synchronous": _SYNCHRONOUS[pragmas["synchronous"]]}
    return PairsFigure(peer.name, peer.acknowledges, rows, done, callers, median(rounds), rounds, settings)


# ---- parked accounts -----------------------------------------------------------------------------


async def _parking(folder: Path, scale: Scale) -> tuple[ParkingFigure, ParkingFigure]:
    """The same hands claim in turn, with nine tenths of the accounts parked and with none; all lanes are full."""
    path, clock = folder / "parking.db", SystemClock()
    async with Store.open(path, clock=clock) as store:
        crew = await muster(store.queue, accounts=scale.lanes, hands=scale.lanes)
        fill(path, _filling(scale.lanes_rows, scale.lanes, done=0, pinned_of_100=80), clock.now_ms())
        active = crew[::10]
        others = [hand for hand in crew if hand not in active]
        await claim_latencies_ms(active, scale.lanes_claims)
        free_ms: list[float] = []
        parked_ms: list[float] = []
        for _ in range(scale.lanes_rounds):
            unpark(path)
            free_ms += await claim_latencies_ms(active, scale.lanes_claims)
            for hand in others:
                await hand.report_flood(3600.0)
            parked_ms += await claim_latencies_ms(active, scale.lanes_claims)
    path.unlink()
    return _parking_figure(scale, 0, free_ms), _parking_figure(scale, len(others), parked_ms)


def _parking_figure(scale: Scale, parked: int, latencies_ms: Sequence[float]) -> ParkingFigure:
    return ParkingFigure(
        accounts=scale.lanes,
        parked=parked,
        claims=len(latencies_ms),
        p50_ms=percentile(latencies_ms, 50),
        p99_ms=percentile(latencies_ms, 99),
        max_ms=max(latencies_ms),
    )


# ---- what it comes to ----------------------------------------------------------------------------


def _checks(
    scale: Scale, pairs: Sequence[PairsFigure], parking: tuple[ParkingFigure, ParkingFigure]
) -> tuple[Check, ...]:
    small, middle, large = (_best(pairs, rows, OURS) or 0.0 for rows in scale.rows)
    peers = [
        figure.pairs_per_s
        for figure in pairs
        if figure.engine != OURS and figure.acknowledges and figure.done and figure.rows == scale.rows[1]
    ]
    free, parked = parking
    return (
        Check.at_least("pairs_per_s_at_100k", middle, PAIRS_PER_S_MIN),
        Check.at_least(
            "times_best_acknowledging_peer_at_100k", middle / max(peers) if peers else None, TIMES_BEST_PEER_MIN
        ),
        Check.at_least("rate_1m_over_10k", large / small if small else None, RATE_1M_OVER_10K_MIN),
        Check.at_most("parked_p99_over_unparked", parked.p99_ms / free.p99_ms, PARKED_P99_RATIO_MAX),
    )


def _best(pairs: Sequence[PairsFigure], rows: int, engine: str) -> float | None:
    """An engine at its best number of callers."""
    return max((f.pairs_per_s for f in pairs if f.engine == engine and f.rows == rows), default=None)


def _method(scale: Scale) -> tuple[str, ...]:
    ours = (
        f"ours: median of {scale.rounds} rounds after one to warm up, {scale.pairs_of_round} pairs each "
        f"({scale.pairs_of_lone_round} with one caller); what was done is made ready again by SQL between rounds; "
        f"{scale.callers} callers are as many workers of {scale.accounts} accounts, on uvloop"
    )
    peers = (
        f"peers: median of {scale.peer_rounds} rounds of at most {scale.peer_seconds:g} s; filled by SQL into "
        "their own tables; their own defaults; threads as callers"
    )
    parked = (
        f"parked: {scale.lanes_rounds} rounds each way in turn, {scale.lanes_claims} claims each, one at a time; "
        f"{scale.lanes_rows} rows, of which 80 % pinned to the {scale.lanes} accounts"
    )
    rows = f"half of the rows are done and kept, half are ready; ours are on {HOSTS} source hosts"
    return rows, ours, peers, parked


def _pairs_sheet(scale: Scale, pairs: Sequence[PairsFigure]) -> Sheet:
    lines = dict.fromkeys((_label(f), f.callers, f.acknowledges, f.settings["synchronous"]) for f in pairs)
    rates = {(_label(f), f.callers, f.rows): f"{f.pairs_per_s:,.0f}" for f in pairs}
    rows = tuple(
        (
            label,
            str(callers),
            "yes" if acknowledges else "no",
            synchronous,
            *(rates.get((label, callers, count), "") for count in scale.rows),
        )
        for label, callers, acknowledges, synchronous in lines
    )
    columns = (
        "engine",
        "callers",
        "acknowledges",
        "synchronous",
        *(f"{count_words(rows)} rows" for rows in scale.rows),
    )
    return Sheet("claim+settle pairs per second", columns, rows)


def _label(figure: PairsFigure) -> str:
    return figure.engine if figure.done else f"{figure.engine}, none done yet"


def _parking_sheet(parking: Sequence[ParkingFigure]) -> Sheet:
    rows = tuple(
        (
            f"{figure.parked} of {figure.accounts}",
            f"{figure.claims}",
            f"{figure.p50_ms:.3f}",
            f"{figure.p99_ms:.3f}",
            f"{figure.max_ms:.3f}",
        )
        for figure in parking
    )
    return Sheet("latency of a single claim, ms", ("accounts parked", "claims", "p50", "p99", "max"), rows)
