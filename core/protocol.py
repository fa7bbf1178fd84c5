"""The messages of the coordination API (`/v1`), that coordinator and workers exchange, and its errors.

What operators are told and say is in `core.operator_protocol`.

JSON by msgspec; unknown fields are refused. Durations are seconds, never times of day, so that clocks need not
agree. Telegram channel ids are the positive ids of MTProto (the Bot API writes them as -100...).
"""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec
from msgspec import Meta

from telecine.core.codes import PART_COUNT_MAX
from telecine.core.leases import LEASE_CHARS_MAX, VariantState
from telecine.core.quality import Quality
from telecine.core.reasons import Reason

CLAIM_WAIT_MAX_S = 30.0
SOURCES_PER_LEASE_MAX = 100
LEASES_PER_BEAT_MAX = 1000
DETAIL_CHARS_MAX = 500
PROBLEM_TYPE = "urn:telecine:problem:"  # followed by the `code` of an error

# What arrives is checked against these when it is decoded, not when a message is built.
Int64 = Annotated[int, Meta(ge=0, le=2**63 - 1)]  # the widest that the database holds
Seconds = Annotated[float, Meta(ge=0, le=10**9)]
TelegramId = Annotated[int, Meta(ge=1, le=2**63 - 1)]  # of a user, a channel, a message
PartNumber = Annotated[int, Meta(ge=1, le=PART_COUNT_MAX)]
LeaseName = Annotated[str, Meta(max_length=LEASE_CHARS_MAX)]
Word = Annotated[str, Meta(min_length=1, max_length=128)]
Detail = Annotated[str, Meta(max_length=DETAIL_CHARS_MAX)]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", max_length=64)]  # `$` alone lets a newline follow


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Base of everything that crosses the API."""


# ---- workers and channels ------------------------------------------------------------------------


class Hello(Message, frozen=True):
    """`POST /v1/workers/hello`: a worker process starts. Leases of the worker's earlier boots are taken back."""

    boot_id: Word
    version: Word
    telegram_user_id: TelegramId
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

    telegram_id: TelegramId


class ChannelLost(Message, frozen=True):
    """`POST /v1/channels/{id}/lost`: the account cannot post there any more. The channel is retired. Idempotent."""

    detail: Detail


# ---- leases --------------------------------------------------------------------------------------


class ClaimRequest(Message, frozen=True):
    """`POST /v1/leases`. 200 with a `Lease`, or 204 where nothing came up within `wait_s`.

    A repeated `request_id` returns the same lease while it lives, so that a lost reply strands none. `disk_free_bytes`
    and `file_bytes_max` (the largest file that the account may send) decide what the worker is given.
    """

    boot_id: Word
    request_id: Word
    wait_s: Seconds = 0.0
    disk_free_bytes: Int64 = 0
    file_bytes_max: Int64 = 0


class SourceRef(Message, frozen=True):
    """One link to try. `link_id` names it in reports."""

    link_id: int
    url: str
    position: int


class Lease(Message, frozen=True):
    """One variant to upload, with its links in the order to try them.

    `generation` grows each time that the variant is queued anew after having been done; it goes into the
    deterministic `random_id`, so that a resend of the same upload can be told from a new one.

    A channel without `telegram_id` is to be opened first, as after `Hello`. Until `sends_parked_s` after the lease
    began, Telegram refuses messages of the account: parts can be uploaded, the message waits.

    The lease began `waited_s` or more after the coordinator got the call, so a worker that asked at T and counts
    `ttl_s` from T + `waited_s` on its own clock gives up in time, however long the answer took.
    """

    lease: str
    code: str
    quality: Quality
    generation: int
    ttl_s: float
    channel: ChannelRef
    sources: tuple[SourceRef, ...]
    runtime_s: int | None = None
    waited_s: float = 0.0
    sends_parked_s: float = 0.0


class Stage(enum.StrEnum):
    OPENING = "opening"
    PROBING = "probing"
    UPLOADING = "uploading"
    SENDING = "sending"


class Progress(Message, frozen=True):
    lease: LeaseName
    stage: Stage
    link_id: Int64 | None = None
    bytes_done: Int64 = 0
    bytes_total: Int64 | None = None


class BeatRequest(Message, frozen=True):
    """`POST /v1/leases/beat`: all leases of a worker at once, every third of the lease's time."""

    boot_id: Word
    leases: Annotated[tuple[Progress, ...], Meta(max_length=LEASES_PER_BEAT_MAX)] = ()


class Verdict(enum.StrEnum):
    GO_ON = "go_on"
    CANCEL = "cancel"  # an operator cancelled the variant: stop, settle as released
    LOST = "lost"  # the lease is not yours any more: stop, report nothing


class LeaseVerdict(Message, frozen=True):
    lease: str
    verdict: Verdict
    ttl_s: float


class BeatAnswer(Message, frozen=True):
    """`drain`: claim nothing more. `pause`: let what is running stand still, too, until a later beat says otherwise;
    its leases live on while they are beaten. `sends_parked_s`: as in `Lease`, from now on."""

    leases: tuple[LeaseVerdict, ...]
    drain: bool = False
    pause: bool = False
    sends_parked_s: float = 0.0


class SourceReport(Message, frozen=True):
    """What became of one link. `reason` None: it was used. `detail` is for operators, 500 characters at most.

    `size_bytes`: how large the file is, where its server says so. `retry_after_s`: how long the server asks to stay
    away. `quality`: what the picture measures, where that contradicts what the link was taken for; such a link has
    failed with `wrong_content`, and goes to the upload of the quality that it has.
    """

    link_id: Int64
    reason: Reason | None
    detail: Detail | None = None
    bytes_read: Int64 = 0
    seconds: Seconds = 0.0
    size_bytes: Int64 | None = None
    retry_after_s: Seconds | None = None
    quality: Quality | None = None


class ObjectReport(Message, frozen=True):
    """One message that was sent. `sha256` and `blake3` (where the worker computes it) are over the digests of its
    512 KiB parts in order: the same whatever order they were made in."""

    part_no: PartNumber
    part_count: PartNumber
    channel_id: TelegramId
    message_id: TelegramId
    size_bytes: Int64
    sha256: Digest
    duration_s: Seconds | None = None
    width_px: Int64 | None = None
    height_px: Int64 | None = None
    blake3: Digest | None = None


# As many links as a lease brings, and as many parts as an upload can have.
SourceReports = Annotated[tuple[SourceReport, ...], Meta(max_length=SOURCES_PER_LEASE_MAX)]
ObjectReports = Annotated[tuple[ObjectReport, ...], Meta(max_length=PART_COUNT_MAX)]


class SettleDone(Message, frozen=True, tag="done"):
    """All parts are in the channel; the last of `sources` is the link that was used."""

    objects: ObjectReports
    sources: SourceReports
    plan: Word


class SettleFailed(Message, frozen=True, tag="failed"):
    """None of the tried links worked."""

    reason: Reason
    sources: SourceReports
    detail: Detail | None = None


class SettleFloodWait(Message, frozen=True, tag="flood_wait"):
    """Telegram makes the account wait. The account is parked, the attempt given back. The account is parked for a lease
    that has ended meanwhile, too: the answer says `repeated`, since nothing changed for the variant."""

    wait_s: Seconds
    request: Word
    sources: SourceReports = ()


class SettleReleased(Message, frozen=True, tag="released"):
    """The worker stops before the end (shutdown, cancel); the attempt is given back.

    `disk_bytes`: what links that were not tried need, more than the worker has free. Only one that has so much gets the
    upload next, unless a link of this round may work later: then all its links are tried again, after a pause.
    """

    sources: SourceReports = ()
    disk_bytes: Int64 = 0


Outcome = SettleDone | SettleFailed | SettleFloodWait | SettleReleased


class SettleRequest(Message, frozen=True):
    """`POST /v1/leases/{lease}/settle`. Fenced: 409 for a lease that is lost. A repeat of a settled one answers 200."""

    boot_id: Word
    outcome: Outcome


class Settled(Message, frozen=True):
    """Where the variant is now. `repeated`: this lease had ended before and nothing changed for the variant."""

    code: str
    state: VariantState
    repeated: bool = False


# ---- what is stored already ----------------------------------------------------------------------


class StoredContent(Message, frozen=True):
    """A message that holds a file. `channel_id` is Telegram's own (positive) id; `code` says what the file was sent as,
    of which it may be one part of several."""

    channel_id: int
    message_id: int
    size_bytes: int
    code: str


class Contents(Message, frozen=True):
    """`GET /v1/contents/{blake3}`: where the calling worker's account holds just this file, in channels that are open,
    the newest first. Such a message can be sent once more instead of uploading the file again."""

    objects: tuple[StoredContent, ...]


# ---- errors --------------------------------------------------------------------------------------


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Every error of the API: an RFC 9457 problem document, `application/problem+json`.

    `type` is PROBLEM_TYPE followed by the code of an error in `core.errors`, or `about:blank` for one of HTTP itself.
    """

    type: str
    title: str
    status: int
    detail: str
    hint: str | None = None
    field: str | None = None
