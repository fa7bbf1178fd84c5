"""`updates.*`: what a client missed, box by box."""

from __future__ import annotations

from typing import Any

from telethon.tl import functions, types

from telecine.core.emulator.mtproto.render import CREATION_POST_ID, Renderer
from telecine.core.emulator.mtproto.rpc import Call, MethodTable
from telecine.core.emulator.mtproto.wire import moment
from telecine.core.emulator.telegram.entities import BoxEvent, Channel, EventKind, Message
from telecine.core.emulator.telegram.feeds import Notice
from telecine.core.emulator.telegram.refusals import bad_request

METHODS = MethodTable()
EVENTS_A_CALL_MAX = 500


@METHODS.answers(functions.updates.GetStateRequest)
def get_state(call: Call, _query: Any) -> Any:
    return _state(call, call.world.messages.box(call.user.id).pts)


@METHODS.answers(functions.updates.GetDifferenceRequest)
def get_difference(call: Call, query: Any) -> Any:
    """The user's own box. Channels that may have changed are named, to be asked for one by one."""
    events = call.world.messages.missed(call.user.id, query.pts)
    if events is None:
        return types.updates.DifferenceTooLong(call.world.messages.box(call.user.id).pts)
    channels = [c for c in call.world.channels.of(call.user.id) if call.world.messages.box(c.chat_id).pts > 1]
    if not events and not channels:
        return types.updates.DifferenceEmpty(moment(call.world.clock.now_ms() // 1000), 0)
    taken = events[:EVENTS_A_CALL_MAX]
    renderer = Renderer(call.viewer)
    messages, others = _replay(call, renderer, call.user.id, taken)
    users, chats = renderer.gathered(messages)
    common: dict[str, Any] = {
        "new_messages": [renderer.message(message) for message in messages],
        "new_encrypted_messages": [],
        "users": users,
        "chats": chats,
    }
    if len(taken) < len(events):
        state = _state(call, taken[-1].pts)
        return types.updates.DifferenceSlice(other_updates=others, intermediate_state=state, **common)
    box = call.world.messages.box
    others += [types.UpdateChannelTooLong(c.id, box(c.chat_id).pts) for c in channels]
    common["chats"] = chats + [renderer.channel(channel) for channel in channels]
    return types.updates.Difference(other_updates=others, state=_state(call, box(call.user.id).pts), **common)


@METHODS.answers(functions.updates.GetChannelDifferenceRequest)
def get_channel_difference(call: Call, query: Any) -> Any:
    channel = call.viewer.channel(query.channel)
    if query.pts <= 0:
        raise bad_request("PERSISTENT_TIMESTAMP_EMPTY")
    events = call.world.messages.missed(channel.chat_id, query.pts)
    if events is None:
        return _too_long(call, channel)
    if not events:
        pts = call.world.messages.box(channel.chat_id).pts
        return types.updates.ChannelDifferenceEmpty(pts=pts, final=True)
    taken = events[: max(1, min(query.limit, EVENTS_A_CALL_MAX))]
    renderer = Renderer(call.viewer)
    messages, others = _replay(call, renderer, channel.chat_id, taken)
    users, _ = renderer.gathered(messages)
    return types.updates.ChannelDifference(
        pts=taken[-1].pts,
        new_messages=[renderer.message(message) for message in messages],
        other_updates=others,
        chats=[renderer.channel(channel)],
        users=users,
        final=len(taken) == len(events),
    )


def _replay(call: Call, renderer: Renderer, box_id: int, events: list[BoxEvent]) -> tuple[list[Message], list[Any]]:
    """The new messages that still exist, and the other changes."""
    messages: list[Message] = []
    others: list[Any] = []
    for event in events:
        if event.kind is EventKind.DELETE:
            others.append(renderer.change(Notice(box_id, event))[0])
            continue
        message = call.world.messages.get(box_id, event.message_ids[0])
        if message is None:  # deleted since: the deletion follows
            continue
        if event.kind is EventKind.NEW:
            messages.append(message)
        else:
            others.append(renderer.change(Notice(box_id, event))[0])
    return messages, others


def _too_long(call: Call, channel: Channel) -> Any:
    renderer = Renderer(call.viewer)
    latest = call.world.messages.in_channel(channel)[:1]
    users, chats = renderer.gathered(latest)
    dialog = channel_dialog(call, channel, latest)
    return types.updates.ChannelDifferenceTooLong(
        dialog=dialog,
        messages=[renderer.message(message) for message in latest],
        chats=chats or [renderer.channel(channel)],
        users=users,
        final=True,
    )


def channel_dialog(call: Call, channel: Channel, latest: list[Message]) -> Any:
    """A channel as an entry of the chat list."""
    return types.Dialog(
        peer=types.PeerChannel(channel.id),
        top_message=latest[0].post_id if latest else CREATION_POST_ID,
        read_inbox_max_id=0,
        read_outbox_max_id=0,
        unread_count=0,
        unread_mentions_count=0,
        unread_reactions_count=0,
        unread_poll_votes_count=0,
        notify_settings=types.PeerNotifySettings(),
        pts=call.world.messages.box(channel.chat_id).pts,
    )


def _state(call: Call, pts: int) -> Any:
    return types.updates.State(pts=pts, qts=0, date=moment(call.world.clock.now_ms() // 1000), seq=0, unread_count=0)
