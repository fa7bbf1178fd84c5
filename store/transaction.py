"""What an operation on the database sees: named queries, rows, and one time for all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from telecine.core.errors import StoreError
from telecine.core.events import Happening
from telecine.store.sql import QUERIES

T = TypeVar("T")

Params = Mapping[str, Any]


class Row(Protocol):
    """One row; columns by their name."""

    def __getitem__(self, column: str, /) -> Any: ...

    def keys(self) -> list[str]: ...


class Transaction:
    """One operation's view of the transaction it runs in. `now_ms` is the same for the whole transaction.

    `told` is what will be recorded, and known once it is committed.
    """

    __slots__ = ("_connection", "now_ms", "told")

    def __init__(self, connection: Any, now_ms: int) -> None:
        self._connection = connection
        self.now_ms = now_ms
        self.told: list[Happening] = []

    def tell(self, happening: Happening) -> None:
        """Record an event: it becomes known if, and when, what this operation changes is committed."""
        self.told.append(happening)

    def execute(self, query: str, params: Params | None = None) -> int:
        """Run the named query; how many rows it changed."""
        count: int = self._connection.execute(QUERIES[query], params or {}).rowcount
        return count

    def execute_each(self, query: str, params: Iterable[Params]) -> None:
        """Run the named query once for each set of parameters."""
        self._connection.executemany(QUERIES[query], params)

    def one(self, query: str, params: Params | None = None) -> Row | None:
        """The first row of the named query; None where there is none. Use for queries that give at most one."""
        # Read to the end: a RETURNING statement has only then run to completion.
        rows: list[Row] = self._connection.execute(QUERIES[query], params or {}).fetchall()
        return rows[0] if rows else None

    def get(self, query: str, params: Params | None = None) -> Row:
        """The one row of a query that always gives one. Raises StoreError where it does not."""
        row = self.one(query, params)
        if row is None:
            raise StoreError(f"the query {query} gave no row")
        return row

    def all(self, query: str, params: Params | None = None) -> list[Row]:
        """Every row of the named query."""
        rows: list[Row] = self._connection.execute(QUERIES[query], params or {}).fetchall()
        return rows


Operation = Callable[[Transaction], T]
