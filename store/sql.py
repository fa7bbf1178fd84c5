"""The named queries of `queries/*.sql`.

    -- name: claim_variant
    -- Why the query is as it is.
    UPDATE ...

A query runs to the next name. Names are unique over all files; parameters are written `:name`.
`LIMIT :limit + 0` is for what runs often: SQLite plans a statement anew whenever a bare parameter there is bound.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from operator import itemgetter
from types import MappingProxyType
from typing import Any

from telecine.core.errors import StoreError

_NAME = re.compile(r"^-- name: (?P<name>\w+)[ \t]*$", re.MULTILINE)


_PARAMETER = re.compile(r":(?P<name>[a-z]\w*)")


class Statement:
    """A query as the library runs it fastest: with numbered parameters, which it need not look up by their names each
    time that they are bound."""

    __slots__ = ("_picked", "name", "parameters", "sql")

    def __init__(self, name: str, query: str) -> None:
        self.name = name
        self.parameters = tuple(dict.fromkeys(_PARAMETER.findall(query)))
        numbers = {parameter: f"?{number}" for number, parameter in enumerate(self.parameters, start=1)}
        self.sql = _PARAMETER.sub(lambda found: numbers[found["name"]], query)
        self._picked = itemgetter(*self.parameters) if len(self.parameters) > 1 else None

    def values(self, params: Mapping[str, Any]) -> tuple[Any, ...]:
        """What is bound to the numbers. Raises StoreError where a parameter is missing."""
        try:
            if self._picked is not None:
                picked: tuple[Any, ...] = self._picked(params)
                return picked
            return tuple(params[parameter] for parameter in self.parameters)
        except KeyError as missing:
            raise StoreError(f"the query {self.name} needs the parameter {missing}") from None


def parse(text: str, *, source: str) -> dict[str, str]:
    """The queries of one file by name, without their comments. Raises StoreError for text that is not such a file."""
    pieces = _NAME.split(text)
    if _without_comments(pieces[0]):
        raise StoreError(f"{source}: SQL before the first `-- name:`")
    queries: dict[str, str] = {}
    for name, body in zip(pieces[1::2], pieces[2::2], strict=True):
        statement = _without_comments(body).removesuffix(";")
        if not statement:
            raise StoreError(f"{source}: the query {name} is empty")
        if name in queries:
            raise StoreError(f"{source}: two queries are named {name}")
        queries[name] = statement
    return queries


def load() -> Mapping[str, str]:
    """Every query of the package. Raises StoreError for a name used twice."""
    queries: dict[str, str] = {}
    folder = files("telecine.store").joinpath("queries")
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".sql"):
            continue
        found = parse(file.read_text(encoding="utf-8"), source=file.name)
        if twice := found.keys() & queries.keys():
            raise StoreError(f"{file.name}: the query {min(twice)} stands in another file too")
        queries |= found
    return MappingProxyType(queries)


def _without_comments(sql: str) -> str:
    return "\n".join(line for line in sql.splitlines() if not line.lstrip().startswith("--")).strip()


QUERIES: Mapping[str, str] = load()
STATEMENTS: Mapping[str, Statement] = {name: Statement(name, query) for name, query in QUERIES.items()}
