"""Making a message of an uploaded file, once.

The caption is the part's code and nothing else. The `random_id` is a function of the part, its generation and the
channel, and is in the journal before the call, so that neither a lost reply nor a crash posts a second message.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from telethon.tl import functions, types

from telecine.core.clock import Clock
from telecine.core.errors import FloodWaitError, TelegramError, UnavailableError
from telecine.core.worker.journal import Journal, Sending, Sent, Taken
from telecine.core.worker.telegram.account import Account
from telecine.core.worker.telegram.calls import RANDOM_ID_DUPLICATE, PartMissingError, answer
from telecine.core.worker.telegram.channels import Channels, StoredMessage
from telecine.core.worker.telegram.engine import UploadedFile

TRIES_MAX = 6  # lost replies, taken random ids
FLOODS_MAX = 10  # short waits sat out in place
MENDS_MAX = 16  # parts that Telegram lost and that are sent again
BACKOFF_S = 0.5
PUBLISH_TRIES_MAX = 120
PUBLISH_PAUSE_S = 5.0  # Telegram converts some videos before it posts them

logger = logging.getLogger(__name__)

Resend = Callable[[int], Awaitable[None]]


class Film(msgspec.Struct, frozen=True):
    """What Telegram is told of a file that plays."""

    duration_s: float
    width_px: int
    height_px: int
    has_audio: bool


class Parcel(msgspec.Struct, frozen=True):
    """One file to send. `film` None: it is stored as a document. `thumbnail` is an uploaded JPEG."""

    channel_id: int
    caption: str
    file: UploadedFile
    file_name: str
    mime_type: str
    film: Film | None = None
    thumbnail: UploadedFile | None = None


def random_id(code: str, generation: int, channel_id: int, turn: int = 0) -> int:
    """The int64 that names one sending to Telegram. `turn` grows where Telegram remembers an id of a message that
    has since been deleted."""
    seed = f"{code}:{generation}:{channel_id}:{turn}".encode()
    return int.from_bytes(hashlib.blake2b(seed, digest_size=8).digest(), "little", signed=True)


class Post:
    """Sends parcels for one account."""

    def __init__(
        self, account: Account, channels: Channels, journal: Journal, clock: Clock, *, flood_wait_in_place_s: float
    ) -> None:
        self._account = account
        self._channels = channels
        self._journal = journal
        self._clock = clock
        self._flood_wait_in_place_s = flood_wait_in_place_s

    async def send(self, parcel: Parcel, sending: Sending, *, generation: int, resend: Resend) -> StoredMessage:
        """Send, read back, and note the message in the journal. `sending` lacks its `random_id`, which is set here.

        `resend` puts a part that Telegram has lost. Raises FloodWaitError for a wait that is too long to sit out,
        TelegramError where the file or the message is refused, UnavailableError where it is not known whether the
        message is there: the journal's posting is open then.
        """
        for turn in range(TRIES_MAX):
            number = random_id(sending.code, generation, parcel.channel_id, turn)
            sending = msgspec.structs.replace(sending, random_id=number)
            self._journal.append(sending)
            message = await self._sent(parcel, sending, resend)
            if message is not None:
                _check(parcel, message)
                self._journal.append(Sent(sending.lease, sending.object.part_no, message.message_id))
                return message
        raise TelegramError(f"Telegram remembers every random id of {sending.code}", name=RANDOM_ID_DUPLICATE)

    async def _sent(self, parcel: Parcel, sending: Sending, resend: Resend) -> StoredMessage | None:
        """The message as the channel holds it; None where the random id is spent on a message that is gone."""
        try:
            message_id = await self._persistently(parcel, sending.random_id, resend)
        except UnavailableError:
            found = await self._lookup(parcel, after=sending.after_message_id)
            if found is None:
                raise
            return found
        except TelegramError as error:
            if error.name != RANDOM_ID_DUPLICATE:
                raise
            return await self._adopted(parcel)
        if message_id is None:
            self._journal.append(Taken(sending.lease, sending.object.part_no))
            return await self._published(parcel, after=sending.after_message_id)
        return await self._channels.message(parcel.channel_id, message_id)

    async def _adopted(self, parcel: Parcel) -> StoredMessage | None:
        """The message that the random id was spent on, if it is this very file; what else it is, nobody counts on."""
        found = await self._lookup(parcel, after=0)
        if found is None or found.size_bytes == parcel.file.size_bytes:
            return found
        logger.info("taking message %d, %s of another link, out of its channel", found.message_id, parcel.caption)
        await self._channels.delete(parcel.channel_id, found.message_id)
        return None

    async def _lookup(self, parcel: Parcel, *, after: int) -> StoredMessage | None:
        logger.info("looking %s up in its channel: whether it was sent is not known", parcel.caption)
        return await self._channels.find_settled(parcel.channel_id, parcel.caption, after=after)

    async def _published(self, parcel: Parcel, *, after: int) -> StoredMessage:
        """Wait for a message that Telegram has taken but not posted yet."""
        for _ in range(PUBLISH_TRIES_MAX):
            found = await self._channels.find(parcel.channel_id, parcel.caption, after=after)
            if found is not None:
                return found
            await self._clock.sleep(PUBLISH_PAUSE_S)
        raise UnavailableError(f"Telegram has taken {parcel.caption} but does not post it")

    async def _persistently(self, parcel: Parcel, number: int, resend: Resend) -> int | None:
        """Call until Telegram takes the message; the message's id where the answer tells."""
        request = await self._request(parcel, number)
        floods = mends = lost = 0
        while True:
            try:
                return _message_id(await answer(self._account.sender, request), number)
            except PartMissingError as missing:
                mends += 1
                if mends > MENDS_MAX:
                    raise
                await resend(missing.index)
            except FloodWaitError as wait:
                floods += 1
                if wait.seconds > self._flood_wait_in_place_s or floods > FLOODS_MAX:
                    raise
                await self._clock.sleep(max(wait.seconds, 1.0))
            except UnavailableError:
                lost += 1
                if lost >= TRIES_MAX:
                    raise
                await self._clock.sleep(BACKOFF_S * lost)

    async def _request(self, parcel: Parcel, number: int) -> Any:
        media = types.InputMediaUploadedDocument(
            file=parcel.file.as_input(),
            mime_type=parcel.mime_type,
            attributes=_attributes(parcel),
            thumb=parcel.thumbnail.as_input() if parcel.thumbnail else None,
            force_file=parcel.film is None,
            nosound_video=parcel.film is not None and not parcel.film.has_audio,  # or it becomes an animation
        )
        peer = await self._channels.peer(parcel.channel_id)
        return functions.InvokeWithoutUpdatesRequest(
            functions.messages.SendMediaRequest(peer=peer, media=media, message=parcel.caption, random_id=number)
        )


def _attributes(parcel: Parcel) -> list[Any]:
    attributes: list[Any] = [types.DocumentAttributeFilename(parcel.file_name)]
    if parcel.film is not None:
        attributes.append(
            types.DocumentAttributeVideo(
                duration=parcel.film.duration_s,
                w=parcel.film.width_px,
                h=parcel.film.height_px,
                supports_streaming=True,
            )
        )
    return attributes


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


def _check(parcel: Parcel, message: StoredMessage) -> None:
    """What Telegram keeps must be what was sent: it cannot be mended later."""
    if message.size_bytes != parcel.file.size_bytes:
        raise TelegramError(f"{parcel.caption}: sent {parcel.file.size_bytes} bytes, kept {message.size_bytes}")
    if message.is_video != (parcel.film is not None):
        raise TelegramError(f"{parcel.caption}: stored as another kind of file than it was sent as")
