"""Every setting: what it is called in `telecine.toml`, its type, default and meaning.

One file serves all programs; each reads the tables it needs, by `config_file`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from telecine.core.leases import LEASE_TTL_S

Port = Annotated[int, Meta(ge=0, le=65535, description="a TCP port; 0 takes a free one")]
Seconds = Annotated[float, Meta(gt=0, le=10**9)]  # what is more would not fit into the database
PositiveInt = Annotated[int, Meta(ge=1)]
KeptDays = Annotated[int, Meta(ge=1, le=36_500)]
Pauses = Annotated[tuple[Seconds, ...], Meta(min_length=1)]  # the shortest first

NAME_PATTERN = "^[a-z0-9][a-z0-9_-]{0,62}$"
URL_PATTERN = "^https?://[^/ ]+[^ ]*$"
API_URL_PATTERN = "^https?://[^/@?# ]+(/[^?# ]*)?$"  # paths are put behind it, and a token beside it
BEARER_PATTERN = "^[!-~]+$"  # fit for a header
Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
Url = Annotated[str, Meta(pattern=URL_PATTERN)]
ApiUrl = Annotated[str, Meta(pattern=API_URL_PATTERN)]
Bearer = Annotated[str, Meta(pattern=BEARER_PATTERN)]


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
    litestream_url: Url | None = None  # its metrics, by which `GET /v1/backup` tells whether replication moves
    host: str = "127.0.0.1"
    port: Port = 8750
    lease_ttl_s: Seconds = LEASE_TTL_S
    sweep_interval_s: Seconds = 5.0
    channels_per_account: PositiveInt = 3
    channel_messages_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 100_000
    retry_backoff_s: Pauses = (30, 300, 3600, 21600)
    retry_rounds_max: PositiveInt = 4
    host_backoff_s: Pauses = (5, 30, 120, 600, 3600)
    host_leases_max: Annotated[int, Meta(ge=0, le=10**6)] = 0  # uploads that read from one host at once; 0: any number
    account_backoff_s: Pauses = (60, 300, 1800, 7200)
    attempts_kept_days: KeptDays = 90
    events_kept_days: KeptDays = 14


class BotSettings(Table, frozen=True):
    """`[bot]`: the part of `telecine serve` that users talk to."""

    enabled: bool = True
    page_size: Annotated[int, Meta(ge=1, le=50)] = 8
    protect_content: bool = False


class SourceHostSettings(Table, frozen=True):
    """`[worker.hosts."media.example"]`: how files are fetched from one host. The name is what its URLs say, in lower
    case; none of this follows a redirect to another host."""

    headers: dict[str, str] = {}
    cookies: dict[str, str] = {}
    proxy: Url | None = None  # None: worker.proxy
    ranges: Annotated[int, Meta(ge=1, le=16)] | None = None  # of one file at once; None: worker.ranges_per_source
    connections: Annotated[int, Meta(ge=1, le=64)] | None = None  # all jobs together; None: no limit of its own


class PlanSettings(Table, frozen=True):
    """`[worker.plan]`: what may be done with a source."""

    transcode_audio: bool = True  # sound that does not play in Telegram becomes AAC; else it is left behind
    split: bool = True  # files over the account's limit; else they are too large
    documents: bool = True  # films that do not play are sent as documents; else they are rejected
    correct_quality: bool = True  # a link whose picture is of another quality goes to the upload of that quality
    runtime_share_min: Annotated[float, Meta(ge=0, le=1)] = 0.8  # of the declared runtime, or it is not the whole title


class WorkerSettings(Table, frozen=True):
    """`[worker]`: `telecine work` and `telecine login`."""

    name: Name
    coordinator_url: ApiUrl
    token: Bearer
    session: Path
    journal: Path | None = None  # None: beside the session, with the suffix .journal
    phone: str | None = None
    jobs: Annotated[int, Meta(ge=1, le=16)] = 2  # leases worked on at once
    connections: Annotated[int, Meta(ge=1, le=16)] = 8
    parts_in_flight: Annotated[int, Meta(ge=1, le=128)] = 64  # 512 KiB each, of all jobs together
    sends_per_minute: PositiveInt = 20
    file_bytes_max: Annotated[int, Meta(ge=1024**2)] | None = None  # longer films are split; None: Telegram's limit
    bandwidth_bytes_per_s: PositiveInt | None = None  # read from sources, all jobs together; None: no limit
    flood_wait_in_place_s: Annotated[float, Meta(ge=0)] = 10.0  # longer waits park the account
    allow_private_sources: bool = False  # links to loopback, private and link-local addresses
    file_roots: tuple[Path, ...] = ()  # folders that file: links may point into
    proxy: Url | None = None  # for sources; None: none
    ranges_per_source: Annotated[int, Meta(ge=1, le=16)] = 4  # of one file at once, where its host has ranges
    hosts: dict[str, SourceHostSettings] = {}
    stall_bytes_per_s: PositiveInt = 16 * 1024
    stall_window_s: Seconds = 20.0
    connect_timeout_s: Seconds = 15.0
    shutdown_grace_s: Seconds = 30.0
    media_memory_bytes_max: PositiveInt = 2 * 1024**3
    spool: Path | None = None  # folder for files that cannot be streamed; None: beside the session
    spool_bytes_max: Annotated[int, Meta(ge=0)] = 20 * 1024**3  # of all such files together; 0: none
    content_hash: bool = False  # BLAKE3 of what is sent; what is stored already is linked, not sent again
    plan: PlanSettings = PlanSettings()


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
    timeout_s: Seconds = 30.0
    max_concurrency: PositiveInt = 4
    auth: CmAuthSettings = CmAuthSettings()
    paging: CmPaging = CmPaging()


class OperatorSettings(Table, frozen=True):
    """`[operator]`: the commands that talk to a coordinator."""

    coordinator_url: ApiUrl = "http://127.0.0.1:8750"
    token: Bearer | None = None


class Config(Table, frozen=True):
    """The whole file. A program that needs a table that is absent says so."""

    telegram: TelegramSettings | None = None
    coordinator: CoordinatorSettings | None = None
    bot: BotSettings = BotSettings()
    worker: WorkerSettings | None = None
    cm: CmSettings | None = None
    operator: OperatorSettings = OperatorSettings()
