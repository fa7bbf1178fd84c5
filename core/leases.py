"""The life of an upload target: its states, what moves it between them, and why a source fails.

`transition` holds the whole table. The database repeats it as CHECKs; nothing else decides a state.

     ready -claim-> leased -done-> done -withdraw-> withdrawn
       ^              |- failed, sources left      -> ready
       |              |- failed, worth a later try -> delayed -due-> ready
       |              |- failed, nothing left      -> dead
       |              |- flood wait, released      -> ready (the attempt is given back)
       '--- expired --'
    An operator cancels what is not finished, and re-queues anything.
"""

from __future__ import annotations

import enum
from typing import Protocol

import msgspec

from telecine.core.errors import ConflictError, InputError


class VariantState(enum.StrEnum):
    READY = "ready"
    LEASED = "leased"
    DELAYED = "delayed"
    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"
    WITHDRAWN = "withdrawn"


class LinkFate(enum.StrEnum):
    """What became of a link within its variant."""

    UNTRIED = "untried"
    FAILED = "failed"
    USED = "used"


class AttemptOutcome(enum.StrEnum):
    """How an attempt ended. The first four are a worker's report, the others were decided without it."""

    DONE = "done"
    FAILED = "failed"
    FLOOD_WAIT = "flood_wait"
    RELEASED = "released"
    EXPIRED = "expired"
    RESTARTED = "restarted"  # the worker's process started anew
    CANCELLED = "cancelled"


class Event(enum.StrEnum):
    """What can happen to a variant."""

    CLAIM = "claim"
    DONE = "done"
    FAILED_SOURCES_LEFT = "failed_sources_left"
    FAILED_WORTH_RETRY = "failed_worth_retry"
    FAILED_NOTHING_LEFT = "failed_nothing_left"
    FLOOD_WAIT = "flood_wait"
    RELEASED = "released"
    EXPIRED = "expired"
    DUE = "due"
    CANCEL = "cancel"
    REQUEUE = "requeue"
    WITHDRAW = "withdraw"


_S, _E = VariantState, Event
_TABLE: dict[tuple[VariantState, Event], VariantState] = {
    (_S.READY, _E.CLAIM): _S.LEASED,
    (_S.LEASED, _E.DONE): _S.DONE,
    (_S.LEASED, _E.FAILED_SOURCES_LEFT): _S.READY,
    (_S.LEASED, _E.FAILED_WORTH_RETRY): _S.DELAYED,
    (_S.LEASED, _E.FAILED_NOTHING_LEFT): _S.DEAD,
    (_S.LEASED, _E.FLOOD_WAIT): _S.READY,
    (_S.LEASED, _E.RELEASED): _S.READY,
    (_S.LEASED, _E.EXPIRED): _S.READY,
    (_S.DELAYED, _E.DUE): _S.READY,
    (_S.READY, _E.CANCEL): _S.CANCELLED,
    (_S.DELAYED, _E.CANCEL): _S.CANCELLED,
    (_S.LEASED, _E.CANCEL): _S.CANCELLED,
    (_S.DONE, _E.WITHDRAW): _S.WITHDRAWN,
    **{(state, _E.REQUEUE): _S.READY for state in _S if state is not _S.LEASED},
}


def transition(state: VariantState, event: Event) -> VariantState:
    """Where `event` takes a variant that is in `state`. Raises ConflictError where it leads nowhere."""
    try:
        return _TABLE[state, event]
    except KeyError:
        raise ConflictError(f"a variant that is {state.value} does not take {event.value!r}") from None


class Reason(enum.StrEnum):
    """Why a source, or a whole attempt, failed."""

    GONE = "gone"  # 404, 410, unknown host
    FORBIDDEN = "forbidden"  # 401, 403, an address that is not allowed
    RATE_LIMITED = "rate_limited"  # 429, 503 with Retry-After
    STALLED = "stalled"  # bytes per second under the floor
    TRUNCATED = "truncated"  # ended before the declared length, or the container breaks off
    NOT_MEDIA = "not_media"  # nothing that can be demuxed
    WRONG_CONTENT = "wrong_content"  # far from the declared quality or runtime
    TOO_LARGE = "too_large"  # over the account's limit
    NETWORK = "network"  # connection refused or reset, 5xx
    TELEGRAM = "telegram"  # Telegram refused the file or the message
    INTERNAL = "internal"  # our own fault

    @property
    def is_passing(self) -> bool:
        """Whether the same link may work at a later time."""
        return self in _PASSING


_PASSING = frozenset({Reason.RATE_LIMITED, Reason.STALLED, Reason.NETWORK, Reason.TELEGRAM, Reason.INTERNAL})

ROUNDS_MAX = 4  # times that the passing failures of a variant are tried again before it is dead
BACKOFF_S = (30, 300, 3600, 21600)  # wait before round 2, 3, ...; the last one repeats
LEASE_TTL_S = 60.0  # a lease that is not beaten for this long is taken back


def backoff_s(rounds: int, ladder_s: tuple[float, ...] = BACKOFF_S) -> float:
    """Seconds to wait after `rounds` (1 or more) failed rounds over the sources."""
    return ladder_s[min(max(rounds, 1), len(ladder_s)) - 1]


def failure_event(*, untried: int, passing: int, rounds: int, rounds_max: int = ROUNDS_MAX) -> Event:
    """What a failed attempt means, by the links that are left.

    `untried` links go first; `passing` counts links whose failure may pass; `rounds` counts this one.
    """
    if untried:
        return Event.FAILED_SOURCES_LEFT
    if passing and rounds < rounds_max:
        return Event.FAILED_WORTH_RETRY
    return Event.FAILED_NOTHING_LEFT


class LeaseToken(msgspec.Struct, frozen=True):
    """What a worker shows to prove that a lease is still its own: `epoch.variant.fence`.

    `epoch` grows at each restore of the database, `fence` at each claim of the variant, so that no two leases
    ever share a token.
    """

    epoch: int
    variant_id: int
    fence: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.variant_id}.{self.fence}"

    @classmethod
    def parse(cls, text: str) -> LeaseToken:
        """Raises InputError for anything that `str` would not print."""
        fields = text.split(".")
        if len(fields) == 3 and all(f.isascii() and f.isdigit() and len(f) <= 18 for f in fields):
            token = cls(*map(int, fields))
            if str(token) == text:
                return token
        raise InputError(f"{text!r} is not a lease token", field="lease")


class Swept(msgspec.Struct, frozen=True):
    """What a sweep did: leases taken back, delayed variants made ready, and when the next one is due (None: never)."""

    expired: int
    promoted: int
    next_due_ms: int | None


class Sweeper(Protocol):
    """The part of the queue that only time drives."""

    async def sweep(self) -> Swept:
        """Take back expired leases, promote what is due. Wakes waiting claims."""
        ...
