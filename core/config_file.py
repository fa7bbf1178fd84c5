"""Reading `telecine.toml` into the tables of `config`.

A string may hold `${env:NAME}` or `${file:PATH}`, replaced when its table is read, so that no secret need stand in it,
and no program needs another one's. A wrong key or value is refused with the name of the file, the key and what was
expected. Relative paths are relative to the file.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec

from telecine.core.config import API_URL_PATTERN, BEARER_PATTERN, NAME_PATTERN, URL_PATTERN, Config
from telecine.core.errors import ConfigError

_MEANT = {
    NAME_PATTERN: "a name such as cm-ember, of a-z, 0-9, - and _",
    URL_PATTERN: "an address such as https://telecine.example",
    API_URL_PATTERN: "an address such as https://telecine.example, without user name, password and query",
    BEARER_PATTERN: "a token, in one line and without spaces",
}


def load(
    path: Path, environ: Mapping[str, str] | None = None, *, tables: Collection[str] = Config.__struct_fields__
) -> Config:
    """Read and check a file's `tables`; the others are as if absent. Raises ConfigError that names the file, the key
    and what was expected.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file", hint="`telecine init` writes a commented one") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    unread = set(Config.__struct_fields__).difference(tables)
    wanted = {name: table for name, table in document.items() if name not in unread}
    return decode(wanted, path=path, environ=os.environ if environ is None else environ)


def decode(document: dict[str, Any], *, path: Path, environ: Mapping[str, str]) -> Config:
    """Check a parsed document. `path` names the file in errors and anchors relative paths."""
    expanded = _expand(document, key="", path=path, environ=environ)
    folder = path.resolve().parent

    def decode_path(kind: type, value: object) -> object:
        if kind is Path and isinstance(value, str):
            return _path(value, folder)
        raise ValueError(f"expected {kind.__name__}")

    try:
        return _anchored(msgspec.convert(expanded, Config, dec_hook=decode_path), folder)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {_explain(str(error))}", hint="docs/configuration.md lists every key") from error


def _path(text: str, folder: Path) -> Path:
    """A path of the settings, relative to `folder`. Raises ValueError for what can be none."""
    if "\0" in text:
        raise ValueError("expected a path: it holds a NUL")
    try:
        return folder / Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{text.partition('/')[0]} has no home directory") from error


def _anchored(config: Config, folder: Path) -> Config:
    """A path that is left out is relative to the file as well: whoever names the file finds the same database."""
    if config.coordinator is None:
        return config
    database = folder / config.coordinator.database
    return msgspec.structs.replace(config, coordinator=msgspec.structs.replace(config.coordinator, database=database))


_REFERENCE = re.compile(r"\$\{(env|file):([^}]+)\}")
_ERROR_AT = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<where>[^`]*)`)?$", re.DOTALL)
_FIELD = re.compile(r"Object (?P<fault>missing required|contains unknown) field `(?P<name>.*)`", re.DOTALL)


_PATTERN = re.compile(r"Expected `str` matching regex '(?P<pattern>.*)'", re.DOTALL)


def _explain(message: str) -> str:
    """msgspec's `Expected `int`, got `str` - at `$.worker.connections`` with the key in front."""
    match = _ERROR_AT.match(message)
    where = (match["where"] or "").lstrip(".") if match else ""
    what = match["what"] if match else message
    if field := _FIELD.fullmatch(what):
        table, where = where, f"{where}.{field['name']}".lstrip(".")
        what = "required, but missing" if field["fault"] == "missing required" else _unknown(table, field["name"])
    elif pattern := _PATTERN.fullmatch(what):
        meant = _MEANT.get(pattern["pattern"])
        what = f"expected {meant}" if meant else what
    return f"{where}: {what}" if where else what


def _unknown(table: str, name: str) -> str:
    known = _known(table)
    meant = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    what = "no such key" if table else "no such table"
    return f"{what}; did you mean `{meant[0]}`?" if meant else f"{what}; expected one of {', '.join(known)}"


def _known(table: str) -> tuple[str, ...]:
    """The keys of a table, named by its dotted path. `[...]` in the path is any key of a mapping."""
    kind: Any = Config
    for step in re.findall(r"\[\.\.\.\]|[^.\[\]]+", table):
        if step != "[...]":
            kind = next(field.type for field in msgspec.structs.fields(_struct(kind)) if field.name == step)
        else:
            kind = get_args(kind)[-1]
    return tuple(_struct(kind).__struct_fields__)


def _struct(kind: Any) -> type[msgspec.Struct]:
    """The table among the types that a key may have."""
    return next(k for k in (kind, *get_args(kind)) if isinstance(k, type) and issubclass(k, msgspec.Struct))


def _expand(value: Any, *, key: str, path: Path, environ: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {k: _expand(v, key=f"{key}.{k}".lstrip("."), path=path, environ=environ) for k, v in value.items()}
    if isinstance(value, list):
        return [_expand(v, key=f"{key}[{i}]", path=path, environ=environ) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value
    return _REFERENCE.sub(lambda match: _referred(match, key=key, path=path, environ=environ), value)


def _referred(match: re.Match[str], *, key: str, path: Path, environ: Mapping[str, str]) -> str:
    kind, name = match[1], match[2]
    if kind == "env":
        if name not in environ:
            raise ConfigError(
                f"{path}: {key}: the environment variable {name} is not set",
                hint="set it, or write ${file:PATH} or the value itself in its place",
            )
        return environ[name]
    try:
        return _path(name, path.resolve().parent).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        why = "not UTF-8" if isinstance(error, UnicodeDecodeError) else getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{path}: {key}: the file {name} cannot be read: {why}") from error
