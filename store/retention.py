"""Forgetting history, a little at a time."""

from __future__ import annotations

from telecine.store.writer import Writer


class SqliteRetention:
    """Implements `Retention`: each call is one operation of the writer, so that others get their turn in between."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def prune_attempts(self, before_ms: int, *, limit: int) -> int:
        return await self._writer.run(lambda tx: tx.execute("prune_attempts", {"before_ms": before_ms, "limit": limit}))

    async def prune_events(self, before_ms: int, *, limit: int) -> int:
        return await self._writer.run(lambda tx: tx.execute("prune_events", {"before_ms": before_ms, "limit": limit}))
