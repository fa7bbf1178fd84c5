"""Messages: posting into channels, talking in private, editing, deleting, finding."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from telecine.core.clock import Clock
from telecine.core.emulator.telegram.boxes import Boxes
from telecine.core.emulator.telegram.channels import Channels
from telecine.core.emulator.telegram.entities import (
    Bot,
    Box,
    BoxEvent,
    Channel,
    Content,
    Forward,
    InlineKeyboard,
    Message,
    UpdateKind,
    WorldState,
    chat_id_of,
)
from telecine.core.emulator.telegram.feeds import Feeds, Listener, Notice
from telecine.core.emulator.telegram.limits import TelegramLimits
from telecine.core.emulator.telegram.refusals import RefusalError, bad_request, forbidden


class Sending(msgspec.Struct, frozen=True):
    """The circumstances of a message besides what it says."""

    random_id: int | None = None  # remembered: the same again by the same sender is refused
    grouped_id: int | None = None
    forward: Forward | None = None
    reply_to_key: int | None = None
    origin: Listener | None = None  # the session that gets the message as its answer, and so no push


class Posted(NamedTuple):
    """A message and the change that it made to the box its sender sees."""

    message: Message
    event: BoxEvent


PLAIN = Sending()


class Messages:
    """All messages of one world. Refusals carry Telegram's names; nothing has changed when one is raised."""

    def __init__(
        self,
        state: WorldState,
        channels: Channels,
        feeds: Feeds,
        clock: Clock,
        limits: TelegramLimits,
        changed: Callable[[], None],
    ) -> None:
        self._state = state
        self._channels = channels
        self._feeds = feeds
        self._clock = clock
        self._limits = limits
        self._changed = changed
        self._boxes = Boxes(state, limits)

    # -- writing

    def post(self, channel: Channel, sender_id: int, content: Content, sending: Sending = PLAIN) -> Posted:
        """Post into a channel; members are pushed the change, bots that are administrators get `channel_post`."""
        self._channels.check_may_post(channel, sender_id)
        self._check(sender_id, content)
        message = self._new(sender_id, content, sending)
        message.channel_id = channel.id
        event = self._boxes.put(channel.chat_id, message)
        self._feeds.publish(channel.members, Notice(channel.chat_id, event), sending.origin)
        for bot in self._channels.admin_bots(channel):
            if bot.id != sender_id:
                self._feeds.push(bot, UpdateKind.CHANNEL_POST, message=message)
        return Posted(message, event)

    def send(self, sender_id: int, recipient_id: int, content: Content, sending: Sending = PLAIN) -> Posted:
        """Write in private. A bot may only answer those who wrote to it and have not blocked it."""
        self._check_may_write(sender_id, recipient_id)
        self._check(sender_id, content)
        message = self._new(sender_id, content, sending)
        message.recipient_id = recipient_id
        event = self._boxes.put(sender_id, message)
        self._feeds.publish((sender_id,), Notice(sender_id, event), sending.origin)
        if recipient_id != sender_id:
            received = self._boxes.put(recipient_id, message)
            self._feeds.publish((recipient_id,), Notice(recipient_id, received))
        bot = self._state.bots.get(recipient_id)
        if bot is not None:
            bot.started_by.add(sender_id)
            self._feeds.push(bot, UpdateKind.MESSAGE, message=message)
        return Posted(message, event)

    def edit(self, message: Message, editor_id: int, content: Content, origin: Listener | None = None) -> Posted:
        """Change a message. Refusals: MESSAGE_NOT_MODIFIED, MESSAGE_AUTHOR_REQUIRED, CHAT_ADMIN_REQUIRED."""
        self._check_may_edit(message, editor_id)
        self._check(editor_id, content)
        if content == message.content:
            raise bad_request("MESSAGE_NOT_MODIFIED")
        message.content = content
        message.edit_date_s = self._now_s()
        events = {box_id: self._boxes.edited(box_id, message) for box_id in message.ids}
        for box_id, event in events.items():
            self._feeds.publish(self._readers(message, box_id), Notice(box_id, event), origin)
        self._tell_edit(message, editor_id)
        self._changed()
        seen_in = editor_id if message.channel_id is None else chat_id_of(message.channel_id)
        return Posted(message, events[seen_in])

    def delete(
        self, deleter_id: int, box_id: int, message_ids: Iterable[int], origin: Listener | None = None
    ) -> BoxEvent | None:
        """Delete messages for everybody; unknown numbers are passed over. None if nothing was deleted."""
        found = [m for m in (self._boxes.get(box_id, i) for i in dict.fromkeys(message_ids)) if m is not None]
        for message in found:
            self._check_may_delete(message, deleter_id)
        if not found:
            return None
        gone: dict[int, list[Message]] = {}
        for message in found:
            for holder_id in message.ids:
                gone.setdefault(holder_id, []).append(message)
        events = {}
        for holder_id, messages in gone.items():
            events[holder_id] = self._boxes.take_out(holder_id, tuple(m.ids[holder_id] for m in messages))
            self._feeds.publish(self._readers(messages[0], holder_id), Notice(holder_id, events[holder_id]), origin)
        for message in found:
            del self._state.messages[message.key]
        self._changed()
        return events[box_id]

    # -- reading

    def get(self, box_id: int, message_id: int) -> Message | None:
        """A message by its number in a box (a user's, a bot's, or a channel's marked id)."""
        return self._boxes.get(box_id, message_id)

    def by_key(self, key: int) -> Message | None:
        return self._state.messages.get(key)

    def in_channel(self, channel: Channel) -> list[Message]:
        """All posts of a channel, newest first."""
        return self._boxes.messages(channel.chat_id)

    def in_dialog(self, owner_id: int, other_id: int) -> list[Message]:
        """What two parties wrote each other, newest first, as `owner_id` still has it."""
        return [m for m in self._boxes.messages(owner_id) if m.other_party(owner_id) == other_id]

    def partners(self, owner_id: int) -> list[int]:
        """Whom somebody has talked to, latest first."""
        return list(dict.fromkeys(m.other_party(owner_id) for m in self._boxes.messages(owner_id)))

    def search(self, channel: Channel, text: str) -> list[Message]:
        """Posts whose caption or text holds every word of `text`, ignoring case; newest first."""
        words = text.casefold().split()
        return [
            message
            for message in self.in_channel(channel)
            if all(word in message.content.text.casefold() for word in words)
        ]

    def box(self, box_id: int) -> Box:
        return self._boxes.of(box_id)

    def missed(self, box_id: int, pts: int) -> list[BoxEvent] | None:
        """What changed in a box after `pts`; None if that is too long ago to tell."""
        return self._boxes.since(box_id, pts)

    def sent_before(self, sender_id: int, random_id: int) -> Message | None:
        """The message that this sender already sent under a random id and that still exists."""
        key = self._state.random_ids.get(sender_id, {}).get(random_id)
        return None if key is None else self._state.messages.get(key)

    # -- rules

    def _new(self, sender_id: int, content: Content, sending: Sending) -> Message:
        message = Message(
            key=self._state.next_message_key,
            sender_id=sender_id,
            date_s=self._now_s(),
            content=content,
            grouped_id=sending.grouped_id,
            forward=sending.forward,
            reply_to_key=sending.reply_to_key,
        )
        if sending.random_id is not None:
            self.check_random_id(sender_id, sending.random_id)
            self._state.random_ids.setdefault(sender_id, {})[sending.random_id] = message.key
        self._state.next_message_key += 1
        self._state.messages[message.key] = message
        self._changed()
        return message

    def check_random_id(self, sender_id: int, random_id: int) -> None:
        """Refuse a random id that this sender has used before: RANDOM_ID_DUPLICATE."""
        if random_id in self._state.random_ids.get(sender_id, {}):
            raise RefusalError(500, "RANDOM_ID_DUPLICATE")

    def _check(self, sender_id: int, content: Content) -> None:
        sender = self._state.users.get(sender_id)
        premium = sender is not None and sender.premium
        if content.document_id is None:
            self._limits.check_text(content.text)
        else:
            self._limits.check_caption(content.text, premium)
        if isinstance(content.markup, InlineKeyboard):
            self._limits.check_keyboard(content.markup)

    def _check_may_write(self, sender_id: int, recipient_id: int) -> None:
        bot: Bot | None = self._state.bots.get(sender_id)
        if recipient_id not in self._state.users and recipient_id not in self._state.bots:
            raise bad_request("PEER_ID_INVALID")
        if bot is None:
            return
        if recipient_id in self._state.bots:
            raise forbidden("USER_IS_BOT")
        if recipient_id in bot.blocked_by:
            raise forbidden("USER_IS_BLOCKED")
        if recipient_id not in bot.started_by:
            raise forbidden("BOT_NOT_STARTED")

    def _check_may_edit(self, message: Message, editor_id: int) -> None:
        if message.sender_id == editor_id:
            return
        channel = None if message.channel_id is None else self._channels.find(message.channel_id)
        if channel is None:
            raise forbidden("MESSAGE_AUTHOR_REQUIRED")
        self._channels.check_may(channel, editor_id, "edit_messages")

    def _check_may_delete(self, message: Message, deleter_id: int) -> None:
        channel = None if message.channel_id is None else self._channels.find(message.channel_id)
        if channel is None:
            if deleter_id not in message.ids:
                raise forbidden("MESSAGE_DELETE_FORBIDDEN")
            return
        rights = self._channels.rights(channel, deleter_id)
        if not rights.delete_messages and not (message.sender_id == deleter_id and rights.post_messages):
            raise forbidden("MESSAGE_DELETE_FORBIDDEN")

    def _readers(self, message: Message, box_id: int) -> Iterable[int]:
        channel = None if message.channel_id is None else self._channels.find(message.channel_id)
        return (box_id,) if channel is None else channel.members

    def _tell_edit(self, message: Message, editor_id: int) -> None:
        if message.channel_id is not None:
            channel = self._channels.find(message.channel_id)
            for bot in self._channels.admin_bots(channel) if channel else ():
                if bot.id != editor_id:
                    self._feeds.push(bot, UpdateKind.EDITED_CHANNEL_POST, message=message)
            return
        recipient = self._state.bots.get(message.recipient_id or 0)
        if recipient is not None and recipient.id != editor_id:
            self._feeds.push(recipient, UpdateKind.EDITED_MESSAGE, message=message)

    def _now_s(self) -> int:
        return self._clock.now_ms() // 1000
