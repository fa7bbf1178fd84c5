"""Second copies: what is done of the titles that an operator chose is uploaded once more, with another account.

A copy is an upload of its own, with a code of its own, pinned to an account. It tries the links of its original.
"""

from __future__ import annotations

import msgspec

from telecine.core import codes
from telecine.core.events import VariantChanged
from telecine.core.leases import VariantState
from telecine.core.plans import file_bytes_max
from telecine.store.lanes import relane
from telecine.store.transaction import Row, Transaction
from telecine.store.variants import requeue
from telecine.store.writer import Writer

BATCH_ROWS = 500  # originals that are looked at in one transaction
SEEN_WITHIN_S = 600.0  # an account whose workers have been silent for longer gets no copies
_MOVABLE = frozenset({VariantState.READY, VariantState.DELAYED, VariantState.DONE})


class CopyCursor(msgspec.Struct, frozen=True):
    """Where the search for originals without a copy goes on: behind this variant of this title."""

    title_id: int = 0
    variant_id: int = 0


class CopyRound(msgspec.Struct, frozen=True):
    """What a batch came to: how many copies were queued, and where the next batch begins."""

    queued: int
    cursor: CopyCursor


class Uploader(msgspec.Struct):
    """An account that could hold copies: how many wait for it already, and how many messages it holds."""

    account_id: int
    premium: bool
    waiting: int
    messages: int


class Followed(msgspec.Struct, frozen=True):
    """How many links a copy lost to, and gained from, its original."""

    lost: int
    gained: int


class CopyPlanner:
    """Looks through the titles that want copies, a batch at a time."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._cursor = CopyCursor()

    async def plan(self) -> int:
        """Go on where the last call left off; how many copies were queued."""
        planned = await self._writer.run(lambda tx: plan_copies(tx, self._cursor, BATCH_ROWS))
        self._cursor = planned.cursor
        return planned.queued


def plan_copies(tx: Transaction, after: CopyCursor, limit: int) -> CopyRound:
    """Queue the copies that are wanted of up to `limit` originals. Behind the last of them it begins anew.

    An original that was uploaded again may have come to the account of its copy, and what is left of a copy's links may
    be too large for its account: the copy moves to another. Where there is no other account, or no link to upload from,
    nothing happens until there is.
    """
    rows = tx.all("originals_to_copy", {"title_id": after.title_id, "variant_id": after.variant_id, "limit": limit})
    lacking = [row for row in rows if row["copy_id"] is None or _is_crowded(row) or _is_too_large(row)]
    uploaders = _uploaders(tx) if lacking else []
    queued = sum(_place_copy(tx, uploaders, row) for row in lacking)
    cursor = CopyCursor(rows[-1]["title_id"], rows[-1]["id"]) if len(rows) == limit else CopyCursor()
    return CopyRound(queued, cursor)


def least_loaded(uploaders: list[Uploader], *, other_than: int, file_bytes: int) -> Uploader | None:
    """Who is to hold a copy of a file of so many bytes that the account `other_than` holds; None: nobody can."""
    able = [
        one for one in uploaders if one.account_id != other_than and file_bytes <= file_bytes_max(premium=one.premium)
    ]
    return min(able, key=lambda one: (one.waiting, one.messages, one.account_id), default=None)


def follow_original(tx: Transaction, copy_id: int, original_id: int) -> Followed:
    """Give a copy that is not leased the links that its original has now, and no others but the one it was made of."""
    pair = {"copy_id": copy_id, "original_id": original_id}
    lost = tx.execute("drop_links_without_original", pair)
    return Followed(lost, tx.execute("append_links_of_original", pair))


def _place_copy(tx: Transaction, uploaders: list[Uploader], row: Row) -> bool:
    if not tx.get("has_link", {"variant_id": row["id"]})["has_link"]:
        return False
    largest = tx.get("largest_part", {"variant_id": row["id"]})["size_bytes"]
    file_bytes = max(largest, row["copy_file_bytes"])
    uploader = least_loaded(uploaders, other_than=row["account_id"], file_bytes=file_bytes)
    if uploader is None:
        return False
    uploader.waiting += 1
    if row["copy_id"] is None:
        _queue(tx, row, uploader.account_id)
    else:
        _move(tx, row, uploader.account_id)
    return True


def _queue(tx: Transaction, row: Row, account_id: int) -> None:
    _, code = codes.parse_variant(row["code"]).copies
    params = {"code": str(code), "original_id": row["id"], "account_id": account_id, "now_ms": tx.now_ms}
    copy_id = tx.get("insert_copy", params)["id"]
    tx.execute("append_links_of_original", {"copy_id": copy_id, "original_id": row["id"]})
    relane(tx, copy_id)
    tx.tell(VariantChanged(str(code), VariantState.READY))


def _move(tx: Transaction, row: Row, account_id: int) -> None:
    """Leave a copy to another account; what is done is uploaded anew."""
    tx.execute("pin_copy", {"copy_id": row["copy_id"], "account_id": account_id})
    state = VariantState(row["copy_state"])
    if state is VariantState.DONE:
        state = requeue(tx, row["copy_code"])
    tx.tell(VariantChanged(row["copy_code"], state))


def _is_crowded(row: Row) -> bool:
    return row["copy_account_id"] == row["account_id"] and VariantState(row["copy_state"]) in _MOVABLE


def _is_too_large(row: Row) -> bool:
    """Whether a copy waits for a larger account than the one it is left to."""
    waits = VariantState(row["copy_state"]) is VariantState.READY and row["copy_premium"] is not None
    return waits and bool(row["copy_file_bytes"] > file_bytes_max(premium=bool(row["copy_premium"])))


def _uploaders(tx: Transaction) -> list[Uploader]:
    rows = tx.all("accounts_for_copies", {"seen_since_ms": tx.now_ms - round(SEEN_WITHIN_S * 1000)})
    return [Uploader(row["id"], bool(row["premium"]), row["waiting"], row["messages"]) for row in rows]
