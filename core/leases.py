"""The life of an upload target: its states, and what moves it between them.

`transition` holds the whole table. The database repeats it as CHECKs; nothing else decides a state.

     ready -claim-> leased -done-> done -withdraw-> withdrawn
       ^              |- failed, sources left      -> ready
       |              |- failed, worth a later try -> delayed -due-> ready
       |              |- failed, nothing left      -> dead
       |              |- failed, no link tried     -> delayed, at last quarantined
       |              |- flood wait, released      -> ready (the attempt is given back)
       '--- expired --'- expired again             -> quarantined
    An operator cancels what is not done, and re-queues anything that is not leased. What waits and loses the last link
    that could be tried in its round has failed like what is leased.
"""

from __future__ import annotations

import enum
import re
from typing import Protocol

import msgspec

from telecine.core.errors import ConflictError, InputError

LEASE_TTL_S = 60.0  # a lease that is not beaten for this long is taken back
SILENT_ENDS_MAX = 2  # leases in a row that end without a word from their worker before a variant is set aside

_NUMBER = r"(0|[1-9]\d{0,17})"  # below 10**18: fits what the database holds
LEASE_CHARS_MAX = 3 * 18 + 2  # of the longest token
_TOKEN = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}", re.ASCII)


class VariantState(enum.StrEnum):
    READY = "ready"
    LEASED = "leased"
    DELAYED = "delayed"
    DONE = "done"
    DEAD = "dead"  # every source is exhausted
    QUARANTINED = "quarantined"  # its workers do not come back from it; an operator must look
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
    FAILED_UNTRIED = "failed_untried"
    FLOOD_WAIT = "flood_wait"
    RELEASED = "released"
    EXPIRED = "expired"
    EXPIRED_AGAIN = "expired_again"
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
    (_S.READY, _E.FAILED_WORTH_RETRY): _S.DELAYED,
    **{(state, _E.FAILED_NOTHING_LEFT): _S.DEAD for state in (_S.LEASED, _S.READY, _S.DELAYED)},
    (_S.LEASED, _E.FAILED_UNTRIED): _S.QUARANTINED,
    (_S.LEASED, _E.FLOOD_WAIT): _S.READY,
    (_S.LEASED, _E.RELEASED): _S.READY,
    (_S.LEASED, _E.EXPIRED): _S.READY,
    (_S.LEASED, _E.EXPIRED_AGAIN): _S.QUARANTINED,
    (_S.DELAYED, _E.DUE): _S.READY,
    (_S.READY, _E.CANCEL): _S.CANCELLED,
    (_S.DELAYED, _E.CANCEL): _S.CANCELLED,
    (_S.LEASED, _E.CANCEL): _S.CANCELLED,
    (_S.DEAD, _E.CANCEL): _S.CANCELLED,
    (_S.QUARANTINED, _E.CANCEL): _S.CANCELLED,
    (_S.DONE, _E.WITHDRAW): _S.WITHDRAWN,
    **{(state, _E.REQUEUE): _S.READY for state in _S if state is not _S.LEASED},
}

_ASKED_FOR = {_E.CANCEL: "cancelled", _E.REQUEUE: "queued again", _E.WITHDRAW: "withdrawn"}


def transition(state: VariantState, event: Event) -> VariantState:
    """Where `event` takes a variant that is in `state`. Raises ConflictError where it leads nowhere."""
    try:
        return _TABLE[state, event]
    except KeyError:
        moved = _ASKED_FOR.get(event, f"moved by {event.value!r}")
        raise ConflictError(f"an upload that is {state.value} cannot be {moved}") from None


FINISHED = frozenset({_S.DONE, _S.DEAD, _S.QUARANTINED, _S.CANCELLED, _S.WITHDRAWN})  # nothing moves them but people


class LinksLeft(msgspec.Struct, frozen=True):
    """How many links of a variant there still are. `triable`: can be tried at once, by any account; `passing`: failed
    in this round for a reason that may pass; `closed`: could be tried, but at hosts that none may read from; `larger`:
    can be tried by an account that may send larger files than those that have tried them."""

    triable: int
    passing: int
    closed: int = 0
    larger: int = 0


def failure_event(left: LinksLeft, *, tried: bool, rounds: int, rounds_max: int) -> Event:
    """What a failed attempt means, by the links that are left.

    `rounds` counts this round over the links. A worker that failed before it `tried` a link would do so again at once:
    the variant waits as after a round; whether any link is good is not known even after the last. Where nothing else is
    left, it waits for hosts to be opened, and for larger accounts, of which there may be none.
    """
    if left.triable and tried:
        return Event.FAILED_SOURCES_LEFT
    untried = not tried and (left.triable or left.larger)
    if (untried or left.passing) and rounds < rounds_max:
        return Event.FAILED_WORTH_RETRY
    if untried:
        return Event.FAILED_UNTRIED
    return Event.FAILED_SOURCES_LEFT if left.closed or left.larger else Event.FAILED_NOTHING_LEFT


def expiry_event(silent_ends: int) -> Event:
    """What it means that a lease ended without a word from its worker, for the `silent_ends`th time in a row."""
    return Event.EXPIRED_AGAIN if silent_ends >= SILENT_ENDS_MAX else Event.EXPIRED


class LeaseToken(msgspec.Struct, frozen=True, gc=False):
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
        match = _TOKEN.fullmatch(text)
        if match is None:
            raise InputError(f"{text!r} is not a lease token", field="lease")
        epoch, variant_id, fence = map(int, match.groups())
        return cls(epoch, variant_id, fence)


class Swept(msgspec.Struct, frozen=True):
    """What a sweep did: leases taken back, delayed variants made ready, and when the next one is due (None: never)."""

    expired: int
    promoted: int
    next_due_ms: int | None


class Sweeper(Protocol):
    """The part of the queue that only time drives."""

    async def renew(self) -> None:
        """Let every lease run out a whole term from now: whoever holds it could not beat, or the clock was put. One
        that is not beaten even then is taken back without a word against its variant."""
        ...

    async def sweep(self) -> Swept:
        """Take back expired leases, promote what is due. Wakes waiting claims."""
        ...
