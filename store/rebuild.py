"""The index, made anew in an empty database of what was found in the storage channels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from telecine.core import captions, codes
from telecine.core.captions import Caption, Origin
from telecine.core.codes import PartCode
from telecine.core.errors import ConflictError, InputError
from telecine.core.folding import fold
from telecine.core.inventory import FoundChannel, FoundFile, FoundMessage, Inventory
from telecine.core.rebuild import LISTED_MAX, FoundPart, LeftOver, RebuildReport, newest_upload
from telecine.store.transaction import Row, Transaction
from telecine.store.writer import Writer

UNKNOWN = "unknown:"  # begins what stands for an id of CM that no caption says
NUMBER_MAX = 10**9  # a larger number was not given by us; believed, it could leave none for new titles and channels
PAGE_ROWS = 1000
TEXT_CHARS_MAX = 60  # of a message that is only listed
_IN_ORDER = (
    "rebuild_channel_counts",
    "rebuild_titles",
    "rebuild_episodes",
    "rebuild_variants",
    "rebuild_lost_originals",
    "rebuild_objects",
    "rebuild_done_variants",
)


class SqliteRebuild:
    """Writes a whole index at once."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def require_empty(self) -> None:
        """Raises ConflictError for a database that knows titles, accounts or channels."""
        await self._writer.run(require_empty)

    async def load(self, inventories: Sequence[Inventory], *, generation: int) -> RebuildReport:
        """Make the index of what these hold, in one transaction.

        Every upload gets this `generation`: as long as it is larger than ever before, no `random_id` comes twice.
        Raises ConflictError as `require_empty`, InputError for inventories that are not whole, or two of one account.
        """
        return await self._writer.run(lambda tx: load(tx, inventories, generation))


def require_empty(tx: Transaction) -> None:
    if not tx.get("catalogue_is_empty")["is_empty"]:
        raise ConflictError(
            "the database is in use: it knows titles, accounts or channels",
            hint="stop the coordinator, move the database away, and try again before it starts",
        )


def load(tx: Transaction, inventories: Sequence[Inventory], generation: int) -> RebuildReport:
    require_empty(tx)
    _check(inventories)
    tx.execute("make_found_parts")
    finds = _Finds(tx)
    for inventory in inventories:
        finds.keep(inventory)
    finds.leave_contradicted()
    renumbered = finds.place_channels()
    _choose(tx)
    _write_index(tx, generation)
    tx.execute("drop_found_parts")
    return _report(tx, finds, renumbered)


def _check(inventories: Sequence[Inventory]) -> None:
    for what in ("name", "telegram_user_id"):
        values = [getattr(inventory.account, what) for inventory in inventories]
        if len(set(values)) < len(values):
            raise InputError("two of these are of one account", hint="give one of each account, the newest")


def _write_index(tx: Transaction, generation: int) -> None:
    params = {"unknown": UNKNOWN, "generation": generation, "now_ms": tx.now_ms}
    for query in _IN_ORDER:
        tx.execute(query, params)


def _choose(tx: Transaction) -> None:
    """Mark the messages that make up the newest whole upload of each target."""
    after = ""
    while page := tx.all("found_targets", {"after": after, "limit": PAGE_ROWS}):
        for row in page:
            parts = tx.all("found_parts_of", row)
            for part in newest_upload(msgspec.convert(part, FoundPart) for part in parts):
                place = {"channel_id": part.channel_id, "message_id": part.message_id}
                tx.execute("count_found_part", {"code": row["code"], **place})
        after = page[-1]["code"]


class _Finds:
    """What stands in the inventories, put where the index is made of it."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._channels: list[tuple[FoundChannel, int]] = []  # with the account's id
        self._titles: dict[int, str] = {}
        self.messages = 0
        self.unknown_count = 0
        self.unknown: list[LeftOver] = []

    def keep(self, inventory: Inventory) -> None:
        """Take an account with everything in its channels."""
        account = self._tx.get("rebuild_account", msgspec.structs.asdict(inventory.account))
        self._tx.execute_each("keep_found_part", self._parts(inventory, account["id"]))

    def leave_contradicted(self) -> None:
        """Messages that a newer one of their number contradicts count for nothing: since an old backup was restored,
        numbers may have been given anew, and what is older holds another film."""
        for query in ("drop_other_titles", "drop_other_episodes"):
            for row in self._tx.all(query):
                self._leave(row["telegram_id"], row["message_id"], str(_part_code(row)))

    def place_channels(self) -> tuple[str, ...]:
        """Give the channels the numbers that their titles say. One whose number another has, or that nobody gave, gets
        a new one; the titles of those."""
        placed: set[int] = set()
        twins: list[tuple[FoundChannel, int]] = []
        for channel, account_id in sorted(self._channels, key=lambda known: known[0].channel_id):
            number = codes.parse_channel(channel.title)
            if number in placed or number > NUMBER_MAX:
                twins.append((channel, account_id))
            else:
                self._place(number, channel, account_id)
            placed.add(number)
        for channel, account_id in twins:  # once the numbers of all others are taken
            self._place(None, channel, account_id)
        return tuple(channel.title for channel, _ in twins)

    def _place(self, number: int | None, channel: FoundChannel, account_id: int) -> None:
        self._tx.execute(
            "rebuild_channel",
            {"id": number, "account_id": account_id, "telegram_id": channel.channel_id, "now_ms": self._tx.now_ms},
        )

    def _parts(self, inventory: Inventory, account_id: int) -> Iterator[dict[str, Any]]:
        for found in inventory.found():
            if isinstance(found, FoundChannel):
                self._add_channel(found, account_id)
                continue
            self.messages += 1
            caption = captions.parse(found.text)
            if caption is None or not _is_believed(caption) or found.file is None or found.file.size_bytes == 0:
                self._leave(found.channel_id, found.message_id, found.text.partition("\n")[0][:TEXT_CHARS_MAX])
            else:
                yield {**_named(caption), **_stored(found, found.file)}

    def _add_channel(self, channel: FoundChannel, account_id: int) -> None:
        if channel.channel_id in self._titles:
            raise InputError(f"two of these hold the channel {channel.title}", hint="collect both accounts once more")
        self._titles[channel.channel_id] = channel.title
        self._channels.append((channel, account_id))

    def _leave(self, channel_id: int, message_id: int, text: str) -> None:
        self.unknown_count += 1
        if len(self.unknown) < LISTED_MAX:
            self.unknown.append(LeftOver(self._titles[channel_id], message_id, text))


def _is_believed(caption: Caption) -> bool:
    return caption.code.variant.title_number <= NUMBER_MAX


def _named(caption: Caption) -> dict[str, Any]:
    """What a caption says, by columns."""
    variant, origin = caption.code.variant, _origin(caption)
    title_name = "_".join(str(variant).split("_")[:2])  # CM_M000321: until an import tells another
    return {
        "code": str(variant),
        "original_code": str(variant.copies[0]),
        "title_id": variant.title_number,
        "title_name": title_name,
        "title_folded": fold(title_name),
        "season": variant.season,
        "episode": variant.episode,
        "quality": variant.quality.value,
        "copy": variant.copy,
        "part_no": caption.code.part_no,
        "part_count": caption.code.part_count,
        "sha256": caption.sha256 or "",
        "title_cm_id": origin and origin.title,
        "episode_cm_id": origin and origin.episode,
    }


def _stored(found: FoundMessage, file: FoundFile) -> dict[str, Any]:
    """What Telegram holds, by columns."""
    return {
        "telegram_id": found.channel_id,
        "message_id": found.message_id,
        "sent_at_ms": found.sent_at_s * 1000,
        "size_bytes": file.size_bytes,
        "duration_s": file.duration_s,
        "width_px": file.width_px,
        "height_px": file.height_px,
    }


def _origin(caption: Caption) -> Origin | None:
    """What CM calls it; None also for what an earlier rebuild put in place of that."""
    origin = caption.origin
    if origin is None or not origin.title or origin.title.startswith(UNKNOWN):
        return None
    if origin.episode is None or not origin.episode or origin.episode.startswith(UNKNOWN):
        return Origin(origin.title)
    return origin


def _report(tx: Transaction, finds: _Finds, renumbered: tuple[str, ...]) -> RebuildReport:
    limit = {"limit": LISTED_MAX}
    return RebuildReport(
        **tx.get("rebuilt_counts", {"unknown": UNKNOWN}),
        messages=finds.messages,
        unknown_count=finds.unknown_count,
        incomplete=tuple(row["code"] for row in tx.all("rebuilt_incomplete", limit)),
        doubles=tuple(map(_double, tx.all("rebuilt_doubles", limit))),
        unknown=tuple(finds.unknown),
        renumbered=renumbered,
    )


def _double(row: Row) -> LeftOver:
    return LeftOver(codes.channel_code(row["channel_id"]), row["message_id"], str(_part_code(row)))


def _part_code(row: Row) -> PartCode:
    return PartCode(codes.parse_variant(row["code"]), row["part_no"], row["part_count"])
