"""Sending: texts, videos, documents, albums."""

from __future__ import annotations

import msgspec

from telecine.core.emulator.botapi import media
from telecine.core.emulator.botapi.errors import bad_request
from telecine.core.emulator.botapi.markups import markup
from telecine.core.emulator.botapi.parameters import Entity, MarkupParameters, ReplyParameters
from telecine.core.emulator.botapi.registry import Call, ChatId, Methods
from telecine.core.emulator.botapi.texts import styled
from telecine.core.emulator.telegram.entities import Channel, Content, MediaKind, Message, User, VideoTrait
from telecine.core.emulator.telegram.messages import Sending

METHODS = Methods()


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """What every sending method takes."""

    chat_id: ChatId
    protect_content: bool = False
    reply_parameters: ReplyParameters | None = None
    reply_to_message_id: int | None = None
    reply_markup: MarkupParameters | None = None
    parse_mode: str | None = None


class SendMessage(Outgoing, frozen=True, kw_only=True):
    """Parameters of sendMessage."""

    text: str = ""
    entities: tuple[Entity, ...] = ()


class Captioned(Outgoing, frozen=True, kw_only=True):
    """What every method takes that sends a file."""

    caption: str = ""
    caption_entities: tuple[Entity, ...] = ()


class SendVideo(Captioned, frozen=True, kw_only=True):
    """Parameters of sendVideo."""

    video: str | None = None
    duration: float = 0
    width: int = 0
    height: int = 0
    supports_streaming: bool = False


class SendDocument(Captioned, frozen=True, kw_only=True):
    """Parameters of sendDocument."""

    document: str | None = None


class AlbumItem(msgspec.Struct, frozen=True, kw_only=True):
    """An InputMediaVideo or InputMediaDocument."""

    type: MediaKind
    media: str
    caption: str = ""
    parse_mode: str | None = None
    caption_entities: tuple[Entity, ...] = ()
    duration: float = 0
    width: int = 0
    height: int = 0
    supports_streaming: bool = False


class SendMediaGroup(Outgoing, frozen=True, kw_only=True):
    """Parameters of sendMediaGroup."""

    media: tuple[AlbumItem, ...]


@METHODS.method("sendMessage", SendMessage)
async def send_message(call: Call, given: SendMessage) -> object:
    """Send a text."""
    text, entities = styled(given.text, given.parse_mode, given.entities)
    content = Content(text, entities, markup=markup(given.reply_markup), protected=given.protect_content)
    return call.faces.message(send(call, given, content))


@METHODS.method("sendVideo", SendVideo)
async def send_video(call: Call, given: SendVideo) -> object:
    """Send a video, by file id or uploaded."""
    return _send_file(call, given, MediaKind.VIDEO, given.video, _trait(given))


@METHODS.method("sendDocument", SendDocument)
async def send_document(call: Call, given: SendDocument) -> object:
    """Send any file as it is, by file id or uploaded."""
    return _send_file(call, given, MediaKind.DOCUMENT, given.document, VideoTrait(0, 0, 0))


@METHODS.method("sendMediaGroup", SendMediaGroup)
async def send_media_group(call: Call, given: SendMediaGroup) -> object:
    """Send an album; all of it or nothing."""
    _check_album(call, given.media)
    chat = call.chat(given.chat_id)
    contents = [_album_content(call, item, protected=given.protect_content) for item in given.media]
    grouped_id = call.world.rng.getrandbits(62) | 1
    call.rates.spend(call.bot.id, chat_key(chat), len(contents))
    sending = Sending(grouped_id=grouped_id, reply_to_key=_reply_key(call, chat, given))
    return [call.faces.message(deliver(call, chat, content, sending)) for content in contents]


def send(call: Call, given: Outgoing, content: Content) -> Message:
    """Send one message within the bot's rate."""
    chat = call.chat(given.chat_id)
    sending = Sending(reply_to_key=_reply_key(call, chat, given))
    call.rates.spend(call.bot.id, chat_key(chat))
    return deliver(call, chat, content, sending)


def deliver(call: Call, chat: User | Channel, content: Content, sending: Sending) -> Message:
    """Put a message into a chat."""
    if isinstance(chat, Channel):
        return call.world.messages.post(chat, call.bot.id, content, sending).message
    return call.world.messages.send(call.bot.id, chat.id, content, sending).message


def find(call: Call, chat: User | Channel, message_id: int) -> Message | None:
    """A message of a chat by its number as this bot knows it."""
    if isinstance(chat, Channel):
        return call.world.messages.get(chat.chat_id, message_id)
    message = call.world.messages.get(call.bot.id, message_id)
    return message if message is not None and message.other_party(call.bot.id) == chat.id else None


def chat_key(chat: User | Channel) -> int:
    """The id under which the Bot API knows a chat."""
    return chat.chat_id if isinstance(chat, Channel) else chat.id


def _send_file(
    call: Call, given: SendVideo | SendDocument, kind: MediaKind, file: str | None, trait: VideoTrait
) -> object:
    call.chat(given.chat_id)  # an unknown chat is said before an unknown file
    text, entities = styled(given.caption, given.parse_mode, given.caption_entities)
    document = media.document(call, kind, file, kind.value, trait)
    content = Content(text, entities, document.id, markup(given.reply_markup), given.protect_content)
    return call.faces.message(send(call, given, content))


def _check_album(call: Call, items: tuple[AlbumItem, ...]) -> None:
    limits = call.world.limits
    if not items:
        raise bad_request("there are no messages to send")
    if len(items) < limits.album_count_min:
        raise bad_request("too few messages to send as an album")
    if len(items) > limits.album_count_max:
        raise bad_request("too many messages to send as an album")
    if len({item.type for item in items}) > 1:
        raise bad_request("document can't be mixed with other media types")


def _album_content(call: Call, item: AlbumItem, *, protected: bool) -> Content:
    text, entities = styled(item.caption, item.parse_mode, item.caption_entities)
    document = media.document(call, item.type, item.media, item.media, _trait(item))
    call.world.limits.check_caption(text, premium=False)
    return Content(text, entities, document.id, protected=protected)


def _trait(given: SendVideo | AlbumItem) -> VideoTrait:
    return VideoTrait(given.duration, given.width, given.height, given.supports_streaming)


def _reply_key(call: Call, chat: User | Channel, given: Outgoing) -> int | None:
    reply = given.reply_parameters
    message_id = reply.message_id if reply else given.reply_to_message_id
    if message_id is None:
        return None
    answered = find(call, chat, message_id)
    if answered is None and not (reply and reply.allow_sending_without_reply):
        raise bad_request("message to be replied not found")
    return answered.key if answered else None
