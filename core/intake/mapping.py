"""Where in CM's answers a field stands: dotted paths, checked once when the settings are read.

data.titles        keys one below the other; on a list a number is an index (`errors.0.code`)
episodes[]         every element of a list; `seasons[].episodes[]` runs through both
year?              may be absent or null; without the mark that is an error
year|int           a number, also where CM writes it as text; an empty text is null
.                  the item itself, for lists of plain values
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from telecine.core.config import CmField, CmValues
from telecine.core.errors import CmError, ConfigError

DEFAULT_FIELDS: Mapping[str, Mapping[str, CmField]] = {
    "title": {"id": "id", "name": "name", "year": "year?|int", "links": "links[]?", "episodes": "episodes[]?"},
    "episode": {
        "id": "id",
        "season": "season|int",
        "episode": "episode|int",
        "name": "name?",
        "links": "links[]?",
        "title": "title?",
    },
    "link": {"id": "id", "url": "url", "quality": "quality?", "title": "title?", "episode": "episode?"},
}
"""What a kind of record is read by when `[cm.map]` does not speak of it."""

_FIELDS: Mapping[str, frozenset[str]] = {
    "title": frozenset({"id", "name", "year", "kind", "runtime_s", "runtime_min", "links", "episodes"}),
    "episode": frozenset({"id", "season", "episode", "name", "runtime_s", "runtime_min", "links", "title"}),
    "link": frozenset({"id", "url", "quality", "name", "title", "episode"}),
}
_REQUIRED: Mapping[str, frozenset[str]] = {
    "title": frozenset({"id", "name"}),
    "episode": frozenset({"id", "season", "episode"}),
    "link": frozenset({"url"}),
}


class FieldPath(msgspec.Struct, frozen=True):
    """A parsed path. `steps` are keys and indexes, with `[]` where every element of a list is meant."""

    text: str
    steps: tuple[str, ...]
    optional: bool = False
    as_int: bool = False

    def all(self, document: object) -> list[object]:
        """Every value that the path leads to. Raises CmError where a required one is missing."""
        values: list[object] = [document]
        for step in self.steps:
            values = [below for value in values for below in self._below(value, step)]
        present = [value for value in values if not self._is_null(value)]
        if len(present) < len(values):
            self._require()
        return [whole_number(value) for value in present] if self.as_int else present

    def one(self, document: object) -> object | None:
        """The single value, None where it is optional and absent. Raises CmError for none or several."""
        values = self.all(document)
        if len(values) > 1:
            raise CmError(f"`{self.text}` leads to {len(values)} values, expected one")
        if not values:
            self._require()
            return None
        return values[0]

    def _is_null(self, value: object) -> bool:
        return value is None or (self.as_int and isinstance(value, str) and not value.strip())

    def _below(self, value: object, step: str) -> Iterator[object]:
        if step == "[]":
            yield from self._elements(value)
        elif isinstance(value, dict) and step in value:
            yield value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            yield value[int(step)]
        else:
            self._require()

    def _elements(self, value: object) -> list[object]:
        if isinstance(value, list):
            return value
        if value is not None:
            raise CmError(f"`{self.text}`: expected a list, got {kind_of(value)}")
        self._require()
        return []

    def _require(self) -> None:
        if not self.optional:
            raise CmError(f"`{self.text}` is missing")


def parse_path(text: str, key: str) -> FieldPath:
    """Read a path. Raises ConfigError that names the setting, `key`, where it cannot be read."""
    path, _, conversion = text.replace(" ", "").partition("|")
    if conversion.rstrip("?") not in {"", "int"}:
        raise ConfigError(f"{key}: {text!r}: unknown conversion {conversion!r}, only |int is known")
    bare = path.replace("?", "")
    steps = () if bare == "." else tuple(bare.replace("[]", ".[]").removeprefix(".").split("."))
    if not all(steps) or any("[" in step and step != "[]" for step in steps):
        raise ConfigError(f"{key}: {text!r} is not a dotted path such as data.items[].name")
    return FieldPath(text, steps, optional="?" in text, as_int=conversion.startswith("int"))


def whole_number(value: object) -> int:
    """A number out of a number or its text. Raises CmError for anything else; true and false are no numbers."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and len(value) <= 20:
        digits = value.strip()
        if digits.isascii() and digits.removeprefix("-").isdecimal():
            return int(digits)
    raise CmError(f"expected a whole number, got {kind_of(value)}")


def kind_of(value: object) -> str:
    """How an unexpected value is called in an error: short, and never the whole of it."""
    match value:
        case None:
            return "null"
        case dict():
            return "an object"
        case list():
            return "a list"
        case _:
            text = repr(value)
            return text if len(text) <= 60 else f"{text[:60]}…"


class Field(msgspec.Struct, frozen=True):
    """One mapped field: where it stands and, where CM has its own words for it, what they mean."""

    path: FieldPath
    values: Mapping[str, str] | None = None

    def one(self, item: object) -> object | None:
        """The field of this item. Raises CmError for a value that the settings do not know."""
        value = self.path.one(item)
        if self.values is None or value is None:
            return value
        word = str(value).lower() if isinstance(value, bool) else str(value)
        if word not in self.values:
            known = ", ".join(self.values)
            raise CmError(f"`{self.path.text}`: expected one of {known}, got {kind_of(value)}")
        return self.values[word]


class CmMapping(msgspec.Struct, frozen=True):
    """How titles, episodes and links are read, by field."""

    title: Mapping[str, Field]
    episode: Mapping[str, Field]
    link: Mapping[str, Field]


def compile_mapping(settings: Mapping[str, Mapping[str, CmField]]) -> CmMapping:
    """Check `[cm.map]` and fill in the defaults. Raises ConfigError that names the key."""
    if unknown := sorted(settings.keys() - _FIELDS.keys()):
        raise ConfigError(f"cm.map.{unknown[0]}: unknown, expected one of {', '.join(_FIELDS)}")
    return CmMapping(*(_compile(record, settings.get(record) or DEFAULT_FIELDS[record]) for record in _FIELDS))


def _compile(record: str, fields: Mapping[str, CmField]) -> Mapping[str, Field]:
    table = f"cm.map.{record}"
    if unknown := sorted(fields.keys() - _FIELDS[record]):
        raise ConfigError(f"{table}.{unknown[0]}: unknown, expected one of {', '.join(sorted(_FIELDS[record]))}")
    if absent := sorted(_REQUIRED[record] - fields.keys()):
        raise ConfigError(f"{table}.{absent[0]} is missing")
    return {name: _field(f"{table}.{name}", field) for name, field in fields.items()}


def _field(key: str, field: CmField) -> Field:
    if isinstance(field, CmValues):
        return Field(parse_path(field.path, f"{key}.path"), field.values)
    return Field(parse_path(field, key))
