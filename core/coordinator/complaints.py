"""What many calls in a row run into, such as a full disk: told in the log, and not anew for each of them."""

from __future__ import annotations

import msgspec

from telecine.core.clock import Clock

COMPLAINT_EVERY_S = 10.0
COMPLAINTS_MAX = 64  # different ones that are remembered; at one more, all are told anew


class _Told(msgspec.Struct):
    """When a complaint was last let through, and how often it was made since."""

    at_s: float
    held_back: int = 0


class Complaints:
    """Lets each complaint through once in `COMPLAINT_EVERY_S`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: dict[str, _Told] = {}

    def heard(self, complaint: str) -> int | None:
        """How often a complaint was held back since it was let through; None where it is held back now, too."""
        now_s = self._clock.monotonic_s()
        told = self._told.get(complaint)
        if told is not None and now_s < told.at_s + COMPLAINT_EVERY_S:
            told.held_back += 1
            return None
        if len(self._told) >= COMPLAINTS_MAX:
            self._told.clear()
        self._told[complaint] = _Told(now_s)
        return 0 if told is None else told.held_back
