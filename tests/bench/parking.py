"""What parked accounts cost the others: latency of a claim with nine tenths of the accounts parked, and with none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from tests.bench.crew import CHANNELS_PER_ACCOUNT, claim_latencies_ms, muster
from tests.bench.filling import Filling, fill, unpark
from tests.bench.report import Sheet, percentile

from telecine.core.clock import SystemClock
from telecine.store import Store

PINNED_OF_100 = 80
ACTIVE_EVERY = 10  # one account of ten is never parked
PARK_S = 3600.0


class ParkingScale(msgspec.Struct, frozen=True):
    """How much is measured: `rounds` each way in turn, `claims` in each."""

    accounts: int
    rows: int
    rounds: int
    claims: int


class ParkingFigure(msgspec.Struct, frozen=True):
    """Latency of single claims while `parked` of `accounts` accounts are parked, over all rounds."""

    accounts: int
    parked: int
    claims: int
    p50_ms: float
    p99_ms: float
    max_ms: float


async def measure_parking(folder: Path, scale: ParkingScale) -> tuple[ParkingFigure, ParkingFigure]:
    """None parked, and nine tenths parked. The same hands claim in turn both times, and the lanes of all are full."""
    path, clock = folder / "parking.db", SystemClock()
    async with Store.open(path, clock=clock) as store:
        crew = await muster(store.queue, accounts=scale.accounts, hands=scale.accounts)
        fill(path, _filling(scale), clock.now_ms())
        active = crew[::ACTIVE_EVERY]
        others = [hand for hand in crew if hand not in active]
        await claim_latencies_ms(active, scale.claims)
        free_ms: list[float] = []
        parked_ms: list[float] = []
        for _ in range(scale.rounds):
            unpark(path)
            free_ms += await claim_latencies_ms(active, scale.claims)
            for hand in others:
                await hand.report_flood(PARK_S)
            parked_ms += await claim_latencies_ms(active, scale.claims)
    path.unlink()
    return _figure(scale, 0, free_ms), _figure(scale, len(others), parked_ms)


def parking_sheet(figures: Sequence[ParkingFigure]) -> Sheet:
    rows = tuple(
        (
            f"{figure.parked} of {figure.accounts}",
            f"{figure.claims}",
            f"{figure.p50_ms:.3f}",
            f"{figure.p99_ms:.3f}",
            f"{figure.max_ms:.3f}",
        )
        for figure in figures
    )
    return Sheet("latency of a single claim, ms", ("accounts parked", "claims", "p50", "p99", "max"), rows)


def parking_method(scale: ParkingScale) -> str:
    return (
        f"parked: {scale.rounds} rounds each way in turn, {scale.claims} claims each, one at a time; "
        f"{scale.rows} rows, of which {PINNED_OF_100} % pinned to the {scale.accounts} accounts"
    )


def _filling(scale: ParkingScale) -> Filling:
    channels = scale.accounts * CHANNELS_PER_ACCOUNT
    return Filling(scale.rows, done=0, accounts=scale.accounts, channels=channels, pinned_of_100=PINNED_OF_100)


def _figure(scale: ParkingScale, parked: int, latencies_ms: Sequence[float]) -> ParkingFigure:
    return ParkingFigure(
        accounts=scale.accounts,
        parked=parked,
        claims=len(latencies_ms),
        p50_ms=percentile(latencies_ms, 50),
        p99_ms=percentile(latencies_ms, 99),
        max_ms=max(latencies_ms),
    )
