"""What is in the world as the Bot API shows it to one bot (core.telegram.org/bots/api#available-types)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from telecine.core.emulator.telegram.entities import (
    AdminRights,
    Bot,
    BotUpdate,
    Channel,
    Document,
    Forward,
    InlineButton,
    InlineKeyboard,
    MemberChange,
    Message,
    Press,
    TextEntity,
    User,
)
from telecine.core.emulator.telegram.world import World

Json = dict[str, Any]

_COMMAND = re.compile(r"(?:^|(?<=\s))/[A-Za-z0-9_]{1,32}(?:@\w+)?")


class Faces:
    """Shows the world to one bot: message numbers are those of its box, file ids its own."""

    def __init__(self, world: World, bot: Bot) -> None:
        self._world = world
        self._bot = bot

    def update(self, update: BotUpdate) -> Json:
        """An entry of the bot's queue as an Update."""
        if update.press is not None:
            content = self.press(update.press)
        elif update.member is not None:
            content = self.member_change(update.member, update.date_s)
        elif update.message is not None:
            content = self.message(update.message)
        else:
            raise ValueError(f"update {update.id} is about nothing")
        return {"update_id": update.id, update.kind.value: content}

    def message(self, message: Message) -> Json:
        """A Message, with its number as this bot knows it."""
        face = self._head(message) | self._body(message)
        if message.edit_date_s is not None:
            face["edit_date"] = message.edit_date_s
        if message.grouped_id is not None:
            face["media_group_id"] = str(message.grouped_id)
        if message.forward is not None:
            face["forward_origin"] = self._origin(message.forward)
        if message.reply_to_key is not None:
            answered = self._world.messages.by_key(message.reply_to_key)
            if answered is not None:
                face["reply_to_message"] = self.message(answered)
        return face

    def message_id(self, message: Message) -> int:
        """The number of a message as this bot knows it."""
        return message.post_id if message.channel_id is not None else message.ids[self._bot.id]

    def user(self, user_id: int) -> Json:
        """A User: a person or a bot."""
        peer = self._world.directory.peer(user_id)
        if peer is None:
            return {"id": user_id, "is_bot": False, "first_name": "Deleted Account"}
        return user_face(peer)

    def chat(self, chat: User | Channel) -> Json:
        """A Chat."""
        if isinstance(chat, Channel):
            return _without_none(
                {"id": chat.chat_id, "type": "channel", "title": chat.title, "username": chat.username}
            )
        return _without_none(
            {
                "id": chat.id,
                "type": "private",
                "first_name": chat.first_name,
                "last_name": chat.last_name or None,
                "username": chat.username,
            }
        )

    def member(self, channel: Channel, user_id: int) -> Json:
        """A ChatMember of a channel as it is now."""
        return self._member(user_id, self._world.channels.status(channel, user_id), channel)

    def media(self, document: Document) -> Json:
        """The `video` or `document` of a Message."""
        documents = self._world.documents
        file = {
            "file_id": documents.file_id(self._bot, document),
            "file_unique_id": documents.file_unique_id(document),
            "file_name": document.file_name,
            "mime_type": document.mime_type,
            "file_size": document.size_bytes,
        }
        if document.video is None or document.kind.value != "video":
            return {"document": file}
        shape = {
            "width": document.video.width_px,
            "height": document.video.height_px,
            "duration": int(document.video.duration_s),
        }
        return {"video": file | shape}

    def press(self, press: Press) -> Json:
        """A CallbackQuery."""
        return {
            "id": str(press.id),
            "from": self.user(press.user_id),
            "chat_instance": str(press.bot_id ^ press.user_id),
            "message": self.message(press.message),
            "data": press.data.decode(errors="replace"),
        }

    def member_change(self, change: MemberChange, date_s: int) -> Json:
        """A ChatMemberUpdated about this bot."""
        channel = self._world.channels.find(change.channel_id)
        chat = self.chat(channel) if channel else {"id": 0, "type": "channel", "title": "Deleted Channel"}
        return {
            "chat": chat,
            "from": self.user(change.by_user_id),
            "date": date_s,
            "old_chat_member": self._member(self._bot.id, change.old_status, channel),
            "new_chat_member": self._member(self._bot.id, change.new_status, channel),
        }

    def _head(self, message: Message) -> Json:
        head: Json = {"message_id": self.message_id(message), "date": message.date_s}
        if message.channel_id is not None:
            channel = self._world.channels.find(message.channel_id)
            chat = self.chat(channel) if channel else {"id": message.channel_id, "type": "channel"}
            return head | {"chat": chat, "sender_chat": chat}
        other = self._world.directory.peer(message.other_party(self._bot.id))
        chat = self.chat(other) if isinstance(other, User) else {"id": 0, "type": "private"}
        return head | {"chat": chat, "from": self.user(message.sender_id)}

    def _body(self, message: Message) -> Json:
        content = message.content
        body: Json = {}
        names = ("text", "entities")
        if content.document_id is not None:
            names = ("caption", "caption_entities")
            document = self._world.documents.find(content.document_id)
            body |= self.media(document) if document else {}
        if content.text:
            body[names[0]] = content.text
        if entities := content.entities or commands(content.text):
            body[names[1]] = [_entity(entity) for entity in entities]
        if isinstance(content.markup, InlineKeyboard):
            body["reply_markup"] = keyboard_face(content.markup)
        if content.protected:
            body["has_protected_content"] = True
        return body

    def _origin(self, forward: Forward) -> Json:
        if forward.channel_id is not None:
            channel = self._world.channels.find(forward.channel_id)
            chat = self.chat(channel) if channel else {"id": 0, "type": "channel", "title": "Deleted Channel"}
            return {
                "type": "channel",
                "date": forward.date_s,
                "chat": chat,
                "message_id": forward.message_id,
            }
        return {"type": "user", "date": forward.date_s, "sender_user": self.user(forward.sender_id or 0)}

    def _member(self, user_id: int, status: str, channel: Channel | None) -> Json:
        member: Json = {"status": status, "user": self.user(user_id)}
        if status == "creator":
            return member | {"is_anonymous": False}
        if status == "administrator":
            rights = self._world.channels.rights(channel, user_id) if channel else AdminRights()
            return member | _rights(rights)
        return member


def user_face(peer: User | Bot) -> Json:
    """A User: a person or a bot."""
    is_bot = isinstance(peer, Bot)
    face: Json = {"id": peer.id, "is_bot": is_bot, "first_name": peer.first_name}
    if isinstance(peer, User):
        face |= {"last_name": peer.last_name or None, "is_premium": peer.premium or None}
    return _without_none(face | {"username": peer.username})


def keyboard_face(keyboard: InlineKeyboard) -> Json:
    """An InlineKeyboardMarkup."""
    return {"inline_keyboard": [[_button(button) for button in row] for row in keyboard.rows]}


def commands(text: str) -> tuple[TextEntity, ...]:
    """The commands in a text, which Telegram's servers mark by themselves."""
    return tuple(
        TextEntity("bot_command", len(text[: found.start()].encode("utf-16-le")) // 2, len(found[0]))
        for found in _COMMAND.finditer(text)
    )


def _button(button: InlineButton) -> Json:
    face: Json = {"text": button.text, "url": button.url}
    if button.data is not None:
        face["callback_data"] = button.data.decode(errors="replace")
    if button.query is not None:
        face["switch_inline_query_current_chat" if button.query_here else "switch_inline_query"] = button.query
    return _without_none(face)


def _entity(entity: TextEntity) -> Json:
    return _without_none(
        {
            "type": entity.kind,
            "offset": entity.offset,
            "length": entity.length,
            "url": entity.url,
            "language": entity.language,
        }
    )


def _rights(rights: AdminRights) -> Json:
    return {
        "can_be_edited": False,
        "is_anonymous": False,
        "can_manage_chat": True,
        "can_change_info": rights.change_info,
        "can_post_messages": rights.post_messages,
        "can_edit_messages": rights.edit_messages,
        "can_delete_messages": rights.delete_messages,
        "can_invite_users": rights.invite_users,
        "can_promote_members": rights.add_admins,
        "can_restrict_members": rights.other,
        "can_manage_video_chats": rights.other,
        "can_post_stories": rights.other,
        "can_edit_stories": rights.other,
        "can_delete_stories": rights.other,
        "can_send_welcome_messages": rights.other,
    }


def _without_none(face: Mapping[str, Any]) -> Json:
    return {name: value for name, value in face.items() if value is not None}
