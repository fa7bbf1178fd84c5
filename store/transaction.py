"""What an operation on the database sees: named queries, rows, and one time for all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from telecine.core.errors import StoreError
from telecine.core.events import Happening
from telecine.store.sql import QUERIES

T = TypeVar("T")

Params = Mapping[str, Any]


Row = Mapping[str, Any]  # columns by their name

_COLUMNS: dict[str, tuple[str, ...]] = {}  # of each query that gave rows


class Transaction:
    """One operation's view of the transaction it runs in. `now_ms` is the same for the whole transaction.

    `told` is what will be recorded, and known once it is committed.
    """

    __slots__ = ("_cursor", "now_ms", "told")

    def __init__(self, connection: Any, now_ms: int) -> None:
        self._cursor = connection.cursor()  # one for all statements: making it takes half as long as a small one
        self.now_ms = now_ms
        self.told: list[Happening] = []

    def tell(self, happening: Happening) -> None:
        """Record an event: it becomes known if, and when, what this operation changes is committed."""
        self.told.append(happening)

    def execute(self, query: str, params: Params | None = None) -> int:
        """Run the named query; how many rows it changed."""
        count: int = self._cursor.execute(QUERIES[query], params or ()).rowcount
        return count

    def execute_each(self, query: str, params: Iterable[Params]) -> None:
        """Run the named query once for each set of parameters."""
        self._cursor.executemany(QUERIES[query], params)

    def one(self, query: str, params: Params | None = None) -> Row | None:
        """The first row of the named query; None where there is none. Use for queries that give at most one."""
        # Read to the end: a RETURNING statement has only then run to completion.
        rows = self._cursor.execute(QUERIES[query], params or ()).fetchall()
        return dict(zip(_columns(query, self._cursor), rows[0], strict=True)) if rows else None

    def get(self, query: str, params: Params | None = None) -> Row:
        """The one row of a query that always gives one. Raises StoreError where it does not."""
        row = self.one(query, params)
        if row is None:
            raise StoreError(f"the query {query} gave no row")
        return row

    def all(self, query: str, params: Params | None = None) -> list[Row]:
        """Every row of the named query."""
        rows = self._cursor.execute(QUERIES[query], params or ()).fetchall()
        columns = _columns(query, self._cursor) if rows else ()
        return [dict(zip(columns, row, strict=True)) for row in rows]


def _columns(query: str, cursor: Any) -> tuple[str, ...]:
    """The names of a query's columns. A dictionary by them is read ten times as fast as the library's own rows."""
    columns = _COLUMNS.get(query)
    if columns is None:
        columns = _COLUMNS[query] = tuple(column[0] for column in cursor.description)
    return columns


Operation = Callable[[Transaction], T]
