"""Numbered message boxes: the one place where message ids and `pts` are given out."""

from __future__ import annotations

from telecine.core.emulator.telegram.entities import Box, BoxEvent, EventKind, Message, WorldState, channel_id_of
from telecine.core.emulator.telegram.limits import TelegramLimits


class Boxes:
    """Every user, bot and channel has a box; a private message lies in two, under a number of its own in each."""

    def __init__(self, state: WorldState, limits: TelegramLimits) -> None:
        self._state = state
        self._limits = limits

    def of(self, box_id: int) -> Box:
        """The box of a user, bot or (marked id) channel, made when first asked for."""
        box = self._state.boxes.get(box_id)
        if box is None:
            # Message 1 of a channel is Telegram's own note that the channel was created.
            box = Box(box_id, next_message_id=1 if channel_id_of(box_id) is None else 2)
            self._state.boxes[box_id] = box
        return box

    def put(self, box_id: int, message: Message) -> BoxEvent:
        """Number a new message in a box."""
        box = self.of(box_id)
        message.ids[box_id] = box.next_message_id
        box.keys[box.next_message_id] = message.key
        box.next_message_id += 1
        return self._record(box, EventKind.NEW, (message.ids[box_id],))

    def edited(self, box_id: int, message: Message) -> BoxEvent:
        return self._record(self.of(box_id), EventKind.EDIT, (message.ids[box_id],))

    def take_out(self, box_id: int, message_ids: tuple[int, ...]) -> BoxEvent:
        """Remove messages that are in the box; their numbers are never given out again."""
        box = self.of(box_id)
        for message_id in message_ids:
            del box.keys[message_id]
        return self._record(box, EventKind.DELETE, message_ids)

    def get(self, box_id: int, message_id: int) -> Message | None:
        box = self._state.boxes.get(box_id)
        key = None if box is None else box.keys.get(message_id)
        return None if key is None else self._state.messages.get(key)

    def messages(self, box_id: int) -> list[Message]:
        """All messages of a box, newest first."""
        box = self._state.boxes.get(box_id)
        if box is None:
            return []
        found = (self._state.messages.get(key) for key in reversed(box.keys.values()))
        return [message for message in found if message is not None]

    def since(self, box_id: int, pts: int) -> list[BoxEvent] | None:
        """The changes after `pts`, oldest first; None if they are no longer all known."""
        box = self.of(box_id)
        if pts >= box.pts:
            return []
        first = len(box.events)
        while first and box.events[first - 1].pts > pts:
            first -= 1
        missed = box.events[first:]
        if not missed or missed[0].pts - missed[0].pts_count > pts:
            return None
        return missed

    def _record(self, box: Box, kind: EventKind, message_ids: tuple[int, ...]) -> BoxEvent:
        count = len(message_ids)
        box.pts += count
        event = BoxEvent(kind, box.pts, count, message_ids)
        box.events.append(event)
        if len(box.events) > self._limits.box_events_max:
            del box.events[: self._limits.box_events_max // 2]
        return event
