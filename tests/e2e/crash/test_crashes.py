"""Coordinator and workers are killed at random moments, and nothing is lost, doubled or stuck.

`TELECINE_CRASH_SEED` repeats a run: the same catalogue, faults and blows, as far as the machine keeps the same pace.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import msgspec
import pytest
from tests.e2e.crash import stage
from tests.e2e.crash.audit import audit
from tests.e2e.crash.evidence import gather
from tests.e2e.crash.schedule import blows
from tests.e2e.crash.storm import Storm

from telecine.core.leases import AttemptOutcome

SEED = "TELECINE_CRASH_SEED"


class Scale(msgspec.Struct, frozen=True):
    """How large a run is; `ends` are what it must have come upon to be worth anything."""

    kills: int
    titles: int
    workers: int
    ends: frozenset[AttemptOutcome]


SMALL = Scale(kills=10, titles=25, workers=4, ends=frozenset({AttemptOutcome.DONE, AttemptOutcome.FAILED}))
LARGE = Scale(kills=200, titles=100, workers=5, ends=frozenset(AttemptOutcome))


async def survive(folder: Path, scale: Scale, *, seed: int) -> None:
    """A run and its audit. A failure names the seed and the folder, which holds ledgers, logs and the database."""
    try:
        staged = await stage.build(folder, seed=seed, titles=scale.titles, workers=scale.workers)
        async with Storm(staged, seed=seed) as storm:
            await storm.rage(blows(seed, workers=scale.workers), kills=scale.kills)
            await storm.calm()
        evidence = gather(staged)
        findings = audit(evidence)
        assert not findings, "\n".join(findings)
        assert scale.ends <= {outcome for tenancy in evidence.tenancies.values() for outcome in tenancy.outcomes}
    except BaseException as error:
        error.add_note(f"{SEED}={seed} repeats this run; what it left is in {folder}")
        raise


async def test_nothing_is_lost_doubled_or_stuck_by_ten_kills(tmp_path: Path) -> None:
    await survive(tmp_path, SMALL, seed=int(os.environ.get(SEED, "1")))


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_nothing_is_lost_doubled_or_stuck_by_two_hundred_kills(tmp_path: Path) -> None:
    await survive(tmp_path, LARGE, seed=int(os.environ.get(SEED) or secrets.randbits(32)))
