"""Coordinator and workers are killed at random moments, and nothing is lost, doubled or stuck.

`TELECINE_CRASH_SEED` repeats a run: the same catalogue, faults and blows, as far as the machine keeps the same pace.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest
from tests.e2e.crash import stage
from tests.e2e.crash.audit import audit
from tests.e2e.crash.evidence import gather
from tests.e2e.crash.schedule import blows
from tests.e2e.crash.storm import Storm

from telecine.core.leases import AttemptOutcome

SEED = "TELECINE_CRASH_SEED"


async def survive(folder: Path, *, seed: int, kills: int, titles: int, workers: int) -> None:
    """A run and its audit. A failure names the seed and the folder, which holds ledgers, logs and the database."""
    try:
        staged = await stage.build(folder, seed=seed, titles=titles, workers=workers)
        async with Storm(staged, seed=seed) as storm:
            await storm.rage(blows(seed, workers=workers), kills=kills)
            await storm.calm()
        evidence = gather(staged)
        findings = audit(evidence)
        assert not findings, "\n".join(findings)
        ended = {outcome for tenancy in evidence.tenancies.values() for outcome in tenancy.outcomes}
        assert ended >= {AttemptOutcome.DONE, AttemptOutcome.FAILED, AttemptOutcome.RESTARTED}
    except BaseException as error:
        error.add_note(f"{SEED}={seed} repeats this run; what it left is in {folder}")
        raise


async def test_nothing_is_lost_doubled_or_stuck_by_a_dozen_kills(tmp_path: Path) -> None:
    await survive(tmp_path, seed=int(os.environ.get(SEED, "1")), kills=12, titles=40, workers=4)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_nothing_is_lost_doubled_or_stuck_by_two_hundred_kills(tmp_path: Path) -> None:
    seed = int(os.environ.get(SEED, "0")) or secrets.randbits(32)
    await survive(tmp_path, seed=seed, kills=200, titles=100, workers=5)
