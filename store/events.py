"""The log of events: written with the changes that they tell of, read by followers who were away."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from telecine.core.events import EventKind, Listener, Recorded, kind_of
from telecine.store.readers import Readers
from telecine.store.transaction import Transaction


class SqliteEvents:
    """Implements `EventLog`. `announce` is the writer's to call."""

    def __init__(self, readers: Readers, epoch: int, newest: int) -> None:
        self._readers = readers
        self._epoch = epoch
        self._newest = newest
        self._listeners: list[Listener] = []

    @property
    def epoch(self) -> int:
        return self._epoch

    @property
    def newest(self) -> int:
        return self._newest

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def announce(self, recorded: Sequence[Recorded]) -> None:
        """Hand on what has just been committed."""
        self._newest = recorded[-1].number
        for listener in self._listeners:
            listener(recorded)

    async def after(self, number: int, *, limit: int) -> tuple[Recorded, ...]:
        return await self._readers.run(lambda tx: events_after(tx, number, limit))


def record(tx: Transaction) -> list[Recorded]:
    """Write what a transaction has told, at its end: all at once costs a fraction of each by itself."""
    if not tx.told:
        return []
    numbered = enumerate(tx.told, newest_event(tx) + 1)
    recorded = [Recorded(number, kind_of(one), msgspec.json.encode(one)) for number, one in numbered]
    rows = (
        {"id": one.number, "now_ms": tx.now_ms, "kind": one.kind.value, "data": one.data.decode()} for one in recorded
    )
    tx.execute_each("insert_event", rows)
    return recorded


def newest_event(tx: Transaction) -> int:
    return int(tx.get("newest_event")["id"])


def events_after(tx: Transaction, number: int, limit: int) -> tuple[Recorded, ...]:
    rows = tx.all("events_after", {"number": number, "limit": limit})
    return tuple(Recorded(row["id"], EventKind(row["kind"]), row["data"].encode()) for row in rows)
