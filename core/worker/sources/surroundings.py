"""What the readings of one source share, and what they share with other sources."""

from __future__ import annotations

import msgspec

from telecine.core.clock import Clock
from telecine.core.worker.sources.limits import Room, SourceLimits
from telecine.core.worker.sources.meter import Meter


class Surroundings(msgspec.Struct, frozen=True):
    """`meter` is of this source alone, `room` of all jobs."""

    meter: Meter
    room: Room
    limits: SourceLimits
    clock: Clock
