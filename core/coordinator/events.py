"""Telling followers what happens, each at its own pace, with neither a gap nor a repetition.

The latest events are held in memory. Who is further behind, after a restart or because it reads slowly, is told from
the log what lasts; what does not last is told only to those who keep up. Only where the log no longer holds what comes
next, or the follower's place is of another epoch, is it told to look at the whole state anew.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

import msgspec

from telecine.core.errors import UnavailableError
from telecine.core.events import EventKind, EventLog, Happening, Recorded, kind_of

EVENTS_KEPT_MAX = 2048
BYTES_KEPT_MAX = 4 * 1024 * 1024  # of these events, of which nearly all are shorter than 1 KiB
EVENTS_PER_PAGE = 256
FOLLOWERS_MAX = 64
KEEP_ALIVE_S = 15.0
EVERY_KIND = frozenset(EventKind)


class Event(msgspec.Struct, frozen=True):
    """One event as it is told; `data` is JSON. `id` is what a follower that comes back shows, None for what does not
    last."""

    kind: EventKind
    data: bytes
    id: str | None = None


class Events:
    """What happens, for up to `FOLLOWERS_MAX` followers."""

    def __init__(self, log: EventLog, *, kept_max: int = EVENTS_KEPT_MAX, bytes_kept_max: int = BYTES_KEPT_MAX) -> None:
        self._log = log
        self._recent = _Recent(log.newest, kept_max, bytes_kept_max)
        self._arrived = asyncio.Event()
        self._closed = False
        self._followers = 0
        log.listen(self._hear)

    @property
    def latest_id(self) -> str:
        """Who follows from here misses nothing that happens after this moment."""
        return self._id(self._recent.newest)

    @property
    def are_followed(self) -> bool:
        """Whether there is anyone to publish to."""
        return self._followers > 0

    def publish(self, happening: Happening) -> None:
        """Tell those who follow at the moment of something that does not last. Never waits."""
        if not self._followers:
            return
        event = Event(kind_of(happening), msgspec.json.encode(happening))
        self._recent.keep(_Kept(self._recent.newest, event))
        self._wake()

    def close(self) -> None:
        """Let every follower come to its end."""
        self._closed = True
        self._wake()

    @contextmanager
    def follow(
        self, last_id: str, *, wanted: frozenset[EventKind] = EVERY_KIND, keep_alive_s: float = KEEP_ALIVE_S
    ) -> Iterator[AsyncIterator[Event | None]]:
        """Events behind `last_id` as they come, of the kinds that are `wanted`; None where none of them came for
        `keep_alive_s`, whatever else did.

        Raises UnavailableError where too many follow already; the iterator, StoreError where the log cannot be read.
        """
        if self._followers >= FOLLOWERS_MAX:
            raise UnavailableError(f"{FOLLOWERS_MAX} are following already")
        self._followers += 1
        try:
            yield self._tell(self._number(last_id), wanted, keep_alive_s)
        finally:
            self._followers -= 1

    async def _tell(
        self, seen: int | None, wanted: frozenset[EventKind], keep_alive_s: float
    ) -> AsyncIterator[Event | None]:
        now_s = asyncio.get_running_loop().time
        silence = _Silence(now_s() + keep_alive_s)
        async for event in self._read(seen, silence):
            if event is not None and event.kind in wanted:
                yield event
            elif now_s() >= silence.until_s:
                yield None
            else:
                continue
            silence.until_s = now_s() + keep_alive_s

    async def _read(self, seen: int | None, silence: _Silence) -> AsyncIterator[Event | None]:
        """Events of every kind; None when the silence is to be broken. `seen`: the number of the follower's latest
        event, None where it is unknown. `place`: where it is in memory; before the beginning of that, it reads the log
        until memory holds what follows."""
        recent, place = self._recent, -1
        while not self._closed:
            if seen is None:
                seen = recent.newest
                yield Event(EventKind.RESET, b"{}", self._id(seen))
            elif seen < recent.forgotten:
                page = await self._log.after(seen, limit=EVENTS_PER_PAGE)
                is_whole = bool(page) and page[0].number == seen + 1
                seen = page[-1].number if is_whole else None  # what comes next was pruned
                for recorded in page if is_whole else ():
                    yield self._event(recorded)
            elif place < recent.begin:
                place = recent.place_behind(seen)
            elif place < recent.end:
                for kept in recent.since(place):
                    place += 1
                    if kept.event.id is None or kept.number > seen:  # the log may know of an event before memory does
                        seen = max(seen, kept.number)
                        yield kept.event
            elif not await self._wait(silence.until_s):
                yield None

    def _hear(self, recorded: Sequence[Recorded]) -> None:
        for one in recorded:
            self._recent.keep(_Kept(one.number, self._event(one)))
        self._wake()

    def _event(self, recorded: Recorded) -> Event:
        return Event(recorded.kind, recorded.data, self._id(recorded.number))

    async def _wait(self, until_s: float) -> bool:
        arrived = self._arrived
        try:
            async with asyncio.timeout_at(until_s):
                return await arrived.wait()
        except TimeoutError:
            return False

    def _wake(self) -> None:
        # A new one each time: whoever waits holds the old one, and none can be missed.
        self._arrived.set()
        self._arrived = asyncio.Event()

    def _id(self, number: int) -> str:
        return f"{self._log.epoch}-{number}"

    def _number(self, last_id: str) -> int | None:
        """The number in an id of this epoch; None for one of another, or for none of ours at all."""
        epoch, _, number = last_id.partition("-")
        if epoch != str(self._log.epoch) or not (number.isascii() and number.isdigit() and len(number) <= 18):
            return None
        return int(number) if int(number) <= self._recent.newest else None


class _Silence(msgspec.Struct):
    """Of one follower, by the event loop's clock."""

    until_s: float


class _Kept(msgspec.Struct, frozen=True):
    """An event in memory. `number`: its own in the log; of what does not last, that of the event before it."""

    number: int
    event: Event


class _Recent:
    """The latest events in memory, while there is room. The place of an event is how many were ever kept before it."""

    def __init__(self, newest: int, kept_max: int, bytes_max: int) -> None:
        self._kept: deque[_Kept] = deque()
        self._kept_max = kept_max
        self._bytes = 0  # of their data
        self._bytes_max = bytes_max
        self.begin = 0
        self.newest = newest
        self.forgotten = newest
        """The number of the newest event of the log that is not in memory any more."""

    @property
    def end(self) -> int:
        return self.begin + len(self._kept)

    def keep(self, kept: _Kept) -> None:
        self._kept.append(kept)
        self._bytes += len(kept.event.data)
        self.newest = kept.number
        while len(self._kept) > self._kept_max or self._bytes > self._bytes_max:
            self._forget()

    def place_behind(self, number: int) -> int:
        """Of the first event after that of the log with `number`."""
        return self.begin + bisect_right(self._kept, number, key=lambda kept: kept.number)

    def since(self, place: int) -> tuple[_Kept, ...]:
        """The events from `place` on, which must not be before the beginning."""
        return tuple(islice(self._kept, place - self.begin, None))

    def _forget(self) -> None:
        oldest = self._kept.popleft()
        self._bytes -= len(oldest.event.data)
        self.forgotten = oldest.number
        self.begin += 1
