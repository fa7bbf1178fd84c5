"""From an upload target to messages in a user's chat: what to send, and what to fall back on.

The ladder for each part is the `file_id` that this bot was given, else a copy of the channel's message, else the
target is queued again and the user told. A `file_id` belongs to one bot; the media type it was stored as is fixed.
"""

from __future__ import annotations

import enum
import itertools
import logging
from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from telecine.core.errors import ConflictError, StoreError, TelegramError
from telecine.core.leases import VariantState
from telecine.core.quality import Quality

logger = logging.getLogger(__name__)

ALBUM_PARTS_MAX = 10  # sendMediaGroup
CAPTION_CHARS_MAX = 1024


class MediaKind(enum.StrEnum):
    """How Telegram stores a file; it can only be sent as what it is stored as."""

    VIDEO = "video"
    DOCUMENT = "document"


class BotFile(msgspec.Struct, frozen=True):
    """A `file_id` that a bot was given for a message of a storage channel (`channel_id` as in MTProto, positive)."""

    bot_id: int
    channel_id: int
    message_id: int
    kind: MediaKind
    file_id: str
    file_unique_id: str


class Deliverable(msgspec.Struct, frozen=True):
    """One part of a target, ready to send. `file` is None where this bot was not given a `file_id` yet."""

    part_no: int
    part_count: int
    channel_id: int
    message_id: int
    size_bytes: int
    duration_s: float | None
    file: BotFile | None


class Resolved(msgspec.Struct, frozen=True):
    """Everything to send one target: what a person calls it, and its parts in order (empty unless it is done).

    `code` and `state` are those of the copy that the parts are taken from.
    """

    code: str
    state: VariantState
    title: str
    year: int | None
    season: int | None
    episode: int | None
    quality: Quality
    parts: tuple[Deliverable, ...]

    @property
    def name(self) -> str:
        """What a person calls the target: `Title (1999) · S01E03 · 1080p`; a quality that is not known is left out."""
        year = "" if self.year is None else f" ({self.year})"
        film = self.season is None or self.episode is None
        numbers = "" if film else f" · S{self.season:02d}E{self.episode:02d}"
        quality = "" if self.quality is Quality.AUTO else f" · {self.quality.label}"
        return f"{self.title}{year}{numbers}{quality}"

    @property
    def is_deliverable(self) -> bool:
        """Whether there is anything to send."""
        return self.state is VariantState.DONE and bool(self.parts)


class DeliveryOutcome(enum.StrEnum):
    SENT = "sent"  # every part by file_id
    COPIED = "copied"  # at least one part by copyMessage
    MISSING = "missing"  # nothing that works is left; queued again


class Shelf(Protocol):
    """What delivery asks of the store."""

    async def resolve(self, code: str, *, bot_id: int) -> Resolved:
        """What is behind a code; another copy of the same target where that one cannot be had, but nothing of a target
        that an operator cancelled or withdrew. Raises InputError for what is not a code, NotFoundError for one of
        nothing."""
        ...

    async def save_bot_file(self, file: BotFile) -> None:
        """Keep a `file_id`; a newer one for the same bot and message replaces the older."""
        ...

    async def forget_bot_file(self, bot_id: int, channel_id: int, message_id: int) -> None:
        """Drop a `file_id` that Telegram refused."""
        ...

    async def note_user(self, user_id: int, language: str | None) -> None:
        """Remember that a user has spoken to the bot."""
        ...

    async def record_delivery(self, code: str, user_id: int, outcome: DeliveryOutcome) -> None:
        """Keep what was delivered to whom."""
        ...


class Requeue(Protocol):
    """The one thing that delivery asks of the queue."""

    async def requeue(self, code: str) -> VariantState: ...


# ---- the ladder ----------------------------------------------------------------------------------


class FileRefusedError(TelegramError):
    """Telegram does not know a `file_id`, or not as the kind of media that it was sent as."""

    code = "file_refused"


class PostRefusedError(TelegramError):
    """A message of a storage channel cannot be copied: it, the channel, or the bot's seat in it is gone."""

    code = "post_refused"


class ChatClosedError(TelegramError):
    """The user blocked the bot, deleted the account, or never started the bot."""

    code = "chat_closed"


class CaptionedFile(msgspec.Struct, frozen=True):
    """A stored file and the plain text to show under it."""

    file: BotFile
    caption: str


class Courier(Protocol):
    """What carries messages into a user's chat.

    Every call raises ChatClosedError, FloodWaitError (a wait too long to sit through) and UnavailableError
    (Telegram does not answer; the message may have been sent or not).
    """

    async def send_files(self, user_id: int, files: Sequence[CaptionedFile]) -> None:
        """Send one file, or 2 to 10 of one kind as an album, all or none. Raises FileRefusedError."""
        ...

    async def copy_post(self, user_id: int, channel_id: int, message_id: int, caption: str) -> None:
        """Copy a channel's message under another caption. Raises PostRefusedError."""
        ...


class DeliveryDesk:
    """Sends upload targets to users, each part by the first rung of the ladder that holds."""

    def __init__(self, shelf: Shelf, requeue: Requeue, courier: Courier, *, bot_id: int) -> None:
        self._shelf = shelf
        self._requeue = requeue
        self._courier = courier
        self._bot_id = bot_id

    async def resolve(self, code: str) -> Resolved:
        """What is behind a code. Raises InputError for what is not a code, NotFoundError for one of nothing."""
        return await self._shelf.resolve(code, bot_id=self._bot_id)

    async def deliver(self, resolved: Resolved, user_id: int) -> DeliveryOutcome:
        """Send all parts in order, and keep what came of it where that can be written.

        MISSING means that the first part that could not be sent, and those behind it, were not; the target is
        queued again. Before it comes to that another copy is sent, from its first part on, where there is one, or what
        has been uploaded in the place of the lost one meanwhile.
        Raises ConflictError for a target that is not deliverable, and what a `Courier` raises.
        """
        if not resolved.is_deliverable:
            raise ConflictError(f"{resolved.code} is {resolved.state.value}: there is nothing to send")
        outcome = await self._deliver(resolved, user_id)
        if outcome is DeliveryOutcome.MISSING:
            other = await self.resolve(resolved.code)
            if other.is_deliverable and _posts(other) != _posts(resolved):
                return await self._deliver(other, user_id)
        return outcome

    async def _deliver(self, resolved: Resolved, user_id: int) -> DeliveryOutcome:
        try:
            outcome = await self._send_all(resolved, user_id)
        except PostRefusedError:
            outcome = DeliveryOutcome.MISSING
            await self._queue_again(resolved)
        await self._record(resolved.code, user_id, outcome)
        return outcome

    async def _record(self, code: str, user_id: int, outcome: DeliveryOutcome) -> None:
        """What the user has received is not taken back where it cannot be written down."""
        try:
            await self._shelf.record_delivery(code, user_id, outcome)
        except StoreError as error:
            logger.warning("%s is %s, which could not be written down: %s", code, outcome.value, error)

    async def _send_all(self, resolved: Resolved, user_id: int) -> DeliveryOutcome:
        outcomes = [await self._send(album, resolved, user_id) for album in albums(resolved.parts)]
        return _together(outcomes)

    async def _send(self, album: Sequence[Deliverable], resolved: Resolved, user_id: int) -> DeliveryOutcome:
        files = [CaptionedFile(part.file, caption(resolved, part)) for part in album if part.file is not None]
        if not files:
            return await self._copy(album[0], resolved, user_id)
        try:
            await self._courier.send_files(user_id, files)
        except FileRefusedError:
            if len(album) > 1:  # Telegram does not say which of them it was
                return _together([await self._send((part,), resolved, user_id) for part in album])
            await self._forget(files[0].file)
            return await self._copy(album[0], resolved, user_id)
        return DeliveryOutcome.SENT

    async def _copy(self, part: Deliverable, resolved: Resolved, user_id: int) -> DeliveryOutcome:
        await self._courier.copy_post(user_id, part.channel_id, part.message_id, caption(resolved, part))
        return DeliveryOutcome.COPIED

    async def _forget(self, file: BotFile) -> None:
        await self._shelf.forget_bot_file(file.bot_id, file.channel_id, file.message_id)

    async def _queue_again(self, resolved: Resolved) -> None:
        """Queue a target whose post is lost, unless another upload has taken that post's place meanwhile, or will."""
        now = await self.resolve(resolved.code)
        if _posts(now) != _posts(resolved):
            return
        try:
            await self._requeue.requeue(resolved.code)
        except ConflictError:  # somebody else has queued it, and a worker is at it already
            return


def caption(resolved: Resolved, part: Deliverable) -> str:
    """The plain text under a part in a user's chat. It never names the storage channel."""
    number = "" if part.part_count == 1 else f" · part {part.part_no} of {part.part_count}"
    excess = len(resolved.name) + len(number) - CAPTION_CHARS_MAX
    if excess > 0:
        title = resolved.title[: -excess - 1] + "…"
        resolved = msgspec.structs.replace(resolved, title=title)
    return resolved.name + number


def albums(parts: Sequence[Deliverable]) -> Iterator[tuple[Deliverable, ...]]:
    """Parts in order, cut into what can go out as one message: neighbours of one kind by the ten, or a single part."""
    for kind, run in itertools.groupby(parts, key=lambda part: part.file and part.file.kind):
        neighbours = tuple(run)
        step = 1 if kind is None else ALBUM_PARTS_MAX
        for start in range(0, len(neighbours), step):
            yield neighbours[start : start + step]


def _posts(resolved: Resolved) -> list[tuple[int, int]]:
    return [(part.channel_id, part.message_id) for part in resolved.parts]


def _together(outcomes: Sequence[DeliveryOutcome]) -> DeliveryOutcome:
    copied = DeliveryOutcome.COPIED in outcomes
    return DeliveryOutcome.COPIED if copied else DeliveryOutcome.SENT
