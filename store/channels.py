"""Storage channels: planned, opened by the workers of their account, retired."""

from __future__ import annotations

from telecine.core import codes
from telecine.core.errors import ConflictError, ForbiddenError, NotFoundError
from telecine.core.events import ChannelChanged
from telecine.core.operator_protocol import ChannelState, ChannelStatus
from telecine.core.protocol import ChannelRef
from telecine.store.accounts import account_id
from telecine.store.transaction import Row, Transaction

_RETIRED = {"full": ChannelState.FULL, "lost": ChannelState.LOST, "operator": ChannelState.RETIRED}


def channel_refs(tx: Transaction, account_id: int) -> tuple[ChannelRef, ...]:
    """The channels of an account that something may be put into, as its workers are told of them."""
    rows = tx.all("channels_of_account", {"account_id": account_id})
    return tuple(ChannelRef(row["id"], codes.channel_code(row["id"]), row["telegram_id"]) for row in rows)


def plan_missing(tx: Transaction, account_id: int, *, wanted: int, channels_max: int) -> None:
    """Plan channels until the account has `wanted` that are not retired, or `channels_max` with those that are."""
    for _ in range(wanted - len(channel_refs(tx, account_id))):
        if plan_another(tx, account_id, channels_max) is None:
            return


def plan_another(tx: Transaction, account_id: int, channels_max: int) -> int | None:
    """Plan one more channel; None where the account has `channels_max`, retired ones included."""
    plan = {"account_id": account_id, "channels_max": channels_max, "now_ms": tx.now_ms}
    row = tx.one("plan_another_channel", plan)
    if row is None:
        return None
    return tell_channel(tx, channel_status(tx, row["id"])).id


def channel_opened(tx: Transaction, worker: str, channel_id: int, telegram_id: int) -> None:
    """Note that a planned channel exists; one that was retired meanwhile stays so.

    Raises NotFoundError, ConflictError (open under another id, or the id is another channel's), ForbiddenError.
    """
    row = _own_channel(tx, worker, channel_id)
    title = codes.channel_code(channel_id)
    if row["telegram_id"] == telegram_id:
        return
    if row["telegram_id"] is not None:
        raise ConflictError(f"{title} is open as {row['telegram_id']} already")
    other = tx.one("channel_by_telegram_id", {"telegram_id": telegram_id})
    if other is not None:
        raise ConflictError(f"{telegram_id} is {codes.channel_code(other['id'])} already")
    tx.execute("open_channel", {"channel_id": channel_id, "telegram_id": telegram_id, "now_ms": tx.now_ms})
    tell_channel(tx, channel_status(tx, channel_id))


def channel_lost(tx: Transaction, worker: str, channel_id: int) -> None:
    """Retire a channel that its account cannot post to any more. Raises NotFoundError, ForbiddenError."""
    _own_channel(tx, worker, channel_id)
    if tx.execute("lose_channel", {"channel_id": channel_id, "now_ms": tx.now_ms}):
        tell_channel(tx, channel_status(tx, channel_id))


def channel_statuses(tx: Transaction, account: str | None, *, after: int, limit: int) -> tuple[ChannelStatus, ...]:
    """Channels by id, those behind `after` only. Raises NotFoundError (account)."""
    params = {"account_id": None if account is None else account_id(tx, account), "after": after, "limit": limit}
    return tuple(map(_status, tx.all("channel_statuses", params)))


def plan_channel(tx: Transaction, account: str, channels_max: int) -> ChannelStatus:
    """Raises NotFoundError, ConflictError for an account that has `channels_max`."""
    channel_id = plan_another(tx, account_id(tx, account), channels_max)
    if channel_id is None:
        raise ConflictError(f"the account {account} has {channels_max} channels, as many as it may have")
    return channel_status(tx, channel_id)


def retire_channel(tx: Transaction, channel_id: int) -> ChannelStatus:
    """Raises NotFoundError."""
    retired = tx.execute("retire_channel", {"channel_id": channel_id, "now_ms": tx.now_ms})
    status = channel_status(tx, channel_id)
    return tell_channel(tx, status) if retired else status


def channel_status(tx: Transaction, channel_id: int) -> ChannelStatus:
    """Raises NotFoundError."""
    row = tx.one("channel_status", {"channel_id": channel_id})
    if row is None:
        raise _unknown(channel_id)
    return _status(row)


def tell_channel(tx: Transaction, status: ChannelStatus) -> ChannelStatus:
    """Tell of a channel that was planned, opened or retired."""
    tx.tell(ChannelChanged(status.id, status.title, status.account, status.state))
    return status


def _own_channel(tx: Transaction, worker: str, channel_id: int) -> Row:
    row = tx.one("channel_by_id", {"channel_id": channel_id, "worker": worker})
    if row is None:
        raise _unknown(channel_id)
    if not row["is_own"]:
        raise ForbiddenError(f"{codes.channel_code(channel_id)} belongs to another account")
    return row


def _status(row: Row) -> ChannelStatus:
    return ChannelStatus(
        id=row["id"],
        title=codes.channel_code(row["id"]),
        account=row["account"],
        telegram_id=row["telegram_id"],
        state=_state(row),
        messages=row["messages"],
    )


def _state(row: Row) -> ChannelState:
    if row["retired_at_ms"] is not None:
        return _RETIRED[row["retired_because"]]
    return ChannelState.PLANNED if row["telegram_id"] is None else ChannelState.OPEN


def _unknown(channel_id: int) -> NotFoundError:
    return NotFoundError(f"there is no channel {channel_id}")
