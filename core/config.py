"""Every setting: what it is called in `telecine.toml`, its type, default and meaning.

One file serves all programs; each reads the tables it needs. A string may hold `${env:NAME}` or `${file:PATH}`,
replaced when its table is read, so that no secret need stand in it, and no program needs another one's. A wrong key or
value is refused with the name of the file, the key and what was expected. Relative paths are relative to the file.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

import msgspec
from msgspec import Meta

from telecine.core.errors import ConfigError
from telecine.core.leases import LEASE_TTL_S

Port = Annotated[int, Meta(ge=0, le=65535, description="a TCP port; 0 takes a free one")]
Positive = Annotated[float, Meta(gt=0)]
PositiveInt = Annotated[int, Meta(ge=1)]

_NAME = "^[a-z0-9][a-z0-9_-]{0,62}$"
_URL = "^https?://[^/ ]+[^ ]*$"
_BEARER = "^[!-~]+$"  # fit for a header
_MEANT = {
    _NAME: "a name such as cm-ember, of a-z, 0-9, - and _",
    _URL: "an address such as https://telecine.example",
    _BEARER: "a token, in one line and without spaces",
}
Name = Annotated[str, Meta(pattern=_NAME)]
Url = Annotated[str, Meta(pattern=_URL)]
Bearer = Annotated[str, Meta(pattern=_BEARER)]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every table of the file."""


class TelegramSettings(Table, frozen=True):
    """`[telegram]`: how to reach Telegram. The defaults are the real one; my.telegram.org gives id and hash."""

    api_id: PositiveInt
    api_hash: str
    dc: PositiveInt = 2
    server: str | None = None  # host:port of a data centre; None: Telegram's own
    public_key: Path | None = None  # PEM of the server's RSA key; None: Telegram's own
    bot_token: str | None = None
    bot_api_url: Url | None = None  # None: https://api.telegram.org


class CoordinatorSettings(Table, frozen=True):
    """`[coordinator]`: `telecine serve`."""

    secret: Annotated[str, Meta(min_length=32)]  # signs the API's tokens
    database: Path = Path("telecine.db")
    replicated: bool = False  # Litestream replicates the database and does the checkpoints
    host: str = "127.0.0.1"
    port: Port = 8750
    lease_ttl_s: Positive = LEASE_TTL_S
    sweep_interval_s: Positive = 5.0
    channels_per_account: PositiveInt = 3
    retry_backoff_s: tuple[Positive, ...] = (30, 300, 3600, 21600)


class BotSettings(Table, frozen=True):
    """`[bot]`: the part of `telecine serve` that users talk to."""

    enabled: bool = True
    page_size: Annotated[int, Meta(ge=1, le=50)] = 8
    protect_content: bool = False


class WorkerSettings(Table, frozen=True):
    """`[worker]`: `telecine work` and `telecine login`."""

    name: Name
    coordinator_url: Url
    token: Bearer
    session: Path
    journal: Path | None = None  # None: beside the session, with the suffix .journal
    phone: str | None = None
    connections: Annotated[int, Meta(ge=1, le=16)] = 4
    parts_in_flight: Annotated[int, Meta(ge=1, le=64)] = 16
    flood_wait_in_place_s: Annotated[float, Meta(ge=0)] = 10.0  # longer waits park the account
    allow_private_sources: bool = False  # links to loopback, private and link-local addresses
    stall_bytes_per_s: PositiveInt = 16 * 1024
    stall_window_s: Positive = 20.0
    connect_timeout_s: Positive = 15.0
    shutdown_grace_s: Positive = 30.0
    media_memory_bytes_max: PositiveInt = 2 * 1024**3


class CmLogin(Table, frozen=True):
    """`[cm.auth.login]`: how the first token pair is fetched."""

    path: str
    body: dict[str, str]


class CmRefresh(Table, frozen=True):
    """`[cm.auth.refresh]`: `{refresh_token}` in the body stands for the current one."""

    path: str
    body: dict[str, str]
    rotates: bool = True


class CmTokens(Table, frozen=True):
    """`[cm.auth.response]`: dotted paths into the answer."""

    access_token: str = "access_token"  # noqa: S105 - a path, not a secret
    refresh_token: str = "refresh_token"  # noqa: S105 - a path, not a secret
    expires_in: str | None = None
    expires_unit: Annotated[str, Meta(pattern="^(s|ms|iso|epoch)$")] = "s"


class CmExpired(Table, frozen=True):
    """`[cm.auth.expired]`: how CM says that an access token ran out. No `code_path`: the status alone."""

    status: tuple[int, ...] = (401,)
    code_path: str | None = None
    codes: tuple[str, ...] = ()


class CmAuthSettings(Table, frozen=True):
    """`[cm.auth]`."""

    kind: Annotated[str, Meta(pattern="^(jwt_refresh|static_bearer|api_key|basic|none)$")] = "none"
    skew_s: Annotated[float, Meta(ge=0)] = 30.0
    login: CmLogin | None = None
    refresh: CmRefresh | None = None
    response: CmTokens = CmTokens()
    expired: CmExpired = CmExpired()
    token: str | None = None  # static_bearer, api_key
    header: str = "Authorization"  # api_key
    username: str | None = None  # basic
    password: str | None = None  # basic
    token_file: Path | None = None  # where a rotating pair is kept, mode 0600


class CmPaging(Table, frozen=True):
    """`[cm.paging]`."""

    kind: Annotated[str, Meta(pattern="^(offset|page|cursor|link_header|keyset|none)$")] = "none"
    size: Annotated[int, Meta(ge=1, le=10_000)] = 100
    limit_param: str = "limit"
    offset_param: str = "offset"
    page_param: str = "page"
    cursor_param: str = "cursor"
    cursor_path: str | None = None
    keyset_param: str = "filter[id][_gt]"
    keyset_path: str = "id"


class CmResource(Table, frozen=True):
    """`[cm.resources.titles]` and its like. `items` is the dotted path of the list in an answer."""

    path: str
    query: dict[str, str] = {}
    items: str = "data"


class CmValues(Table, frozen=True):
    """A mapped field whose values are renamed."""

    path: str
    values: dict[str, str]


CmField = str | CmValues


class CmSettings(Table, frozen=True):
    """`[cm]`: the content API. Its shape is configured: endpoints, login, paging, field mapping."""

    base_url: Url
    resources: dict[str, CmResource]
    map: dict[str, dict[str, CmField]]
    timeout_s: Positive = 30.0
    max_concurrency: PositiveInt = 4
    auth: CmAuthSettings = CmAuthSettings()
    paging: CmPaging = CmPaging()


class OperatorSettings(Table, frozen=True):
    """`[operator]`: the commands that talk to a coordinator."""

    coordinator_url: Url = "http://127.0.0.1:8750"
    token: Bearer | None = None


class Config(Table, frozen=True):
    """The whole file. A program that needs a table that is absent says so."""

    telegram: TelegramSettings | None = None
    coordinator: CoordinatorSettings | None = None
    bot: BotSettings = BotSettings()
    worker: WorkerSettings | None = None
    cm: CmSettings | None = None
    operator: OperatorSettings = OperatorSettings()


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
            return folder / Path(value).expanduser()
        raise ValueError(f"expected {kind.__name__}")

    try:
        return _anchored(msgspec.convert(expanded, Config, dec_hook=decode_path), folder)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {_explain(str(error))}", hint="docs/configuration.md lists every key") from error


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
        return (path.resolve().parent / Path(name).expanduser()).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"{path}: {key}: the file {name} cannot be read: {why}") from error
