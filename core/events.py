"""What happens, told to whoever is looking: a dashboard, a script.

What lasts is recorded with the change that it tells of, in the same transaction, and told once that is committed.
What is too frequent to keep (leases handed out, progress) is told to those who follow at the moment, and to nobody
later. Events are hints for people: nothing is decided by them.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from telecine.core.catalogue import ImportRun
from telecine.core.leases import VariantState
from telecine.core.operator_protocol import ChannelState, WorkerMode
from telecine.core.protocol import Progress


class VariantChanged(msgspec.Struct, frozen=True, gc=False):
    """A variant is in another state, or an operator gave it another priority or account.

    `worker`: whose doing it was, if a worker's.
    """

    code: str
    state: VariantState
    worker: str | None = None


class WorkerProgressed(msgspec.Struct, frozen=True):
    """How far a worker is with its leases. Never recorded."""

    worker: str
    leases: tuple[Progress, ...]


class QueueSwept(msgspec.Struct, frozen=True):
    """Leases were taken back and delayed variants made ready."""

    expired: int
    promoted: int


class WorkerChanged(msgspec.Struct, frozen=True):
    """An operator lets a worker do more, or less, than before."""

    worker: str
    mode: WorkerMode


class AccountChanged(msgspec.Struct, frozen=True):
    """An account was parked or unparked. Times by the coordinator's clock; one that has passed parks nothing."""

    account: str
    uploads_parked_until_ms: int
    sends_parked_until_ms: int
    reason: str | None = None


class HostChanged(msgspec.Struct, frozen=True):
    """A source host was parked, unparked or limited. Time by the coordinator's clock."""

    host: str
    rung: int
    parked_until_ms: int
    reason: str | None = None


class ChannelChanged(msgspec.Struct, frozen=True):
    """A storage channel was planned, opened, or retired."""

    id: int
    title: str
    account: str
    state: ChannelState


Happening = (
    VariantChanged
    | WorkerProgressed
    | QueueSwept
    | ImportRun
    | WorkerChanged
    | AccountChanged
    | HostChanged
    | ChannelChanged
)


class EventKind(enum.StrEnum):
    VARIANT = "variant"
    PROGRESS = "progress"
    QUEUE = "queue"
    IMPORT = "import"
    WORKER = "worker"
    ACCOUNT = "account"
    HOST = "host"
    CHANNEL = "channel"
    RESET = "reset"  # events were missed: fetch what you show anew


_KINDS: dict[type, EventKind] = {
    VariantChanged: EventKind.VARIANT,
    WorkerProgressed: EventKind.PROGRESS,
    QueueSwept: EventKind.QUEUE,
    ImportRun: EventKind.IMPORT,
    WorkerChanged: EventKind.WORKER,
    AccountChanged: EventKind.ACCOUNT,
    HostChanged: EventKind.HOST,
    ChannelChanged: EventKind.CHANNEL,
}


def kind_of(happening: Happening) -> EventKind:
    """The name under which followers hear of it."""
    return _KINDS[type(happening)]


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """An event that lasts. `number` grows by one from each to the next; `data` is JSON."""

    number: int
    kind: EventKind
    data: bytes


Listener = Callable[[Sequence[Recorded]], None]


class EventLog(Protocol):
    """The events that last, in the order in which they happened. The store implements it."""

    @property
    def epoch(self) -> int:
        """Grows at each restore of the database, after which numbers repeat."""
        ...

    @property
    def newest(self) -> int:
        """The number of the newest event; 0 where there never was one."""
        ...

    def listen(self, listener: Listener) -> None:
        """Hand `listener` what is recorded from now on, as soon as it is committed. It must neither wait nor raise."""
        ...

    async def after(self, number: int, *, limit: int) -> tuple[Recorded, ...]:
        """The oldest events after `number`. They begin at `number + 1`, unless that was pruned."""
        ...
