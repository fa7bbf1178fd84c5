"""From a code to the messages that hold it, the bots' `file_id`s, and who received what."""

from __future__ import annotations

import msgspec

from telecine.core import codes
from telecine.core.codes import VariantCode
from telecine.core.delivery import BotFile, Deliverable, DeliveryOutcome, MediaKind, Resolved
from telecine.core.errors import NotFoundError
from telecine.core.leases import VariantState
from telecine.core.quality import Quality
from telecine.store.catalogue import variant_row
from telecine.store.readers import Readers
from telecine.store.transaction import Row, Transaction
from telecine.store.writer import Writer


class SqliteShelf:
    """Implements `Shelf`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def resolve(self, code: str, *, bot_id: int) -> Resolved:
        parsed = codes.parse_variant(code)
        return await self._readers.run(lambda tx: resolve(tx, parsed, bot_id))

    async def save_bot_file(self, file: BotFile) -> None:
        await self._writer.run(
            lambda tx: tx.execute("save_bot_file", {**msgspec.structs.asdict(file), "now_ms": tx.now_ms})
        )

    async def forget_bot_file(self, bot_id: int, channel_id: int, message_id: int) -> None:
        params = {"bot_id": bot_id, "channel_id": channel_id, "message_id": message_id}
        await self._writer.run(lambda tx: tx.execute("forget_bot_file", params))

    async def note_user(self, user_id: int, language: str | None) -> None:
        await self._writer.run(lambda tx: _note_user(tx, user_id, language))

    async def record_delivery(self, code: str, user_id: int, outcome: DeliveryOutcome) -> None:
        parsed = codes.parse_variant(code)
        await self._writer.run(lambda tx: record_delivery(tx, str(parsed), user_id, outcome))


def resolve(tx: Transaction, code: VariantCode, bot_id: int) -> Resolved:
    """Raises NotFoundError."""
    original, second = map(str, code.copies)
    row = _copy_to_send(tx.all("targets_by_code", {"original": original, "second": second}), str(code))
    if row is None:
        raise NotFoundError(f"there is no upload target {code}")
    parts = tx.all("parts_to_send", {"variant_id": row["id"], "bot_id": bot_id}) if row["is_done"] else []
    return Resolved(
        code=row["code"],
        state=VariantState(row["state"]),
        title=row["title"],
        year=row["year"],
        season=row["season"],
        episode=row["episode"],
        quality=Quality(row["quality"]),
        parts=tuple(_deliverable(part, bot_id) for part in parts),
    )


def _copy_to_send(copies: list[Row], code: str) -> Row | None:
    """Which copy of a target to send: the one that was asked for if it can be had, else another that can.

    Not even a copy is sent of what an operator has taken out; of what only waits for a link it is. Messages in a lost
    channel may be sent still, by their `file_id`s, but come after all others. None: there is nothing of that code.
    """
    asked = next((row for row in copies if row["code"] == code), None)
    if asked is None or copies[0]["is_taken_out"]:
        return asked and copies[0]
    return min(copies, key=lambda row: (not row["is_done"], row["is_lost"], row is not asked))


def record_delivery(tx: Transaction, code: str, user_id: int, outcome: DeliveryOutcome) -> None:
    """Raises NotFoundError."""
    variant_id = variant_row(tx, code)["id"]
    _note_user(tx, user_id, None)
    tx.execute(
        "insert_delivery",
        {"variant_id": variant_id, "user_id": user_id, "outcome": outcome.value, "now_ms": tx.now_ms},
    )


def _note_user(tx: Transaction, user_id: int, language: str | None) -> None:
    tx.execute("note_user", {"user_id": user_id, "language": language, "now_ms": tx.now_ms})


def _deliverable(row: Row, bot_id: int) -> Deliverable:
    return Deliverable(
        part_no=row["part_no"],
        part_count=row["part_count"],
        channel_id=row["channel_id"],
        message_id=row["message_id"],
        size_bytes=row["size_bytes"],
        duration_s=row["duration_s"],
        file=None if row["file_id"] is None else _bot_file(row, bot_id),
    )


def _bot_file(row: Row, bot_id: int) -> BotFile:
    return BotFile(
        bot_id=bot_id,
        channel_id=row["channel_id"],
        message_id=row["message_id"],
        kind=MediaKind(row["kind"]),
        file_id=row["file_id"],
        file_unique_id=row["file_unique_id"],
    )
