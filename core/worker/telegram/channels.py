"""An account's storage channels: opening them once, and finding, checking and deleting the messages in them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import msgspec
from telethon import errors
from telethon.tl import functions, types

from telecine.core import captions
from telecine.core.clock import Clock
from telecine.core.errors import TelegramError
from telecine.core.protocol import ChannelRef
from telecine.core.worker.telegram.calls import REFUSALS, ask, translated

ABOUT = "Storage. Posts are made and read by machines."
LOOKUP_MESSAGES_MAX = 100  # newest messages looked through for a code
LOOKUP_TRIES = 6
LOOKUP_PAUSE_S = 0.5  # a request whose connection died may still be running

logger = logging.getLogger(__name__)


class StoredMessage(msgspec.Struct, frozen=True):
    """A message of a storage channel. `duration_s` and the frame are None for what is stored as a document."""

    message_id: int
    caption: str
    size_bytes: int
    file_name: str | None
    mime_type: str
    is_video: bool
    streams: bool = False
    has_thumbnail: bool = False
    duration_s: float | None = None
    width_px: int | None = None
    height_px: int | None = None


class StoredFile(msgspec.Struct, frozen=True):
    """A message, and what names its file in a request for as long as Telegram lets it: minutes at least."""

    message: StoredMessage
    reference: Any


class ConvertingError(TelegramError):
    """Telegram has taken a video and converts it before it posts it: the message is sure to come."""

    def __init__(self, code: str) -> None:
        super().__init__(f"Telegram has taken {code} but not posted it yet", name="VIDEO_PROCESSING")


class Channels:
    """The account's channels, by Telegram id. Every call raises as `calls.ask` does."""

    def __init__(self, client: Any, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._known: dict[int, Any] = {}

    async def open(self, ref: ChannelRef, bot_username: str | None) -> int:
        """Make sure that a channel exists, once, with the bot as its administrator; its Telegram id.

        A planned channel that a crash left unreported is found by its coded title. One that was open and is not the
        account's any more is CHANNEL_PRIVATE, never made anew. Idempotent.
        """
        if ref.telegram_id is not None:
            await self.peer(ref.telegram_id)
            channel = self._known[ref.telegram_id]
        else:
            await self.refresh()
            channel = self._titled(ref.title) or await self._create(ref.title)
        if bot_username is not None:
            await self._appoint(channel, bot_username)
        return int(channel.id)

    async def check(self, channel_id: int) -> None:
        """Ask whether the account can post into a channel. Raises TelegramError with a name of CHANNEL_LOST."""
        answer = await ask(self._client, functions.channels.GetChannelsRequest([await self._input(channel_id)]))
        for channel in answer.chats:
            if _may_post(channel):
                return
        raise TelegramError(f"channel {channel_id} takes no posts of the account", name="CHAT_WRITE_FORBIDDEN")

    def forget(self, channel_id: int) -> None:
        """Ask Telegram before the channel is used again."""
        self._known.pop(channel_id, None)

    async def refresh(self) -> None:
        """Read anew which channels the account owns."""
        try:
            self._known = _own([dialog.entity async for dialog in self._client.iter_dialogs()])
        except REFUSALS as error:
            raise translated(error, "messages.getDialogs") from error

    async def titles(self) -> dict[int, str]:
        """What the account's channels are called now, by their Telegram ids."""
        await self.refresh()
        return {channel_id: channel.title for channel_id, channel in self._known.items()}

    async def peer(self, channel_id: int) -> Any:
        """How a channel is named in a request. Raises TelegramError for one that is not the account's."""
        if channel_id not in self._known:
            await self.refresh()
        if channel_id not in self._known:
            raise TelegramError(f"channel {channel_id} is not among the account's own", name="CHANNEL_PRIVATE")
        return types.InputPeerChannel(channel_id, self._known[channel_id].access_hash)

    async def newest_message_id(self, channel_id: int) -> int:
        """The id of the newest message; 0 in an empty channel."""
        messages = await self._history(channel_id, after=0, limit=1)
        return int(messages[0].id) if messages else 0  # that of a new title or picture, too

    async def message(self, channel_id: int, message_id: int) -> StoredMessage | None:
        """One message with a file; None where it is not, or no longer, there."""
        found = await self.file(channel_id, message_id)
        return None if found is None else found.message

    async def file(self, channel_id: int, message_id: int) -> StoredFile | None:
        """The file of one message; None where there is none, or no longer one."""
        request = functions.channels.GetMessagesRequest(
            await self._input(channel_id), [types.InputMessageID(message_id)]
        )
        for message in (await ask(self._client, request)).messages:
            stored = stored_message(message)
            if stored is not None:
                document = message.media.document
                reference = types.InputDocument(document.id, document.access_hash, document.file_reference)
                return StoredFile(stored, reference)
        return None

    async def find(self, channel_id: int, code: str, *, after: int) -> StoredMessage | None:
        """The newest message behind `after` whose caption names the part `code`."""
        for message in await self._history(channel_id, after=after, limit=LOOKUP_MESSAGES_MAX):
            stored = stored_message(message)  # None for what carries no file
            if stored is not None and captions.code_of(stored.caption) == code and stored.message_id > after:
                return stored
        return None

    async def find_settled(self, channel_id: int, code: str, *, after: int) -> StoredMessage | None:
        """`find`, given some time: for a message whose sending was cut off and may still be under way.

        Raises ConvertingError where Telegram has it but has not posted it yet.
        """
        for _ in range(LOOKUP_TRIES - 1):
            found = await self.find(channel_id, code, after=after)
            if found is not None:
                return found
            await self._clock.sleep(LOOKUP_PAUSE_S)
        if await self.is_converted(channel_id, code):
            raise ConvertingError(code)
        return await self.find(channel_id, code, after=after)  # it may have been posted between the two looks

    async def is_converted(self, channel_id: int, code: str) -> bool:
        """Whether a message that names the part `code` waits until Telegram has converted its video."""
        request = functions.messages.GetScheduledHistoryRequest(await self.peer(channel_id), hash=0)
        messages = (await ask(self._client, request)).messages
        return any(captions.code_of(getattr(message, "message", "") or "") == code for message in messages)

    async def delete(self, channel_id: int, message_id: int) -> None:
        """Take a message out of a channel; one that is gone already is no error."""
        await ask(self._client, functions.channels.DeleteMessagesRequest(await self._input(channel_id), [message_id]))

    async def _history(self, channel_id: int, *, after: int, limit: int) -> list[Any]:
        request = functions.messages.GetHistoryRequest(
            peer=await self.peer(channel_id),
            offset_id=0,
            offset_date=None,
            add_offset=0,
            limit=limit,
            max_id=0,
            min_id=after,
            hash=0,
        )
        return list((await ask(self._client, request)).messages)

    async def _input(self, channel_id: int) -> Any:
        peer = await self.peer(channel_id)
        return types.InputChannel(peer.channel_id, peer.access_hash)

    def _titled(self, title: str) -> Any | None:
        return min((c for c in self._known.values() if c.title == title), key=lambda c: c.id, default=None)

    async def _create(self, title: str) -> Any:
        before = set(self._known)
        request = functions.channels.CreateChannelRequest(title=title, about=ABOUT, broadcast=True)
        answer = await ask(self._client, request)
        await self.refresh()
        self._known |= _own(answer.chats)  # the list of dialogs may lag behind
        made = sorted(i for i, channel in self._known.items() if channel.title == title and i not in before)
        if not made:
            raise TelegramError(f"the new channel {title} does not show up")
        for extra in made[1:]:  # the answer was lost and the request repeated: it has no random id to tell
            await ask(self._client, functions.channels.DeleteChannelRequest(await self._input(extra)))
            del self._known[extra]
        logger.info("opened storage channel %s", title)
        return self._known[made[0]]

    async def _appoint(self, channel: Any, bot_username: str) -> None:
        bot = await self._resolve(bot_username)
        target = types.InputChannel(channel.id, channel.access_hash)
        if await self._is_admin(target, bot):
            return
        rights = types.ChatAdminRights(post_messages=True)
        await ask(self._client, functions.channels.EditAdminRequest(target, bot, rights, rank=""))
        logger.info("made @%s an administrator of %s", bot_username, channel.title)

    async def _is_admin(self, target: Any, bot: Any) -> bool:
        try:
            answer = await self._client(functions.channels.GetParticipantRequest(target, bot))
        except errors.UserNotParticipantError:
            return False
        except REFUSALS as error:
            raise translated(error, "channels.getParticipant") from error
        return isinstance(answer.participant, types.ChannelParticipantAdmin)

    async def _resolve(self, username: str) -> Any:
        answer = await ask(self._client, functions.contacts.ResolveUsernameRequest(username.removeprefix("@")))
        for user in answer.users:
            return types.InputUser(user.id, user.access_hash)
        raise TelegramError(f"there is no bot @{username}", name="USERNAME_NOT_OCCUPIED")


def _own(entities: Iterable[Any]) -> dict[int, Any]:
    """The broadcast channels among some entities that the account has created, by Telegram id."""
    channels = (entity for entity in entities if isinstance(entity, types.Channel))  # not ChannelForbidden
    return {int(channel.id): channel for channel in channels if channel.creator and channel.broadcast}


def _may_post(channel: Any) -> bool:
    if not isinstance(channel, types.Channel) or channel.left:
        return False
    return bool(channel.creator or (channel.admin_rights and channel.admin_rights.post_messages))


def stored_message(message: Any) -> StoredMessage | None:
    """A message as Telethon has it; None for one without a file."""
    media = getattr(message, "media", None)
    document = getattr(media, "document", None)
    if document is None:
        return None
    video = next((a for a in document.attributes if isinstance(a, types.DocumentAttributeVideo)), None)
    name = next((a for a in document.attributes if isinstance(a, types.DocumentAttributeFilename)), None)
    return StoredMessage(
        message_id=message.id,
        caption=message.message or "",
        size_bytes=document.size,
        file_name=name.file_name if name else None,
        mime_type=document.mime_type,
        is_video=video is not None,
        streams=bool(video and video.supports_streaming),
        has_thumbnail=bool(document.thumbs),
        duration_s=video.duration if video else None,
        width_px=video.w if video else None,
        height_px=video.h if video else None,
    )
