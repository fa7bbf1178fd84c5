"""What is done to the processes, and when: a function of the seed."""

from __future__ import annotations

import enum
import random
from collections.abc import Iterator

import msgspec

STEPS = (1, 50)  # of all uploaders together, between two blows
DELAY_S_MAX = 0.03
STARTING_S_MAX = 0.7  # within which a coordinator comes up


class Target(enum.Enum):
    """Who is hit."""

    WORKER = "worker"
    WORKER_FOR_LONG = "worker, away until its leases are another's"
    FROZEN_WORKER = "worker, stopped for as long and then let go on: no kill"
    COORDINATOR = "coordinator"
    STARTING_COORDINATOR = "coordinator, and again while it comes up"
    BOTH = "worker and coordinator"


_WEIGHTS = {
    Target.WORKER: 6,
    Target.WORKER_FOR_LONG: 3,
    Target.FROZEN_WORKER: 3,
    Target.COORDINATOR: 5,
    Target.STARTING_COORDINATOR: 1,
    Target.BOTH: 3,
}


class Blow(msgspec.Struct, frozen=True):
    """After so many `steps`, and `delay_s` more, hit `target`; `again_s` is when a starting coordinator is hit."""

    steps: int
    delay_s: float
    target: Target
    worker: int
    again_s: float


def blows(seed: int, *, workers: int) -> Iterator[Blow]:
    """One after the other, without end. Every target comes up early, so that short runs see it too."""
    rng = random.Random(f"{seed}/schedule")
    targets = list(_WEIGHTS)
    first = rng.sample(targets, len(targets))
    while True:
        [target] = [first.pop()] if first else rng.choices(targets, list(_WEIGHTS.values()))
        yield Blow(
            steps=rng.randint(*STEPS),
            delay_s=rng.uniform(0, DELAY_S_MAX),
            target=target,
            worker=rng.randrange(workers),
            again_s=rng.uniform(0, STARTING_S_MAX),
        )
