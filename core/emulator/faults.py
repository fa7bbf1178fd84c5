"""What goes wrong on purpose: faults planned beforehand and taken one by one by the servers of the emulator.

A plan says whom it meets (`account`, `method`), how many calls pass untouched first (`after`) and how many
it then meets (`count`; null means until it is cleared). Plans of one kind are consulted in the order in which
they were made. Filters are shell patterns, so `upload.*` means every upload method; null means any.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, TypeVar

import msgspec

Count = Annotated[int, msgspec.Meta(ge=1)]
Natural = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
HttpStatus = Annotated[int, msgspec.Meta(ge=400, le=599)]


class FloodName(StrEnum):
    """Which of Telegram's waits; the seconds are appended, as in FLOOD_WAIT_7."""

    FLOOD_WAIT = "FLOOD_WAIT"
    SLOWMODE_WAIT = "SLOWMODE_WAIT"
    FLOOD_PREMIUM_WAIT = "FLOOD_PREMIUM_WAIT"
    TAKEOUT_INIT_DELAY = "TAKEOUT_INIT_DELAY"


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """What every planned fault has: whom it meets and how often."""

    account: str | None = None
    """The user's label, such as `cm-ember`, or for a bot its username."""
    method: str | None = None
    """A TL name such as `upload.saveBigFilePart`, a Bot API method such as `sendVideo`, or a path of CM."""
    after: Natural = 0
    count: Count | None = 1

    def meets(self, method: str, account: str | None) -> bool:
        """Whether a call of `method` by `account` is one this plan is about."""
        if self.account is not None and not fnmatchcase(account or "", self.account):
            return False
        return self.method is None or fnmatchcase(method.lower(), self.method.lower())


class Flood(Plan, frozen=True, kw_only=True, tag="flood"):
    """An MTProto method is refused with a wait."""

    seconds: Natural
    name: FloodName = FloodName.FLOOD_WAIT


class RpcFailure(Plan, frozen=True, kw_only=True, tag="error"):
    """An MTProto method is refused with this error."""

    code: int = 500
    name: str = "INTERNAL"


class LostReply(Plan, frozen=True, kw_only=True, tag="lost_reply"):
    """An MTProto method is carried out, then the connection drops in place of the answer."""


class Disconnect(Plan, frozen=True, kw_only=True, tag="disconnect"):
    """The connection drops before an MTProto method is carried out."""


class MissingPart(Plan, frozen=True, kw_only=True, tag="missing_part"):
    """At the next `messages.sendMedia` (or uploadMedia) this part turns out to be lost."""

    part: Natural = 0


class FalseResult(Plan, frozen=True, kw_only=True, tag="false_result"):
    """An MTProto method that answers with a Bool answers false and does nothing."""


class Conversion(Plan, frozen=True, kw_only=True, tag="conversion"):
    """A video that `messages.sendMedia` brings to a channel is a scheduled message for `seconds`, then posted."""

    seconds: Seconds


class BotFlood(Plan, frozen=True, kw_only=True, tag="bot_flood"):
    """A Bot API method is refused with `Too Many Requests: retry after N`."""

    seconds: Natural


class BotFailure(Plan, frozen=True, kw_only=True, tag="bot_error"):
    """A Bot API method is refused with this status and description."""

    status: HttpStatus = 500
    description: str = "Internal Server Error"


class BotLostReply(Plan, frozen=True, kw_only=True, tag="bot_lost_reply"):
    """A Bot API method is carried out, then the connection drops in place of the answer."""


class CmFailure(Plan, frozen=True, kw_only=True, tag="cm_error"):
    """A call of CM is refused: 429 with `retry_after_s`, 500 and so on. `method` matches the path."""

    status: HttpStatus = 500
    retry_after_s: Natural | None = None


class CmSlow(Plan, frozen=True, kw_only=True, tag="cm_slow"):
    """A call of CM is answered only after `delay_s`. `method` matches the path."""

    delay_s: Seconds


PlannedFault = (
    Flood
    | RpcFailure
    | LostReply
    | Disconnect
    | MissingPart
    | FalseResult
    | Conversion
    | BotFlood
    | BotFailure
    | BotLostReply
    | CmFailure
    | CmSlow
)


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The network between an account and Telegram."""

    latency_s: Seconds = 0.0
    """Added to every request before it is carried out."""
    bandwidth_bytes_per_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Ceiling of what the account's uploads reach together; null for none."""
    connections_max: Count | None = None
    """How many connections the account may have at once; those that are opened beyond are closed. Null for any."""


class BotLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many messages a bot may send a second. The defaults are Telegram's figures; null is no limit."""

    overall_per_s: Count | None = 30
    chat_per_s: Count | None = 1


class _Pending:
    """A plan and what is left of it."""

    __slots__ = ("passes", "plan", "remaining")

    def __init__(self, plan: PlannedFault) -> None:
        self.plan = plan
        self.passes = plan.after
        self.remaining = plan.count

    def left(self) -> PlannedFault:
        return msgspec.structs.replace(self.plan, after=self.passes, count=self.remaining)


PlanT = TypeVar("PlanT", bound=Plan)


class Faults:
    """The fault plan of one emulator; everything may change while it runs."""

    def __init__(self) -> None:
        self._pending: list[_Pending] = []
        self._lines: dict[str | None, Line] = {}
        self.bot_limits: BotLimits | None = None
        """Enforced on what bots send while set."""
        self.taken: Counter[str] = Counter()
        """How many faults struck, by kind."""

    def plan(self, fault: PlannedFault) -> None:
        """Add a fault behind those already planned."""
        self._pending.append(_Pending(fault))

    def clear(self) -> None:
        """Forget every plan, line and limit; the counters stay."""
        self._pending.clear()
        self._lines.clear()
        self.bot_limits = None

    def planned(self) -> Sequence[PlannedFault]:
        """What is still to come, with the counts that remain."""
        return [pending.left() for pending in self._pending]

    def set_line(self, account: str | None, line: Line) -> None:
        """Give an account its network; None sets the one for all accounts without their own."""
        self._lines[account] = line

    def lines(self) -> dict[str | None, Line]:
        """The networks in force by account; None stands for everybody else."""
        return dict(self._lines)

    def latency_s(self, account: str | None) -> float:
        """Seconds to wait before a request of this account is carried out."""
        return self._line(account).latency_s

    def bandwidth_bytes_per_s(self, account: str | None) -> float | None:
        """Ceiling of this account's uploads, None for none."""
        return self._line(account).bandwidth_bytes_per_s

    def take_flood(self, method: str, account: str | None) -> str | None:
        """Telegram's name of the wait that this call meets, such as FLOOD_WAIT_7."""
        fault = self._take(Flood, method, account)
        return f"{fault.name}_{fault.seconds}" if fault else None

    def take_error(self, method: str, account: str | None) -> tuple[int, str] | None:
        """Code and name of the error that this call meets."""
        fault = self._take(RpcFailure, method, account)
        return (fault.code, fault.name) if fault else None

    def take_lost_reply(self, method: str, account: str | None) -> bool:
        """Whether this call is carried out and its answer lost."""
        return self._take(LostReply, method, account) is not None

    def take_disconnect(self, method: str, account: str | None) -> bool:
        """Whether the connection drops before this call is carried out."""
        return self._take(Disconnect, method, account) is not None

    def take_missing_part(self, account: str | None) -> int | None:
        """The part that this account's file turns out to lack."""
        fault = self._take(MissingPart, "messages.sendMedia", account)
        return fault.part if fault else None

    def take_false_result(self, method: str, account: str | None) -> bool:
        """Whether this call answers false and does nothing."""
        return self._take(FalseResult, method, account) is not None

    def take_conversion_s(self, account: str | None) -> float | None:
        """Seconds for which the video that this account sends is converted; None for one that is posted at once."""
        fault = self._take(Conversion, "messages.sendMedia", account)
        return fault.seconds if fault else None

    def take_bot_flood(self, method: str, account: str | None = None) -> int | None:
        """Seconds that this Bot API call is told to wait."""
        fault = self._take(BotFlood, method, account)
        return fault.seconds if fault else None

    def take_bot_error(self, method: str, account: str | None = None) -> BotFailure | None:
        """The refusal that this Bot API call meets."""
        return self._take(BotFailure, method, account)

    def take_bot_lost_reply(self, method: str, account: str | None = None) -> bool:
        """Whether this Bot API call is carried out and its answer lost."""
        return self._take(BotLostReply, method, account) is not None

    def take_cm_error(self, path: str) -> CmFailure | None:
        """The refusal that a call of this path of CM meets."""
        return self._take(CmFailure, path, None)

    def take_cm_delay_s(self, path: str) -> float:
        """Seconds to wait before a call of this path of CM is answered."""
        fault = self._take(CmSlow, path, None)
        return fault.delay_s if fault else 0.0

    def connections_max(self, account: str | None) -> int | None:
        """How many connections this account may have, None for any number."""
        return self._line(account).connections_max

    def _line(self, account: str | None) -> Line:
        return self._lines.get(account) or self._lines.get(None) or _CLEAR_LINE

    def _take(self, kind: type[PlanT], method: str, account: str | None) -> PlanT | None:
        for pending in self._pending:
            plan = pending.plan
            if not isinstance(plan, kind) or not plan.meets(method, account):
                continue
            if pending.passes:
                pending.passes -= 1
                continue
            self._spend(pending)
            return plan
        return None

    def _spend(self, pending: _Pending) -> None:
        self.taken[str(pending.plan.__struct_config__.tag)] += 1
        if pending.remaining is not None:
            pending.remaining -= 1
            if not pending.remaining:
                self._pending.remove(pending)


_CLEAR_LINE = Line()
