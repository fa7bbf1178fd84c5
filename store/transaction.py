"""What an operation on the database sees: named queries, rows, and one time for all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import msgspec

from telecine.core.errors import StoreError
from telecine.core.events import Happening
from telecine.store.sql import STATEMENTS

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R", bound=msgspec.Struct)
A_contra = TypeVar("A_contra", contravariant=True)

Params = Mapping[str, Any]
Values = tuple[Any, ...]  # of the parameters, in the order of the statement

Row = Mapping[str, Any]  # columns by their name

_KNOWN_KINDS: set[tuple[str, type[msgspec.Struct]]] = set()  # of the rows of queries, which were compared with them
_COLUMNS: dict[str, tuple[str, ...]] = {}  # of each query that gave rows


class SpoiltError(Exception):
    """A change that others rest on has failed, or has to be undone alone: the transaction must be undone as a whole.
    Its cause is what went wrong."""


class Transaction:
    """One operation's view of the transaction it runs in. `now_ms` is the same for the whole transaction.

    `told` is what will be recorded, and known once it is committed. `defers`: changes that are alike may wait for each
    other, so that they cost less; whoever reads finds them made.
    """

    __slots__ = ("_connection", "_cursor", "_deferred", "_deferred_ever", "_defers", "_flushed", "now_ms", "told")

    def __init__(self, connection: Any, now_ms: int, *, defers: bool = False) -> None:
        self._connection = connection
        self._cursor = connection.cursor()  # one for all statements: making it takes half as long as a small one
        self._defers = defers
        self._deferred: dict[str, list[Values]] = {}
        self._deferred_ever = 0
        self._flushed = 0  # rows that were changed when it was the turn of what had waited
        self.now_ms = now_ms
        self.told: list[Happening] = []

    def tell(self, happening: Happening) -> None:
        """Record an event: it becomes known if, and when, what this operation changes is committed."""
        self.told.append(happening)

    def attempt(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Exception:
        """What the function returns, or what it raised before it had changed anything. Raises SpoiltError for what it
        raised later."""
        mark, told_before = self._mark(), len(self.told)
        try:
            return function(*args, **kwargs)
        except SpoiltError:
            raise
        except Exception as error:
            if not self._connection.in_transaction:  # a full disk or an I/O error has undone the whole transaction
                raise
            if self._mark() != mark:
                raise SpoiltError from error
            del self.told[told_before:]
            return error

    def change(self, query: str, params: Params, or_raise: Callable[[], Exception] | None = None) -> None:
        """Run the named query, which changes one row: now, or together with others of its name before anything reads
        or this transaction ends. What waits is run in the order in which each name came first.

        Raises what `or_raise` makes where no row was changed. Where it waits, the transaction is spoilt instead, and
        all of it runs again without waiting.
        """
        if not self._defers:
            if self.execute(query, params) != 1:
                raise or_raise() if or_raise else StoreError(f"the query {query} changed nothing")
            return
        values = STATEMENTS[query].values(params)
        self._deferred_ever += 1
        deferred = self._deferred.get(query)
        if deferred is None:
            self._deferred[query] = [values]
        else:
            deferred.append(values)

    def flush(self) -> None:
        """Make the changes that wait. Raises SpoiltError."""
        if not self._deferred:
            return
        deferred, self._deferred = self._deferred, {}
        changed_before = self._connection.total_changes
        for query, values in deferred.items():
            try:
                changed = self._make(query, values)
            except Exception as error:
                if not self._connection.in_transaction:
                    raise
                raise SpoiltError from error
            if changed != len(values):
                raise SpoiltError from StoreError(f"the query {query} changed {changed} rows of {len(values)}")
        self._flushed += self._connection.total_changes - changed_before

    def execute(self, query: str, params: Params | None = None) -> int:
        """Run the named query; how many rows it changed."""
        count: int = self._run(query, params).rowcount
        return count

    def execute_each(self, query: str, params: Iterable[Params]) -> None:
        """Run the named query once for each set of parameters."""
        self.flush()
        self._make(query, map(STATEMENTS[query].values, params))

    def one(self, query: str, params: Params | None = None) -> Row | None:
        """The first row of the named query; None where there is none. Use for queries that give at most one."""
        # Read to the end: a RETURNING statement has only then run to completion.
        rows = self._run(query, params).fetchall()
        return dict(zip(_columns(query, self._cursor), rows[0], strict=True)) if rows else None

    def get(self, query: str, params: Params | None = None) -> Row:
        """The one row of a query that always gives one. Raises StoreError where it does not."""
        row = self.one(query, params)
        if row is None:
            raise StoreError(f"the query {query} gave no row")
        return row

    def all(self, query: str, params: Params | None = None) -> list[Row]:
        """Every row of the named query."""
        rows = self._run(query, params).fetchall()
        columns = _columns(query, self._cursor) if rows else ()
        return [dict(zip(columns, row)) for row in rows]  # noqa: B905 - they are as many, and saying so takes a while

    def rows(self, query: str, kind: type[R], params: Params | None = None) -> list[R]:
        """Every row of the named query as a `kind`, of which the fields are its columns in their order: for what runs
        often, since it takes a tenth of the time. Raises StoreError where the columns are others."""
        rows = self._run(query, params).fetchall()
        if (query, kind) not in _KNOWN_KINDS:
            columns = tuple(column[0] for column in self._cursor.description)
            if columns != kind.__struct_fields__:
                raise StoreError(f"the query {query} gives {', '.join(columns)}, which is no {kind.__name__}")
            _KNOWN_KINDS.add((query, kind))
        return [kind(*row) for row in rows]

    def _run(self, query: str, params: Params | None) -> Any:
        if self._deferred:
            self.flush()
        statement = STATEMENTS[query]
        return self._cursor.execute(statement.sql, statement.values(params or {}))

    def _make(self, query: str, values: Iterable[Values]) -> int:
        changed: int = self._cursor.executemany(STATEMENTS[query].sql, values).rowcount
        return changed

    def _mark(self) -> tuple[int, int]:
        """Other than before exactly if something was changed since, or is to be, by whoever came since."""
        return self._connection.total_changes - self._flushed, self._deferred_ever


def _columns(query: str, cursor: Any) -> tuple[str, ...]:
    """The names of a query's columns. A dictionary by them is read ten times as fast as the library's own rows."""
    columns = _COLUMNS.get(query)
    if columns is None:
        columns = _COLUMNS[query] = tuple(column[0] for column in cursor.description)
    return columns


Operation = Callable[[Transaction], T]

Together = Callable[[Transaction, Sequence[A_contra]], Sequence[T | Exception]]
"""One operation for many who ask for the same kind of thing, at less than the cost of one for each: what is answered to
each, or the error of one who changed nothing. Raises SpoiltError where something has to be undone: then each is asked
for alone."""


def each(tx: Transaction, operations: Sequence[Operation[T]]) -> list[T | Exception]:
    """Operations that have nothing in common, one after the other."""
    answers: list[T | Exception] = []
    for operation in operations:
        answers.append(tx.attempt(operation, tx))
        tx.flush()
    return answers
