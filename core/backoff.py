"""Ladders of pauses: one rung up for each failure, one down for each success."""

from __future__ import annotations

import msgspec

from telecine.core.errors import InputError


class Ladder(msgspec.Struct, frozen=True):
    """Pauses in seconds, the shortest first. Rung 0 is the ground, with no pause; rung n has the nth pause."""

    pauses_s: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.pauses_s or min(self.pauses_s) < 0:
            raise InputError("a ladder needs pauses of 0 seconds or more", field="pauses_s")

    def up(self, rung: int) -> int:
        """The rung after another failure; the last one is not left upwards."""
        return min(max(rung, 0) + 1, len(self.pauses_s))

    @staticmethod
    def down(rung: int) -> int:
        """The rung after a success."""
        return max(rung - 1, 0)

    def pause_s(self, rung: int) -> float:
        """How long to stay away on a rung; above the last one, as long as there."""
        return 0.0 if rung <= 0 else self.pauses_s[min(rung, len(self.pauses_s)) - 1]
