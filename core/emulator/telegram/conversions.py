"""Videos that are converted before they are posted: scheduled messages of their channel until then."""

from __future__ import annotations

import asyncio
import itertools

import msgspec

from telecine.core.emulator.telegram.entities import Channel, Message, WorldState
from telecine.core.emulator.telegram.messages import Messages, Sending
from telecine.core.errors import TelecineError

_NO_MESSAGE_YET = -1  # what a spent random id leads to until the message is there


class _Conversion(msgspec.Struct, frozen=True):
    channel: Channel
    message: Message
    random_id: int


class Conversions:
    """The conversions of one world. A restart loses them; Telegram's would go on."""

    def __init__(self, state: WorldState, messages: Messages) -> None:
        self._state = state
        self._messages = messages
        self._running: dict[int, tuple[_Conversion, asyncio.TimerHandle]] = {}
        self._numbers = itertools.count(1)

    def begin(self, channel: Channel, message: Message, random_id: int, seconds: float) -> Message:
        """Take a message that is posted in `seconds`; how it stands among the channel's scheduled ones.

        Its random id is spent from now on.
        """
        self._messages.check_random_id(message.sender_id, random_id)
        number = next(self._numbers)
        scheduled = msgspec.structs.replace(message, channel_id=channel.id, ids={channel.chat_id: number})
        self._state.random_ids.setdefault(message.sender_id, {})[random_id] = _NO_MESSAGE_YET
        conversion = _Conversion(channel, scheduled, random_id)
        timer = asyncio.get_running_loop().call_later(seconds, self._finish, number)
        self._running[number] = conversion, timer
        return scheduled

    def of(self, channel: Channel) -> list[Message]:
        """What is being converted for a channel, newest first."""
        running = [conversion.message for conversion, _ in self._running.values() if conversion.channel is channel]
        return running[::-1]

    def finish_all(self) -> None:
        """Post at once what is still being converted."""
        for number in list(self._running):
            self._finish(number)

    def close(self) -> None:
        """Abandon what is still being converted."""
        for _, timer in self._running.values():
            timer.cancel()
        self._running.clear()

    def _finish(self, number: int) -> None:
        conversion, timer = self._running.pop(number)
        timer.cancel()
        sender_id, channel = conversion.message.sender_id, conversion.channel
        try:
            posted = self._messages.post(channel, sender_id, conversion.message.content, Sending())
        except TelecineError:
            return  # the channel is gone, or closed to the sender, and the message with it
        self._state.random_ids[sender_id][conversion.random_id] = posted.message.key
