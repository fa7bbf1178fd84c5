"""From an upload target to messages in a user's chat: what to send, and what to fall back on.

The ladder for each part is the `file_id` that this bot was given, else a copy of the channel's message, else the
target is queued again and the user told. A `file_id` belongs to one bot; the media type it was stored as is fixed.
"""

from __future__ import annotations

import enum
from typing import Protocol

import msgspec

from telecine.core.leases import VariantState
from telecine.core.quality import Quality


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
    """Everything to send one target: what a person calls it, and its parts in order (empty unless it is done)."""

    code: str
    state: VariantState
    title: str
    year: int | None
    season: int | None
    episode: int | None
    quality: Quality
    parts: tuple[Deliverable, ...]


class DeliveryOutcome(enum.StrEnum):
    SENT = "sent"  # every part by file_id
    COPIED = "copied"  # at least one part by copyMessage
    MISSING = "missing"  # nothing that works is left; queued again


class Shelf(Protocol):
    """What delivery asks of the store."""

    async def resolve(self, code: str, *, bot_id: int) -> Resolved:
        """Raises InputError for what is not a code, NotFoundError for one that names nothing."""
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
