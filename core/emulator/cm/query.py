"""What may be asked of a collection of CM: the part of Directus's query language that importers use.

`fields` with embedded relations, `filter` (JSON or in brackets), `sort`, `limit`, `offset`, `page`, `meta` and
`deep`. What Directus does silently is done silently here too: lists, outer and nested, are cut at 100.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from telecine.core.emulator.cm.content import (
    RELATIONS,
    CmCatalogue,
    Row,
    Table,
    normal_iso,
)
from telecine.core.emulator.cm.refusals import FORBIDDEN, CmRefusalError, invalid_query
from telecine.core.errors import InputError

LIMIT_DEFAULT = 100
LIMIT_NONE = -1
DATE_FIELDS = frozenset({"date_created", "date_updated"})

Predicate = Callable[[Row], bool]
Fields = dict[str, "Fields"]
"""The fields to answer with; those of a relation below its name. An empty one is the field itself."""


class CmQuery(msgspec.Struct, frozen=True):
    """One read of a collection."""

    fields: Fields
    matches: Predicate
    sort: tuple[tuple[str, bool], ...]
    """Field and whether it descends."""
    limit: int
    offset: int
    deep: Mapping[str, Any]
    meta: frozenset[str]


def parse_query(table: Table, parameters: Iterable[tuple[str, str]], catalogue: CmCatalogue) -> CmQuery:
    """Read the parameters of a URL. Raises CmRefusalError: FORBIDDEN for unknown fields, else INVALID_QUERY."""
    query = _nested_parameters(parameters)
    limit = _integer(query, "limit", LIMIT_DEFAULT)
    offset = _integer(query, "offset", 0)
    if "page" in query:
        offset = (_integer(query, "page", 1) - 1) * max(limit, 0)
    return CmQuery(
        fields=_parse_fields(table, _names(query.get("fields", "*"))),
        matches=compile_filter(table, _document(query, "filter"), catalogue),
        sort=tuple(_sort_key(table, name) for name in _names(query.get("sort", "id"))),
        limit=limit,
        offset=offset,
        deep=_document(query, "deep"),
        meta=frozenset(_names(query.get("meta", ""))),
    )


class CmPage(msgspec.Struct, frozen=True):
    """What a read answers."""

    data: list[dict[str, object]]
    filter_count: int
    total_count: int


def run_query(table: Table, query: CmQuery, catalogue: CmCatalogue, media_url: str) -> CmPage:
    """The page of rows asked for, as JSON-ready records."""
    rows = catalogue.rows(table)
    found = [row for row in rows if query.matches(row)]
    for field, descending in reversed(query.sort):
        found.sort(key=lambda row: _sort_value(row, field), reverse=descending)
    end = None if query.limit == LIMIT_NONE else query.offset + query.limit
    projection = Projection(catalogue, media_url)
    data = [projection.record(table, row, query.fields, query.deep) for row in found[query.offset : end]]
    return CmPage(data, filter_count=len(found), total_count=len(rows))


class Projection:
    """Turns rows into the records of an answer."""

    def __init__(self, catalogue: CmCatalogue, media_url: str) -> None:
        self._catalogue = catalogue
        self._media_url = media_url

    def record(self, table: Table, row: Row, fields: Fields, deep: Mapping[str, Any]) -> dict[str, object]:
        """The chosen fields of a row; a relation by ids, or embedded where fields of it were chosen."""
        record: dict[str, object] = {}
        for name, below in fields.items():
            if name in RELATIONS[table]:
                record[name] = self._related(table, row, name, below, deep.get(name) or {})
            else:
                record[name] = self._value(getattr(row, name))
        return record

    def _related(self, table: Table, row: Row, name: str, below: Fields, deep: Mapping[str, Any]) -> list[object]:
        child_table, key = RELATIONS[table][name]
        limit = _integer(deep, "_limit", LIMIT_DEFAULT)
        children = self._catalogue.children(child_table, key, row.id)
        children = children if limit == LIMIT_NONE else children[:limit]
        if not below:
            return [child.id for child in children]
        return [self.record(child_table, child, below, deep) for child in children]

    def _value(self, value: object) -> object:
        return value.replace("{media_url}", self._media_url) if isinstance(value, str) else value


def _scalars(table: Table) -> tuple[str, ...]:
    return table.row_type.__struct_fields__


def _parse_fields(table: Table, names: Iterable[str]) -> Fields:
    fields: Fields = {}
    for name in names:
        head, _, rest = name.partition(".")
        heads = (*_scalars(table), *RELATIONS[table]) if head == "*" else (head,)
        for field in heads:
            _require_field(table, field)
            below = fields.setdefault(field, {})
            if rest and field in RELATIONS[table]:
                _merge(below, _parse_fields(RELATIONS[table][field][0], [rest]))
            elif rest and head != "*":
                raise CmRefusalError(FORBIDDEN)
    return fields


def _merge(into: Fields, more: Fields) -> None:
    for name, below in more.items():
        _merge(into.setdefault(name, {}), below)


def compile_filter(table: Table, rules: Mapping[str, Any], catalogue: CmCatalogue) -> Predicate:
    """A filter document as a function of a row. Relations match if any of their rows does."""
    tests = [_compile_rule(table, name, rule, catalogue) for name, rule in rules.items()]
    return lambda row: all(test(row) for test in tests)


def _compile_rule(table: Table, name: str, rule: Any, catalogue: CmCatalogue) -> Predicate:
    if name in {"_and", "_or"}:
        parts = rule.values() if isinstance(rule, dict) else rule
        if not isinstance(rule, dict | list) or not all(isinstance(part, dict) for part in parts):
            raise invalid_query(f'"{name}" has to be a list of filters')
        tests = [compile_filter(table, part, catalogue) for part in parts]
        join = all if name == "_and" else any
        return lambda row: join(test(row) for test in tests)
    _require_field(table, name)
    if not isinstance(rule, dict):
        rule = {"_eq": rule}
    if name in RELATIONS[table]:
        child_table, key = RELATIONS[table][name]
        matches = compile_filter(child_table, rule, catalogue)
        return lambda row: any(matches(child) for child in catalogue.children(child_table, key, row.id))
    comparisons = [_compile_comparison(name, operator, operand) for operator, operand in rule.items()]
    return lambda row: all(holds(getattr(row, name)) for holds in comparisons)


_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "_eq": lambda value, operand: value == operand,
    "_neq": lambda value, operand: value != operand,
    "_gt": lambda value, operand: value > operand,
    "_gte": lambda value, operand: value >= operand,
    "_lt": lambda value, operand: value < operand,
    "_lte": lambda value, operand: value <= operand,
    "_in": lambda value, operand: value in operand,
    "_nin": lambda value, operand: value not in operand,
    "_contains": lambda value, operand: str(operand) in str(value),
    "_icontains": lambda value, operand: str(operand).casefold() in str(value).casefold(),
    "_starts_with": lambda value, operand: str(value).startswith(str(operand)),
}


def _compile_comparison(field: str, operator: str, operand: Any) -> Callable[[Any], bool]:
    if operator in {"_null", "_nnull"}:
        wanted = (operator == "_null") == (str(operand).lower() not in {"false", "0"})
        return lambda value: (value is None) == wanted
    compare = _COMPARISONS.get(operator)
    if compare is None:
        raise invalid_query(f'"{operator}" is not a filter operator')
    if operator in {"_in", "_nin"}:
        operand = [_operand(field, one) for one in _names(operand)]
    else:
        operand = _operand(field, operand)
    # As in SQL: nothing compares with null.
    return lambda value: value is not None and _compared(compare, value, operand)


def _compared(compare: Callable[[Any, Any], bool], value: Any, operand: Any) -> bool:
    try:
        return compare(value, operand)
    except TypeError as error:
        raise invalid_query("a filter compares a number with a text") from error


def _operand(field: str, operand: Any) -> Any:
    """The value in the type of the field: what comes in a URL is text."""
    if field in DATE_FIELDS:
        try:
            return normal_iso(str(operand))
        except InputError as error:
            raise invalid_query(str(error)) from error
    if isinstance(operand, str) and field not in _TEXT_FIELDS and re.fullmatch(r"-?\d+", operand):
        return int(operand)
    return operand


_TEXT_FIELDS = frozenset({"name", "original_name", "url", "quality", "language", "kind"})


def _sort_key(table: Table, name: str) -> tuple[str, bool]:
    field = name.removeprefix("-")
    if field not in _scalars(table):
        raise CmRefusalError(FORBIDDEN)
    return field, name.startswith("-")


def _sort_value(row: Row, field: str) -> tuple[bool, Any]:
    value = getattr(row, field)
    return value is not None, value if value is not None else 0


def _require_field(table: Table, name: str) -> None:
    if name not in _scalars(table) and name not in RELATIONS[table]:
        raise CmRefusalError(FORBIDDEN)


def _names(value: Any) -> list[str]:
    """A list given as `a,b`, as `x[]=a&x[]=b` or as JSON."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        return value
    return [name.strip() for name in str(value).split(",") if name.strip()]


def _integer(query: Mapping[str, Any], name: str, default: int) -> int:
    try:
        value = int(query.get(name, default))
    except (TypeError, ValueError) as error:
        raise invalid_query(f'"{name}" has to be a number') from error
    if value < LIMIT_NONE:
        raise invalid_query(f'"{name}" cannot be negative')
    return value


def _document(query: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = query.get(name, {})
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError as error:
            raise invalid_query(f'"{name}" is not JSON') from error
    if not isinstance(value, dict):
        raise invalid_query(f'"{name}" has to be an object')
    return value


def _nested_parameters(parameters: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """`filter[id][_gt]=3` as `{"filter": {"id": {"_gt": "3"}}}`, the way the qs library reads it."""
    nested: dict[str, Any] = {}
    for name, value in parameters:
        head, *rest = re.split(r"\]?\[", name.removesuffix("]"))
        keys = [head, *rest]
        level = nested
        for key in keys[:-1]:
            below = level.setdefault(key, {})
            if not isinstance(below, dict):
                raise invalid_query(f'"{name}" is given twice')
            level = below
        level[keys[-1] or str(len(level))] = value
    return nested
