"""What is done to the processes, and when: a function of the seed."""

from __future__ import annotations

import enum
import random

import msgspec

STEPS = (1, 50)  # of all uploaders together, between two blows
DELAY_S_MAX = 0.03
STARTING_S_MAX = 0.7  # within which a coordinator comes up


class Target(enum.Enum):
    """Who is hit."""

    WORKER = "worker"
    COORDINATOR = "coordinator"
    BOTH = "both"
    STARTING_COORDINATOR = "starting coordinator"  # killed, started, and killed again while it comes up
    FROZEN_WORKER = "frozen worker"  # stopped until its leases have expired, then let go on: no kill


_WEIGHTS = {
    Target.WORKER: 9,
    Target.COORDINATOR: 5,
    Target.BOTH: 3,
    Target.STARTING_COORDINATOR: 1,
    Target.FROZEN_WORKER: 2,
}
_KILLS = {
    Target.WORKER: 1,
    Target.COORDINATOR: 1,
    Target.BOTH: 2,
    Target.STARTING_COORDINATOR: 2,
    Target.FROZEN_WORKER: 0,
}


class Blow(msgspec.Struct, frozen=True):
    """After so many `steps`, and `delay_s` more, hit `target`; `again_s` is when a starting coordinator is hit."""

    steps: int
    delay_s: float
    target: Target
    worker: int
    again_s: float

    @property
    def kills(self) -> int:
        return _KILLS[self.target]


def schedule(seed: int, *, kills: int, workers: int) -> tuple[Blow, ...]:
    """Blows with at least so many kills in them."""
    rng = random.Random(f"{seed}/schedule")
    blows: list[Blow] = []
    while sum(blow.kills for blow in blows) < kills:
        [target] = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
        blows.append(
            Blow(
                steps=rng.randint(*STEPS),
                delay_s=rng.uniform(0, DELAY_S_MAX),
                target=target,
                worker=rng.randrange(workers),
                again_s=rng.uniform(0, STARTING_S_MAX),
            )
        )
    return tuple(blows)
