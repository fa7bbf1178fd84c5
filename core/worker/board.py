"""What a worker knows of itself, for whoever watches it: snapshots that do not change."""

from __future__ import annotations

import enum

import msgspec

from telecine.core.clock import Clock
from telecine.core.protocol import Outcome, SettleDone, SettleFailed
from telecine.core.worker.gauge import Gauge, JobView
from telecine.core.worker.park import Park

MESSAGES = "messages"


class WorkerState(enum.StrEnum):
    STARTING = "starting"
    WORKING = "working"
    DRAINING = "draining"  # nothing more is claimed
    PAUSED = "paused"  # nor does what is held move
    AWAY = "away"  # Telegram does not answer, or asks to wait
    STOPPING = "stopping"


class WorkerView(msgspec.Struct, frozen=True):
    """A worker at one moment. Counts and bytes are those of this run.

    `parked_s`: how long Telegram takes nothing from the account, as far as the worker knows; `parked_for` what it said
    so about. `given_back`: leases that were not worked to an end.
    """

    name: str
    state: WorkerState
    seconds: float
    jobs: tuple[JobView, ...] = ()
    jobs_max: int = 1
    done: int = 0
    failed: int = 0
    given_back: int = 0
    bytes_done: int = 0
    parked_s: float = 0.0
    parked_for: str | None = None


class Board:
    """Where a worker writes down what it does."""

    def __init__(self, name: str, clock: Clock, park: Park, *, jobs_max: int) -> None:
        self._name = name
        self._clock = clock
        self._park = park
        self._jobs_max = jobs_max
        self._began_s = clock.monotonic_s()
        self._state = WorkerState.STARTING
        self._gauges: list[Gauge] = []
        self._done = self._failed = self._given_back = 0
        self._bytes_done = 0
        self._uploads_from_s = self._began_s
        self._refused = ""

    def enter(self, state: WorkerState) -> None:
        """The worker does something else now."""
        self._state = state

    def began(self, gauge: Gauge) -> None:
        """A lease is being worked on."""
        self._gauges.append(gauge)

    def ended(self, gauge: Gauge, outcome: Outcome | None) -> None:
        """A lease has been let go of; `outcome` None: it was lost, or is reported later."""
        self._gauges.remove(gauge)
        self._bytes_done += gauge.uploaded_bytes
        if isinstance(outcome, SettleDone):
            self._done += 1
        elif isinstance(outcome, SettleFailed):
            self._failed += 1
        else:
            self._given_back += 1

    def uploads_parked(self, wait_s: float, request: str) -> None:
        """Telegram takes no parts of files from the account; 0: it does again."""
        self._uploads_from_s = self._clock.monotonic_s() + wait_s
        self._refused = request

    def view(self) -> WorkerView:
        """Now."""
        now_s = self._clock.monotonic_s()
        parked_s, parked_for = max((self._uploads_from_s - now_s, self._refused), (self._park.left_s, MESSAGES))
        return WorkerView(
            name=self._name,
            state=self._state,
            seconds=now_s - self._began_s,
            jobs=tuple(gauge.view() for gauge in self._gauges),
            jobs_max=self._jobs_max,
            done=self._done,
            failed=self._failed,
            given_back=self._given_back,
            bytes_done=self._bytes_done + sum(gauge.uploaded_bytes for gauge in self._gauges),
            parked_s=max(0.0, parked_s),
            parked_for=parked_for if parked_s > 0 else None,
        )
