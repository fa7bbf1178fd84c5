"""The messages that hold an upload, as its worker reports them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from telecine.core.errors import ConflictError, InputError
from telecine.core.policy import QueuePolicy
from telecine.core.protocol import ObjectReport
from telecine.store.channels import channel_status, tell_channel
from telecine.store.connection import IntegrityError
from telecine.store.held import ReportedLease
from telecine.store.transaction import Transaction


def store_objects(tx: Transaction, lease: ReportedLease, reports: tuple[ObjectReport, ...]) -> int:
    """Keep the messages; our id of the channel they are in, which is to hear of it (`count_messages`). Raises
    InputError for parts that are not whole or not in a channel of the account, ConflictError for a message that holds
    another upload."""
    _check_parts(reports)
    channel_id = _channel(tx, lease, reports[0].channel_id)
    for report in reports:
        _store(
            tx,
            {
                **msgspec.structs.asdict(report),
                "channel_id": channel_id,
                "variant_id": lease.variant_id,
                "account_id": lease.account_id,
                "fence": lease.fence,
                "now_ms": tx.now_ms,
            },
        )
    return channel_id


def count_messages(tx: Transaction, policy: QueuePolicy, posted: Mapping[int, int]) -> None:
    """Add to the counts of channels what was posted to them; one that is full now is retired."""
    for channel_id, messages in posted.items():
        row = tx.get("count_channel_messages", {"channel_id": channel_id, "messages": messages})
        if row["messages"] >= policy.channel_messages_max:
            _retire(tx, channel_id)


def _retire(tx: Transaction, channel_id: int) -> None:
    if tx.execute("retire_full_channel", {"channel_id": channel_id, "now_ms": tx.now_ms}):
        tell_channel(tx, channel_status(tx, channel_id))


def _store(tx: Transaction, message: dict[str, Any]) -> None:
    try:
        tx.change("insert_object", message)
    except IntegrityError as error:
        holder = tx.one("message_holder", message)
        if holder is None:
            raise
        raise ConflictError(f"message {message['message_id']} holds a part of {holder['code']} already") from error


def _check_parts(reports: tuple[ObjectReport, ...]) -> None:
    if len(reports) == 1 and reports[0].part_no == reports[0].part_count == 1:
        return  # as nearly all are
    numbers = sorted(report.part_no for report in reports)
    if not reports or numbers != list(range(1, len(reports) + 1)):
        raise InputError(f"the parts are {numbers}; each from 1 to their count is needed once", field="objects")
    if {report.part_count for report in reports} != {len(reports)}:
        raise InputError(f"{len(reports)} parts were reported, but they say another count", field="objects")
    if len({report.channel_id for report in reports}) != 1:
        raise InputError("all parts of an upload belong into one channel", field="objects")


def _channel(tx: Transaction, lease: ReportedLease, telegram_id: int) -> int:
    """The channel of the worker's account that holds the parts: the lease's or another one."""
    if telegram_id == lease.channel_telegram_id and lease.channel_account_id == lease.account_id:
        return lease.channel_id
    other = tx.one("channel_by_telegram_id", {"telegram_id": telegram_id})
    if other is None or other["account_id"] != lease.account_id:
        raise InputError("the parts are in a channel that is not the account's", field="objects")
    return int(other["id"])
