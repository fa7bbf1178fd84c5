"""How many pieces of one source are worth reading at once."""

from __future__ import annotations

from telecine.core.clock import Clock
from telecine.core.worker.sources.hosts import Host
from telecine.core.worker.sources.meter import Meter

STEP_BYTES = 4 * 1024 * 1024  # by which one number is judged, for each of the connections
STEP_S_MIN = 0.25
GAIN_MIN = 1.25  # what twice as many connections have to bring to be kept
STARVED_SHARE_MIN = 0.5  # below which the source is not what one waits for, and says nothing of itself


class Company:
    """Doubles the number of pieces that are read at once while that makes the source faster, up to what its host is
    allowed to be asked for; one alone where the host refuses more."""

    def __init__(self, host: Host, meter: Meter, clock: Clock, *, most: int | None = None) -> None:
        self._host = host
        self._meter = meter
        self._clock = clock
        self._most = min(host.ranges_max, most or host.ranges_max)
        self._rate_before = 0.0
        self.count = 1
        self.is_settled = self._most == 1
        self._restart()

    def note(self, waited_s: float) -> None:
        """How long one has just waited for the source."""
        if self.is_settled:
            return
        self._waited_s += waited_s
        elapsed_s = self._clock.monotonic_s() - self._began_s
        step_bytes = self._meter.bytes_read - self._began_bytes
        if step_bytes < STEP_BYTES * self.count or elapsed_s < STEP_S_MIN:
            return
        if self._waited_s >= STARVED_SHARE_MIN * elapsed_s:
            self._judge(step_bytes / elapsed_s)
        self._restart()

    def refuse(self) -> None:
        """The host does not want to be asked over several connections."""
        self.count, self.is_settled = 1, True
        self._host.refuse_company()

    def _judge(self, rate: float) -> None:
        if rate < self._rate_before * GAIN_MIN:
            self.count, self.is_settled = max(1, self.count // 2), True
        elif self.count >= self._most:
            self.is_settled = True
        else:
            self._rate_before = rate
            self.count = min(self.count * 2, self._most)

    def _restart(self) -> None:
        self._began_s = self._clock.monotonic_s()
        self._began_bytes = self._meter.bytes_read
        self._waited_s = 0.0
