"""The messages of the coordination API (`/v1`) for operators: what they see, and what they steer with."""

from __future__ import annotations

import enum
from typing import Annotated

from msgspec import Meta

from telecine.core.catalogue import CatalogueCounts, Title, VariantSummary
from telecine.core.codes import COPIES_MAX
from telecine.core.leases import AttemptOutcome, VariantState
from telecine.core.protocol import Detail, Message, Progress, Seconds, Word
from telecine.core.reasons import Reason

HOST_READY_MAX = 1000  # counting a long queue to its end would cost more than the number is worth

# ---- what operators see --------------------------------------------------------------------------


class WorkerLease(Message, frozen=True):
    """A variant that a worker holds, as of its last beat."""

    code: str
    progress: Progress


class WorkerMode(enum.StrEnum):
    """What an operator lets a worker do."""

    ACTIVE = "active"
    PAUSED = "paused"  # what it has stands still, its leases live on; it gets nothing more
    DRAINING = "draining"  # finishes what it has, gets nothing more
    DISABLED = "disabled"  # what it had was taken back; it gets nothing more


class WorkerStatus(Message, frozen=True):
    name: str
    account: str
    boot_id: str | None
    seen_ago_s: float | None
    leases: tuple[WorkerLease, ...]
    mode: WorkerMode = WorkerMode.ACTIVE
    version: str = ""


class AccountStatus(Message, frozen=True):
    """An account, and how long it is parked still: uploads of parts and sends of messages apart, as Telegram does."""

    name: str
    premium: bool
    uploads_parked_s: float
    sends_parked_s: float
    park_reason: str | None
    channels: int = 0
    leases: int = 0

    @property
    def parked_s(self) -> float:
        """How long the account is parked in one way or the other."""
        return max(self.uploads_parked_s, self.sends_parked_s)


class ChannelState(enum.StrEnum):
    PLANNED = "planned"  # the account has not created it yet
    OPEN = "open"
    FULL = "full"  # retired with as many messages as a channel is given
    LOST = "lost"  # retired because the account cannot post there any more; what it held is lost
    RETIRED = "retired"  # by an operator; what it holds is delivered still


class ChannelStatus(Message, frozen=True):
    id: int
    title: str
    account: str
    telegram_id: int | None
    state: ChannelState
    messages: int


class HostStatus(Message, frozen=True):
    """A source host: uploads that read from it now, how many may (None: any number), and its place on the ladder.

    `ready`: uploads that wait for it, counted up to HOST_READY_MAX.
    """

    name: str
    leases: int
    leases_max: int | None
    rung: int
    parked_s: float
    park_reason: str | None
    ready: int = 0


class AttemptRecord(Message, frozen=True):
    """One row of the history: a link that a lease tried, or a lease that ended otherwise."""

    id: int
    code: str
    fence: int
    worker: str
    account: str
    outcome: AttemptOutcome
    link_id: int | None
    reason: Reason | None
    detail: str | None
    stage: str | None
    plan: str | None
    bytes_read: int
    ago_s: float
    lasted_s: float


class TokenRecord(Message, frozen=True):
    """What is kept of a token. `expires_s` is negative for one that has expired."""

    jti: str
    subject: str
    scope: str
    issued_ago_s: float
    expires_s: float
    revoked: bool


class BackupState(enum.StrEnum):
    OFF = "off"  # nobody replicates the database
    REPLICATING = "replicating"
    STALLED = "stalled"  # what is committed does not leave this machine
    UNREACHABLE = "unreachable"  # Litestream should replicate, but cannot be asked


class BackupStatus(Message, frozen=True):
    """`GET /v1/backup`: `detail` says why the state is what it is, where it is not as it should be.

    `written_ago_s`: since the last commit. `txid`: the last transaction that Litestream has taken over, by its count.
    """

    state: BackupState
    detail: str | None
    database_bytes: int
    wal_bytes: int
    written_ago_s: float | None
    txid: int | None


class Status(Message, frozen=True):
    """`GET /v1/status`: everything an operator wants to see first. `channels`: those that are not retired."""

    version: str
    counts: CatalogueCounts
    workers: tuple[WorkerStatus, ...]
    accounts: tuple[AccountStatus, ...]
    channels: int


class TitlePage(Message, frozen=True):
    """`GET /v1/titles?q=&limit=&offset=`. A page shorter than `limit` is the last one."""

    titles: tuple[Title, ...]


class VariantPage(Message, frozen=True):
    """`GET /v1/variants?state=&account=&after=&limit=`: in order of the code. `after` continues it; None at the end."""

    variants: tuple[VariantSummary, ...]
    after: str | None


class VariantMoved(Message, frozen=True):
    """`POST /v1/variants/{code}/retry`, `/cancel`, `/withdraw`, `/priority` and `/pin`: where the variant is now."""

    code: str
    state: VariantState


class Priority(Message, frozen=True):
    """`POST /v1/variants/{code}/priority`: 0 goes first, 9 last; 2 is what an import gives."""

    priority: Annotated[int, Meta(ge=0, le=9)]


class Pin(Message, frozen=True):
    """`POST /v1/variants/{code}/pin`: only this account uploads it; None: any."""

    account: Word | None


class Copies(Message, frozen=True):
    """`POST /v1/titles/{id}/copies`: how many accounts are to hold each of a title's uploads."""

    copies: Annotated[int, Meta(ge=1, le=COPIES_MAX)]


class TitleMoved(Message, frozen=True):
    """`POST /v1/titles/{id}/withdraw`: every upload of the title that moved, and where it is now."""

    variants: tuple[VariantMoved, ...]


class ModeChange(Message, frozen=True):
    """`POST /v1/workers/{name}/mode`."""

    mode: WorkerMode


class Park(Message, frozen=True):
    """`POST /v1/accounts/{name}/park`: for `seconds`, or longer where Telegram said so. `/unpark` ends every park."""

    seconds: Seconds
    uploads: bool = True
    sends: bool = True
    reason: Detail = "an operator parked it"


class ChannelPlan(Message, frozen=True):
    """`POST /v1/channels`: one more storage channel for an account; its worker creates it when it is needed."""

    account: Word


class HostLimit(Message, frozen=True):
    """`POST /v1/hosts/{name}/limit`: how many uploads may read from the host at once; None: as the settings say."""

    leases_max: Annotated[int, Meta(ge=0, le=10**6)] | None


class Workers(Message, frozen=True):
    """`GET /v1/workers`."""

    workers: tuple[WorkerStatus, ...]


class Accounts(Message, frozen=True):
    """`GET /v1/accounts`."""

    accounts: tuple[AccountStatus, ...]


class ChannelPage(Message, frozen=True):
    """`GET /v1/channels?account=&after=&limit=`: by id. `after` continues it; None at the end."""

    channels: tuple[ChannelStatus, ...]
    after: int | None


class HostPage(Message, frozen=True):
    """`GET /v1/hosts?after=&limit=`: by name. `after` continues it; None at the end."""

    hosts: tuple[HostStatus, ...]
    after: str | None


class AttemptPage(Message, frozen=True):
    """`GET /v1/attempts?code=&worker=&outcome=&before=&limit=`: newest first. `before` continues it."""

    attempts: tuple[AttemptRecord, ...]
    before: int | None


class TokenPage(Message, frozen=True):
    """`GET /v1/tokens?after=&limit=`: newest first. `after` (a `jti`) continues it; None at the end."""

    tokens: tuple[TokenRecord, ...]
    after: str | None
