"""Scheduled messages: here, those whose video is being converted before they are posted."""

from __future__ import annotations

from typing import Any

from telethon.tl import functions, types

from telecine.core.emulator.mtproto.render import Renderer
from telecine.core.emulator.mtproto.rpc import Call, MethodTable
from telecine.core.emulator.telegram.entities import Channel, Content, Message

METHODS = MethodTable()


@METHODS.answers(functions.messages.GetScheduledHistoryRequest)
def get_scheduled_history(call: Call, query: Any) -> Any:
    """What waits to be posted; only who may post sees it."""
    target = call.viewer.target(query.peer)
    waiting: list[Message] = []
    if isinstance(target, Channel):
        call.world.channels.check_may_post(target, call.user.id)
        waiting = call.world.conversions.of(target)
    renderer = Renderer(call.viewer)
    users, chats = renderer.gathered(waiting)
    messages = [_scheduled(renderer, message) for message in waiting]
    return types.messages.Messages(messages=messages, topics=[], chats=chats, users=users)


def convert(call: Call, channel: Channel, content: Content, random_id: int, seconds: float) -> Any:
    """Take a video that is posted in `seconds`; the updates that say so. Its id does not last."""
    now_s = call.world.clock.now_ms() // 1000
    given = Message(key=0, sender_id=call.user.id, date_s=now_s, content=content)
    message = call.world.conversions.begin(channel, given, random_id, seconds)
    renderer = Renderer(call.viewer)
    (number,) = message.ids.values()
    updates = [
        types.UpdateMessageID(number, random_id),
        types.UpdateNewScheduledMessage(_scheduled(renderer, message)),
    ]
    return renderer.updates(updates, [message])


def _scheduled(renderer: Renderer, message: Message) -> Any:
    rendered = renderer.message(message)
    rendered.video_processing_pending = True
    return rendered
