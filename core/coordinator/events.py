"""What just happened, told to whoever is looking: the dashboard, `telecine watch`.

A bounded memory of events that any number of followers read at their own pace. One that fell behind, or comes back
with the number of an event that is no longer there, is told to look at the whole state anew. Events are hints for
people; nothing is decided by them and losing one loses nothing.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import islice

import msgspec

from telecine.core.catalogue import ImportRun
from telecine.core.errors import UnavailableError
from telecine.core.leases import VariantState
from telecine.core.protocol import Progress

EVENTS_KEPT_MAX = 2048
FOLLOWERS_MAX = 64
KEEP_ALIVE_S = 15.0


class VariantChanged(msgspec.Struct, frozen=True):
    """A variant is in another state. `worker`: whose doing it was, if a worker's."""

    code: str
    state: VariantState
    worker: str | None = None


class WorkerProgressed(msgspec.Struct, frozen=True):
    """How far a worker is with its leases."""

    worker: str
    leases: tuple[Progress, ...]


class QueueSwept(msgspec.Struct, frozen=True):
    """Leases were taken back and delayed variants made ready."""

    expired: int
    promoted: int


Happening = VariantChanged | WorkerProgressed | QueueSwept | ImportRun


class EventKind(enum.StrEnum):
    VARIANT = "variant"
    PROGRESS = "progress"
    QUEUE = "queue"
    IMPORT = "import"
    RESET = "reset"  # events were missed: fetch what you show anew


_KINDS: dict[type, EventKind] = {
    VariantChanged: EventKind.VARIANT,
    WorkerProgressed: EventKind.PROGRESS,
    QueueSwept: EventKind.QUEUE,
    ImportRun: EventKind.IMPORT,
}


class Event(msgspec.Struct, frozen=True):
    """One event as it is told. `id` is what a follower that comes back shows; `data` is JSON."""

    id: str
    kind: EventKind
    data: bytes


class Events:
    """Keeps the latest events. `boot` tells the numbers of this run of the coordinator from those of others."""

    def __init__(self, boot: str, *, kept_max: int = EVENTS_KEPT_MAX) -> None:
        self._boot = boot
        self._kept: deque[Event] = deque(maxlen=kept_max)
        self._count = 0  # of events ever published; the newest has this number
        self._published = asyncio.Event()
        self._closed = False
        self._followers = 0

    def publish(self, happening: Happening) -> None:
        """Tell all followers. Never waits."""
        self._count += 1
        data = msgspec.json.encode(happening)
        self._kept.append(Event(self._id(self._count), _KINDS[type(happening)], data))
        self._wake()

    def close(self) -> None:
        """Let every follower come to its end."""
        self._closed = True
        self._wake()

    @contextmanager
    def follow(
        self, last_id: str | None, *, keep_alive_s: float = KEEP_ALIVE_S
    ) -> Iterator[AsyncIterator[Event | None]]:
        """Events behind `last_id` (None: from now on) as they come; None where there was none for `keep_alive_s`.

        Raises UnavailableError where too many follow already.
        """
        if self._followers >= FOLLOWERS_MAX:
            raise UnavailableError(f"{FOLLOWERS_MAX} are following already")
        self._followers += 1
        try:
            yield self._read(self._number(last_id), keep_alive_s)
        finally:
            self._followers -= 1

    async def _read(self, seen: int | None, keep_alive_s: float) -> AsyncIterator[Event | None]:
        while not self._closed:
            if seen is None or self._count - seen > len(self._kept):
                seen = self._count
                yield Event(self._id(seen), EventKind.RESET, b"{}")
            elif seen < self._count:
                for event in tuple(islice(self._kept, len(self._kept) - (self._count - seen), None)):
                    seen += 1
                    yield event
            elif not await self._wait(keep_alive_s):
                yield None

    async def _wait(self, timeout_s: float) -> bool:
        published = self._published
        try:
            async with asyncio.timeout(timeout_s):
                return await published.wait()
        except TimeoutError:
            return False

    def _wake(self) -> None:
        # A new one each time: whoever waits holds the old one, and none can be missed.
        self._published.set()
        self._published = asyncio.Event()

    def _id(self, number: int) -> str:
        return f"{self._boot}-{number}"

    def _number(self, last_id: str | None) -> int | None:
        """The number in an id of this run; None for one of another run, or for none of ours at all."""
        if last_id is None:
            return self._count
        boot, _, number = last_id.rpartition("-")
        if boot != self._boot or not (number.isascii() and number.isdigit() and len(number) <= 18):
            return None
        return int(number) if int(number) <= self._count else None
