"""What goes over the control API: plain data, the same for its server and its client."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from telecine.core.emulator.faults import BotLimits, Line
from telecine.core.emulator.sources.faults import SourceFault

Named = Annotated[str, msgspec.Meta(min_length=1)]


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what is sent: an unknown field is refused."""


class NewAccount(Message, frozen=True, kw_only=True):
    """An account to add. `name` labels it for faults, such as `cm-ember`."""

    phone: Named
    name: Named
    premium: bool = False
    password: str | None = None
    first_name: str | None = None
    username: str | None = None


class AccountChange(Message, frozen=True, kw_only=True):
    """What of an account to change; what is left out stays."""

    premium: bool | msgspec.UnsetType = msgspec.UNSET
    password: str | msgspec.UnsetType | None = msgspec.UNSET


class NewBot(Message, frozen=True, kw_only=True):
    """A bot to add; the token is `id:secret`."""

    token: Named
    username: Named
    first_name: str | None = None


class Block(Message, frozen=True, kw_only=True):
    """An account blocks a bot, or lets it write again."""

    account: Named
    blocked: bool = True


class Ban(Message, frozen=True, kw_only=True):
    """Telegram keeps an account out of a channel, or lets it in again."""

    account: Named
    banned: bool = True


class Account(Message, frozen=True, kw_only=True):
    """An account as it is."""

    id: int
    phone: str
    name: str
    first_name: str
    username: str | None
    premium: bool
    has_password: bool


class BotState(Message, frozen=True, kw_only=True):
    """A bot as it is."""

    id: int
    token: str
    username: str
    pending_updates: int
    webhook_url: str | None


class ChannelState(Message, frozen=True, kw_only=True):
    """A channel as it is; `messages` counts those that are there."""

    chat_id: int
    title: str
    creator: str
    messages: int
    bots: tuple[str, ...]


class ChannelMessage(Message, frozen=True, kw_only=True):
    """A post of a channel. The digest is there only when asked for."""

    id: int
    date_s: int
    text: str
    grouped_id: int | None = None
    document_id: int | None = None
    document_kind: str | None = None
    file_name: str | None = None
    mime_type: str | None = None
    size_bytes: int | None = None
    sha256: str | None = None


class Addresses(Message, frozen=True, kw_only=True):
    """How to reach everything."""

    mtproto: str
    bot_api_url: str
    cm_url: str
    media_url: str
    control_url: str


class State(Message, frozen=True, kw_only=True):
    """Everything at a glance."""

    addresses: Addresses
    accounts: tuple[Account, ...]
    bots: tuple[BotState, ...]
    channels: tuple[ChannelState, ...]


class Stats(Message, frozen=True, kw_only=True):
    """What happened so far."""

    requests: dict[str, int]
    """Calls by MTProto method, and by Bot API method with `bot.` before it."""
    events: dict[str, int]
    faults_taken: dict[str, int]
    part_bytes: int
    part_duplicates: int
    in_flight_max: int
    cm_requests: dict[str, int]
    sources: dict[str, SourceStats]


class SourceStats(Message, frozen=True, kw_only=True):
    """What was asked of one source file."""

    requests: int
    head_requests: int
    range_requests: int
    open_requests: int
    most_open_requests: int
    bytes_sent: int


class AccountLine(Message, frozen=True, kw_only=True):
    """The network of an account, or of all without their own."""

    account: str | None = None
    line: Line = Line()


class BotLimitsSwitch(Message, frozen=True, kw_only=True):
    """The limits on what bots send; null takes them away."""

    limits: BotLimits | None


class DropConnections(Message, frozen=True, kw_only=True):
    """Whose MTProto connections to drop; null for all."""

    account: str | None = None


class ExpireTokens(Message, frozen=True, kw_only=True):
    """Which tokens of CM to end."""

    access: bool = True
    refresh: bool = False


class SourceFaults(Message, frozen=True, kw_only=True):
    """All faults of one path below `/media/`; none makes it well."""

    path: Named
    faults: tuple[SourceFault, ...] = ()


class Amount(Message, frozen=True, kw_only=True):
    """How many things a call met."""

    count: int


class LoginCode(Message, frozen=True, kw_only=True):
    """What a person would read in their Telegram app."""

    code: str


class Failure(Message, frozen=True, kw_only=True):
    """Why a call was refused; `field` names what is wrong, as a path such as `line.latency_s`."""

    code: str
    message: str
    field: str | None = None


Row = dict[str, Any]
"""A row of CM: the fields of `TitleRow`, `EpisodeRow` or `LinkRow`."""
