"""How fast something went, and how much of the processor it took: the latter tells little of a busy machine's noise."""

from __future__ import annotations

import time

import msgspec


class Pace(msgspec.Struct, frozen=True):
    """`cpu_us_per_pair`: of all threads of this process."""

    pairs: int
    pairs_per_s: float
    cpu_us_per_pair: float


class Stopwatch:
    """Runs from when it is made."""

    def __init__(self) -> None:
        self._began_s = time.perf_counter()
        self._cpu_began_s = time.process_time()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._began_s

    def pace(self, pairs: int) -> Pace:
        """Of `pairs` pairs that took until now."""
        return Pace(pairs, pairs / self.seconds, (time.process_time() - self._cpu_began_s) / pairs * 1e6)
