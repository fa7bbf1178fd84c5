"""Editing and deleting what the bot sent."""

from __future__ import annotations

import msgspec

from telecine.core.emulator.botapi.errors import bad_request
from telecine.core.emulator.botapi.markups import inline_keyboard
from telecine.core.emulator.botapi.parameters import Entity, MarkupParameters
from telecine.core.emulator.botapi.registry import Call, ChatId, Methods
from telecine.core.emulator.botapi.sending import chat_key, find
from telecine.core.emulator.botapi.texts import styled
from telecine.core.emulator.telegram.entities import Content, Message

METHODS = Methods()

DELETE_AGE_S_MAX = 48 * 3600
MESSAGES_MAX = 100


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """What every editing method takes; also the parameters of editMessageReplyMarkup."""

    chat_id: ChatId | None = None
    message_id: int | None = None
    reply_markup: MarkupParameters | None = None
    parse_mode: str | None = None


class EditText(Edit, frozen=True, kw_only=True):
    """Parameters of editMessageText."""

    text: str = ""
    entities: tuple[Entity, ...] = ()


class EditCaption(Edit, frozen=True, kw_only=True):
    """Parameters of editMessageCaption."""

    caption: str = ""
    caption_entities: tuple[Entity, ...] = ()


class DeleteMessage(msgspec.Struct, frozen=True):
    """Parameters of deleteMessage."""

    chat_id: ChatId
    message_id: int


class DeleteMessages(msgspec.Struct, frozen=True):
    """Parameters of deleteMessages."""

    chat_id: ChatId
    message_ids: tuple[int, ...]


@METHODS.method("editMessageText", EditText)
async def edit_text(call: Call, given: EditText) -> object:
    """Replace text and keyboard of a text message."""
    message = _editable(call, given)
    if message.content.document_id is not None:
        raise bad_request("there is no text in the message to edit")
    text, entities = styled(given.text, given.parse_mode, given.entities)
    return _edit(call, message, given, Content(text, entities))


@METHODS.method("editMessageCaption", EditCaption)
async def edit_caption(call: Call, given: EditCaption) -> object:
    """Replace caption and keyboard of a message with a file."""
    message = _editable(call, given)
    if message.content.document_id is None:
        raise bad_request("there is no caption in the message to edit")
    text, entities = styled(given.caption, given.parse_mode, given.caption_entities)
    return _edit(call, message, given, Content(text, entities, message.content.document_id))


@METHODS.method("editMessageReplyMarkup", Edit)
async def edit_markup(call: Call, given: Edit) -> object:
    """Replace only the keyboard."""
    message = _editable(call, given)
    return _edit(call, message, given, message.content)


@METHODS.method("deleteMessage", DeleteMessage)
async def delete_message(call: Call, given: DeleteMessage) -> object:
    """Delete one message for everybody, within 48 hours."""
    chat = call.chat(given.chat_id)
    message = find(call, chat, given.message_id)
    if message is None:
        raise bad_request("message to delete not found")
    if call.world.clock.now_ms() // 1000 - message.date_s > DELETE_AGE_S_MAX:
        raise bad_request("message can't be deleted for everyone")
    _delete(call, [message])
    return True


@METHODS.method("deleteMessages", DeleteMessages)
async def delete_messages(call: Call, given: DeleteMessages) -> object:
    """Delete several messages; what does not exist is passed over."""
    if not given.message_ids:
        raise bad_request("message identifiers are not specified")
    if len(given.message_ids) > MESSAGES_MAX:
        raise bad_request("too many message identifiers specified")
    chat = call.chat(given.chat_id)
    _delete(call, [message for one in given.message_ids if (message := find(call, chat, one))])
    return True


def _editable(call: Call, given: Edit) -> Message:
    if given.chat_id is None or given.message_id is None:
        raise bad_request("message identifier is not specified")
    message = find(call, call.chat(given.chat_id), given.message_id)
    if message is None:
        raise bad_request("message to edit not found")
    if message.sender_id != call.bot.id and message.channel_id is None:
        raise bad_request("message can't be edited")
    return message


def _edit(call: Call, message: Message, given: Edit, content: Content) -> object:
    """The message with this content and the keyboard given; no keyboard takes the old one away."""
    changed = msgspec.structs.replace(
        content, markup=inline_keyboard(given.reply_markup), protected=message.content.protected
    )
    return call.faces.message(call.world.messages.edit(message, call.bot.id, changed).message)


def _delete(call: Call, messages: list[Message]) -> None:
    for message in messages:
        box_id = call.bot.id
        if message.channel_id is not None and (channel := call.world.channels.find(message.channel_id)):
            box_id = chat_key(channel)
        call.world.messages.delete(call.bot.id, box_id, [call.faces.message_id(message)])
