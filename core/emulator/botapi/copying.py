"""Copies and forwards: what lies in one chat, sent to another without its bytes moving."""

from __future__ import annotations

from itertools import pairwise

import msgspec

from telecine.core.emulator.botapi.errors import bad_request
from telecine.core.emulator.botapi.markups import markup
from telecine.core.emulator.botapi.parameters import Entity
from telecine.core.emulator.botapi.registry import Call, ChatId, Methods
from telecine.core.emulator.botapi.sending import Outgoing, chat_key, deliver, find, send
from telecine.core.emulator.botapi.texts import styled
from telecine.core.emulator.telegram.entities import Content, Forward, InlineKeyboard, Message
from telecine.core.emulator.telegram.messages import Sending

METHODS = Methods()

MESSAGES_MAX = 100


class CopyMessage(Outgoing, frozen=True, kw_only=True):
    """Parameters of copyMessage."""

    from_chat_id: ChatId
    message_id: int
    caption: str | None = None
    caption_entities: tuple[Entity, ...] = ()


class ForwardMessage(Outgoing, frozen=True, kw_only=True):
    """Parameters of forwardMessage."""

    from_chat_id: ChatId
    message_id: int


class SeveralMessages(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters of copyMessages and forwardMessages."""

    chat_id: ChatId
    from_chat_id: ChatId
    message_ids: tuple[int, ...]
    protect_content: bool = False
    remove_caption: bool = False


@METHODS.method("copyMessage", CopyMessage)
async def copy_message(call: Call, given: CopyMessage) -> object:
    """Send the content of a message again, with another caption if one is given."""
    message = _original(call, given.from_chat_id, given.message_id, "copy")
    content = _copied(message, protected=given.protect_content)
    if given.caption is not None and content.document_id is not None:
        text, entities = styled(given.caption, given.parse_mode, given.caption_entities)
        content = msgspec.structs.replace(content, text=text, entities=entities)
    content = msgspec.structs.replace(content, markup=markup(given.reply_markup))
    return {"message_id": call.faces.message_id(send(call, given, content))}


@METHODS.method("forwardMessage", ForwardMessage)
async def forward_message(call: Call, given: ForwardMessage) -> object:
    """Send a message on, with where it came from; the answer shows the whole message."""
    message = _original(call, given.from_chat_id, given.message_id, "forward")
    chat = call.chat(given.chat_id)
    content = _forwarded(message, protected=given.protect_content)
    call.rates.spend(call.bot.id, chat_key(chat))
    return call.faces.message(deliver(call, chat, content, Sending(forward=_origin(message))))


@METHODS.method("copyMessages", SeveralMessages)
async def copy_messages(call: Call, given: SeveralMessages) -> object:
    """Copy several messages; what does not exist is passed over, albums stay albums."""
    return _send_several(call, given, "copy")


@METHODS.method("forwardMessages", SeveralMessages)
async def forward_messages(call: Call, given: SeveralMessages) -> object:
    """Forward several messages; what does not exist is passed over, albums stay albums."""
    return _send_several(call, given, "forward")


def _send_several(call: Call, given: SeveralMessages, verb: str) -> object:
    _check_ids(given.message_ids)
    source = call.chat(given.from_chat_id)
    found = [find(call, source, message_id) for message_id in given.message_ids]
    originals = [message for message in found if message is not None and not _is_protected(call, message)]
    if not originals:
        raise bad_request(f"there are no messages to {verb}")
    chat = call.chat(given.chat_id)
    call.rates.spend(call.bot.id, chat_key(chat), len(originals))
    albums: dict[int, int] = {}
    sent: list[object] = []
    for message in originals:
        content = _forwarded(message, protected=given.protect_content)
        if verb == "copy":
            content = _copied(message, protected=given.protect_content)
            if given.remove_caption and content.document_id is not None:
                content = msgspec.structs.replace(content, text="", entities=())
        sending = Sending(
            grouped_id=_album(call, albums, message.grouped_id),
            forward=_origin(message) if verb == "forward" else None,
        )
        sent.append({"message_id": call.faces.message_id(deliver(call, chat, content, sending))})
    return sent


def _check_ids(message_ids: tuple[int, ...]) -> None:
    if not message_ids:
        raise bad_request("message identifiers are not specified")
    if len(message_ids) > MESSAGES_MAX:
        raise bad_request("too many message identifiers specified")
    if any(later <= earlier for earlier, later in pairwise(message_ids)):
        raise bad_request("message identifiers must be in a strictly increasing order")


def _original(call: Call, chat_id: ChatId, message_id: int, verb: str) -> Message:
    message = find(call, call.chat(chat_id), message_id)
    if message is None:
        raise bad_request(f"message to {verb} not found")
    if _is_protected(call, message):
        raise bad_request(f"message can't be {'copied' if verb == 'copy' else 'forwarded'}")
    return message


def _is_protected(call: Call, message: Message) -> bool:
    channel = None if message.channel_id is None else call.world.channels.find(message.channel_id)
    return message.content.protected or (channel is not None and channel.no_forwards)


def _copied(message: Message, *, protected: bool) -> Content:
    return msgspec.structs.replace(message.content, markup=None, protected=protected)


def _forwarded(message: Message, *, protected: bool) -> Content:
    """Of a forwarded keyboard only the links stay: nobody but its own bot answers the buttons."""
    keyboard = message.content.markup
    rows = keyboard.rows if isinstance(keyboard, InlineKeyboard) else ()
    links = tuple(linked for row in rows if (linked := tuple(button for button in row if button.url)))
    kept = InlineKeyboard(links) if links else None
    return msgspec.structs.replace(message.content, markup=kept, protected=protected)


def _origin(message: Message) -> Forward:
    if message.forward is not None:
        return message.forward
    if message.channel_id is not None:
        return Forward(message.date_s, channel_id=message.channel_id, message_id=message.post_id)
    return Forward(message.date_s, sender_id=message.sender_id)


def _album(call: Call, albums: dict[int, int], grouped_id: int | None) -> int | None:
    """The album's number in its new place."""
    if grouped_id is None:
        return None
    return albums.setdefault(grouped_id, call.world.rng.getrandbits(62) | 1)
