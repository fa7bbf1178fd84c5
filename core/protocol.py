"""The messages of the coordination API (`/v1`), shared by coordinator, worker and operators' commands.

JSON by msgspec; unknown fields are refused. Durations are seconds, never times of day, so that clocks need not
agree. Telegram channel ids are the positive ids of MTProto (the Bot API writes them as -100...).
"""

from __future__ import annotations

import enum

import msgspec

from telecine.core.catalogue import CatalogueCounts
from telecine.core.leases import Reason, VariantState
from telecine.core.quality import Quality

CLAIM_WAIT_MAX_S = 30.0
SOURCES_PER_LEASE_MAX = 100


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of everything that crosses the API."""


# ---- workers and channels ------------------------------------------------------------------------


class Hello(Message, frozen=True):
    """`POST /v1/workers/hello`: a worker process starts. Leases of the worker's earlier boots are taken back."""

    boot_id: str
    version: str
    telegram_user_id: int
    premium: bool


class ChannelRef(Message, frozen=True):
    """A storage channel. `telegram_id` is None until the worker has created it under the coded `title`."""

    id: int
    title: str
    telegram_id: int | None = None


class Welcome(Message, frozen=True):
    """The answer to `Hello`. The worker creates the channels that have no `telegram_id`, makes `bot_username` an
    administrator of each, and reports them with `ChannelOpened`."""

    worker: str
    account: str
    lease_ttl_s: float
    bot_username: str | None
    channels: tuple[ChannelRef, ...]


class ChannelOpened(Message, frozen=True):
    """`POST /v1/channels/{id}/opened`. Idempotent."""

    telegram_id: int


# ---- leases --------------------------------------------------------------------------------------


class ClaimRequest(Message, frozen=True):
    """`POST /v1/leases`. 200 with a `Lease`, or 204 where nothing came up within `wait_s`.

    A repeated `request_id` returns the same lease while it lives, so that a lost reply strands none.
    """

    boot_id: str
    request_id: str
    wait_s: float = 0.0
    disk_free_bytes: int = 0
    file_bytes_max: int = 0


class SourceRef(Message, frozen=True):
    """One link to try. `link_id` names it in reports."""

    link_id: int
    url: str
    position: int


class Lease(Message, frozen=True):
    """One variant to upload, with its links in the order to try them.

    `generation` grows each time that the variant is queued anew after having been done; it goes into the
    deterministic `random_id`, so that a resend of the same upload can be told from a new one.
    """

    lease: str
    code: str
    quality: Quality
    generation: int
    ttl_s: float
    channel: ChannelRef
    sources: tuple[SourceRef, ...]
    runtime_s: int | None = None


class Stage(enum.StrEnum):
    OPENING = "opening"
    PROBING = "probing"
    UPLOADING = "uploading"
    SENDING = "sending"


class Progress(Message, frozen=True):
    lease: str
    stage: Stage
    link_id: int | None = None
    bytes_done: int = 0
    bytes_total: int | None = None


class BeatRequest(Message, frozen=True):
    """`POST /v1/leases/beat`: all leases of a worker at once, every third of the lease's time."""

    boot_id: str
    leases: tuple[Progress, ...] = ()


class Verdict(enum.StrEnum):
    GO_ON = "go_on"
    CANCEL = "cancel"  # an operator cancelled the variant: stop, settle as released
    LOST = "lost"  # the lease is not yours any more: stop, report nothing


class LeaseVerdict(Message, frozen=True):
    lease: str
    verdict: Verdict
    ttl_s: float


class BeatAnswer(Message, frozen=True):
    """`drain`: finish what is running and claim nothing more."""

    leases: tuple[LeaseVerdict, ...]
    drain: bool = False


class SourceReport(Message, frozen=True):
    """What became of one link. `reason` None: it was used. `detail` is for operators, 500 characters at most."""

    link_id: int
    reason: Reason | None
    detail: str | None = None
    bytes_read: int = 0
    seconds: float = 0.0


class ObjectReport(Message, frozen=True):
    """One message that was sent."""

    part_no: int
    part_count: int
    channel_id: int
    message_id: int
    size_bytes: int
    sha256: str
    duration_s: float | None = None
    width_px: int | None = None
    height_px: int | None = None


class SettleDone(Message, frozen=True, tag="done"):
    """All parts are in the channel; the last of `sources` is the link that was used."""

    objects: tuple[ObjectReport, ...]
    sources: tuple[SourceReport, ...]
    plan: str


class SettleFailed(Message, frozen=True, tag="failed"):
    """None of the tried links worked."""

    reason: Reason
    sources: tuple[SourceReport, ...]
    detail: str | None = None


class SettleFloodWait(Message, frozen=True, tag="flood_wait"):
    """Telegram makes the account wait. The account is parked, the attempt given back."""

    wait_s: float
    request: str
    sources: tuple[SourceReport, ...] = ()


class SettleReleased(Message, frozen=True, tag="released"):
    """The worker stops before the end (shutdown, cancel); the attempt is given back."""

    sources: tuple[SourceReport, ...] = ()


Outcome = SettleDone | SettleFailed | SettleFloodWait | SettleReleased


class SettleRequest(Message, frozen=True):
    """`POST /v1/leases/{lease}/settle`. Fenced: 409 for a lease that is lost. A repeat of a settled one answers 200."""

    boot_id: str
    outcome: Outcome


class Settled(Message, frozen=True):
    """Where the variant is now. `repeated`: this lease had been settled before and nothing changed."""

    code: str
    state: VariantState
    repeated: bool = False


# ---- operators -----------------------------------------------------------------------------------


class WorkerStatus(Message, frozen=True):
    name: str
    account: str
    boot_id: str | None
    seen_ago_s: float | None
    leases: tuple[Progress, ...]


class AccountStatus(Message, frozen=True):
    name: str
    premium: bool
    parked_s: float
    park_reason: str | None


class Status(Message, frozen=True):
    """`GET /v1/status`: everything an operator wants to see first."""

    version: str
    counts: CatalogueCounts
    workers: tuple[WorkerStatus, ...]
    accounts: tuple[AccountStatus, ...]
    channels: int


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Every error of the API: an RFC 9457 problem document, `application/problem+json`."""

    type: str
    title: str
    status: int
    detail: str
    hint: str | None = None
    field: str | None = None
