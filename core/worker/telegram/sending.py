"""Making a message of an uploaded file, once.

The `random_id` is a function of the part, its generation and the channel, and is in the journal before the call, so
that neither a lost reply nor a crash posts a second message. Where it is not known whether a message was sent, the
channel is looked through for the part's code, which is the first line of its caption.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from telethon.tl import functions, types

from telecine.core.clock import Clock
from telecine.core.errors import FloodWaitError, TelegramError, UnavailableError
from telecine.core.worker.gate import Gate
from telecine.core.worker.journal import Journal, Sending, Sent, Taken
from telecine.core.worker.telegram.account import Account
from telecine.core.worker.telegram.calls import RANDOM_ID_DUPLICATE, FileLostError, PartMissingError, answer
from telecine.core.worker.telegram.channels import Channels, ConvertingError, StoredMessage
from telecine.core.worker.telegram.pace import Pace
from telecine.core.worker.telegram.parcels import (
    ExistingFile,
    Film,
    Parcel,
    check,
    is_alike,
    random_id,
    uploaded_media,
)

__all__ = ["ExistingFile", "Film", "Parcel", "Post", "Resend", "random_id"]

TRIES_MAX = 6  # lost replies, taken random ids
FLOODS_MAX = 10  # short waits sat out in place
MENDS_MAX = 16  # parts that Telegram lost and that are sent again, before all of the file is
REFERENCES_MAX = 3  # file references that ran out between reading and using them
BACKOFF_S = 0.5
PUBLISH_TRIES_MAX = 120
PUBLISH_PAUSE_S = 5.0  # Telegram converts some videos before it posts them
SENDS_PER_MINUTE = 20

PARTS_GONE = "FILE_PARTS_INVALID"
REFERENCE_EXPIRED = frozenset({"FILE_REFERENCE_EXPIRED", "FILE_REFERENCE_INVALID", "FILE_REFERENCE_EMPTY"})

logger = logging.getLogger(__name__)

Resend = Callable[[int], Awaitable[None]]


@dataclass(frozen=True)
class _Means:
    """What sending takes, the same for all messages of an account."""

    account: Account
    channels: Channels
    journal: Journal
    clock: Clock
    pace: Pace
    gate: Gate
    flood_wait_in_place_s: float


class Post:
    """Sends parcels for one account, all jobs at one pace. Messages wait at `gate`."""

    def __init__(
        self,
        account: Account,
        channels: Channels,
        journal: Journal,
        clock: Clock,
        *,
        flood_wait_in_place_s: float,
        sends_per_minute: int = SENDS_PER_MINUTE,
        gate: Gate | None = None,
    ) -> None:
        pace = Pace(clock, per_minute=sends_per_minute, burst=max(1, sends_per_minute // 2))
        self._journal = journal
        self._means = _Means(account, channels, journal, clock, pace, gate or Gate(), flood_wait_in_place_s)

    async def send(self, parcel: Parcel, sending: Sending, *, generation: int, resend: Resend) -> StoredMessage:
        """Send, read back, and note the message in the journal. `sending` lacks its `random_id`, which is set here.

        `resend` puts a part that Telegram has lost. Raises FloodWaitError for a wait that is too long to sit out,
        FileLostError where the file is to be uploaded anew, TelegramError where the file or the message is refused,
        UnavailableError where it is not known whether the message is there: the journal's posting is open then.
        """
        for turn in range(TRIES_MAX):
            number = random_id(sending.code, generation, parcel.channel_id, turn)
            sending = msgspec.structs.replace(sending, random_id=number)
            self._journal.append(sending)
            delivery = _Delivery(self._means, parcel, sending, resend)
            message = await delivery.message()
            if message is not None:
                check(parcel, message, exactly=delivery.is_untouched)
                self._journal.append(Sent(sending.lease, sending.object.part_no, message.message_id))
                return message
        raise TelegramError(f"Telegram remembers every random id of {sending.code}", name=RANDOM_ID_DUPLICATE)


class _Delivery:
    """One parcel under one random id.

    `is_untouched`: Telegram has made the message of what was uploaded, and converted nothing.
    """

    def __init__(self, means: _Means, parcel: Parcel, sending: Sending, resend: Resend) -> None:
        self._means = means
        self._channels = means.channels
        self._clock = means.clock
        self._parcel = parcel
        self._sending = sending
        self._resend = resend
        self._floods = self._mends = self._lost = self._stale = 0
        self.is_untouched = True

    async def message(self) -> StoredMessage | None:
        """The message as the channel holds it; None where the random id is spent on a message that is gone."""
        parcel, after = self._parcel, self._sending.after_message_id
        try:
            message_id = await self._persistently()
        except UnavailableError:
            found = await self._lookup(after=after)
            if found is None:
                raise
            return found
        except TelegramError as error:
            if error.name != RANDOM_ID_DUPLICATE:
                raise
            return await self._adopted()
        if message_id is None:
            return await self._published(after=after)
        return await self._channels.message(parcel.channel_id, message_id)

    async def _adopted(self) -> StoredMessage | None:
        """The message that the random id was spent on, if it is this very file; what else it is, nobody counts on."""
        found = await self._lookup(after=0)
        if found is None or found.size_bytes == self._parcel.file.size_bytes:
            return found
        logger.info("taking message %d, %s of another link, out of its channel", found.message_id, self._sending.code)
        await self._channels.delete(self._parcel.channel_id, found.message_id)
        return None

    async def _lookup(self, *, after: int) -> StoredMessage | None:
        code = self._sending.code
        logger.info("looking %s up in its channel: whether it was sent is not known", code)
        try:
            return await self._channels.find_settled(self._parcel.channel_id, code, after=after)
        except ConvertingError:
            return await self._published(after=after)

    async def _published(self, *, after: int) -> StoredMessage:
        """Wait for a message that Telegram has taken but not posted yet."""
        sending = self._sending
        self.is_untouched = False
        self._means.journal.append(Taken(sending.lease, sending.object.part_no))
        for _ in range(PUBLISH_TRIES_MAX):
            found = await self._channels.find(self._parcel.channel_id, sending.code, after=after)
            if found is not None:
                return found
            await self._clock.sleep(PUBLISH_PAUSE_S)
        raise UnavailableError(f"Telegram has taken {sending.code} but does not post it")

    async def _persistently(self) -> int | None:
        """Call until Telegram takes the message; the message's id where the answer tells."""
        request = await self._request()
        while True:
            try:
                return await self._once(request)
            except TelegramError as error:
                await self._mended(error)
                if error.name in REFERENCE_EXPIRED:
                    request = await self._request()
            except UnavailableError:
                self._lost += 1
                if self._lost >= TRIES_MAX:
                    raise
                await self._clock.sleep(BACKOFF_S * self._lost)

    async def _once(self, request: Any) -> int | None:
        await self._means.pace.turn()
        await self._means.gate.passed()
        updates = await answer(self._means.account.sender, request)
        return _message_id(updates, self._sending.random_id)

    async def _mended(self, error: TelegramError) -> None:
        """Do what the refusal asks for before the message is sent again; raises what nothing can be done about."""
        match error:
            case PartMissingError():
                self._mends += 1
                if self._mends > MENDS_MAX:
                    raise FileLostError(f"{self._mends} of its parts are missing") from error
                await self._resend(error.index)
            case FloodWaitError():
                self._floods += 1
                if error.seconds > self._means.flood_wait_in_place_s or self._floods > FLOODS_MAX:
                    raise error
                await self._clock.sleep(max(error.seconds, 1.0))
            case _ if error.name == PARTS_GONE:
                raise FileLostError("none of its parts is there") from error
            case _ if error.name in REFERENCE_EXPIRED and self._stale < REFERENCES_MAX:
                self._stale += 1
            case _:
                raise error

    async def _request(self) -> Any:
        parcel = self._parcel
        media = await self._existing_media()
        self.is_untouched = media is None
        peer = await self._channels.peer(parcel.channel_id)
        return functions.InvokeWithoutUpdatesRequest(
            functions.messages.SendMediaRequest(
                peer=peer,
                media=media or uploaded_media(parcel),
                message=parcel.caption,
                random_id=self._sending.random_id,
            )
        )

    async def _existing_media(self) -> Any | None:
        """The file of the message that holds the same bytes, with a reference that is good now; None without one."""
        existing = self._parcel.existing
        if existing is None:
            return None
        found = await self._channels.file(existing.channel_id, existing.message_id)
        if found is None or not is_alike(self._parcel, found.message):
            logger.info("message %d does not hold the bytes of %s any more", existing.message_id, self._sending.code)
            return None
        return types.InputMediaDocument(found.reference)


def _message_id(updates: Any, number: int) -> int | None:
    """The id of the new message. None where the channel does not have it yet: a video that Telegram converts first
    is a scheduled message until then, with an id that does not last."""
    wanted = {update.id for update in updates.updates if _names(update, number)}
    for update in updates.updates:
        if isinstance(update, types.UpdateNewChannelMessage) and update.message.id in wanted:
            return int(update.message.id)
    return None


def _names(update: Any, number: int) -> bool:
    return isinstance(update, types.UpdateMessageID) and update.random_id == number
