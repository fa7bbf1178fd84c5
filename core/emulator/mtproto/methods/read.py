"""Reading `messages.*` and `channels.*`: history, search, single messages, the chat list."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from typing import Any

from telethon.tl import functions, types

from telecine.core.emulator.mtproto.methods.updates import channel_dialog
from telecine.core.emulator.mtproto.render import CREATION_POST_ID, Renderer
from telecine.core.emulator.mtproto.rpc import Call, MethodTable
from telecine.core.emulator.telegram.entities import Bot, Channel, MediaKind, Message, User
from telecine.core.emulator.telegram.refusals import bad_request

METHODS = MethodTable()
Target = Channel | User | Bot


@METHODS.answers(functions.messages.GetHistoryRequest)
def get_history(call: Call, query: Any) -> Any:
    target = call.viewer.target(query.peer)
    messages = _messages_of(call, target)
    dates_s = {_number(call, target, message): message.date_s for message in messages}
    if isinstance(target, Channel):
        dates_s[CREATION_POST_ID] = target.date_s
    ids = list(dates_s)
    start = _behind(ids, query.offset_id)
    before_s = _seconds(query.offset_date)
    if before_s and not query.offset_id:  # the number goes before the date
        start = next((i for i, number in enumerate(ids) if dates_s[number] < before_s), len(ids))
    return _answer(call, target, _page(call, ids, query, start), count=len(ids))


@METHODS.answers(functions.messages.SearchRequest)
def search(call: Call, query: Any) -> Any:
    """Words of a text or caption, narrowed to videos, documents or days where the client asks so."""
    target = call.viewer.target(query.peer)
    if isinstance(target, Channel):
        found = call.world.messages.search(target, query.q)
    else:
        words = query.q.casefold().split()
        found = [m for m in _messages_of(call, target) if _has(m, words)]
    after_s, before_s = _seconds(query.min_date), _seconds(query.max_date) or math.inf
    dated = [message for message in found if after_s < message.date_s < before_s]
    ids = [_number(call, target, message) for message in dated if _passes(call, message, query.filter)]
    return _answer(call, target, _page(call, ids, query, _behind(ids, query.offset_id)), count=len(ids))


@METHODS.answers(functions.channels.GetMessagesRequest)
def get_channel_messages(call: Call, query: Any) -> Any:
    channel = call.viewer.channel(query.channel)
    ids = [given.id for given in query.id if isinstance(given, types.InputMessageID)]
    return _answer(call, channel, ids, count=len(ids))


@METHODS.answers(functions.messages.GetMessagesRequest)
def get_messages(call: Call, query: Any) -> Any:
    ids = [given.id for given in query.id if isinstance(given, types.InputMessageID)]
    return _answer(call, call.user, ids, count=None)


@METHODS.answers(functions.messages.GetDialogsRequest)
def get_dialogs(call: Call, query: Any) -> Any:
    """Every channel the user is in and everybody they talked to, latest first."""
    entries = _entries(call)
    start = 0
    if not isinstance(query.offset_peer, types.InputPeerEmpty):
        offset_id = call.viewer.target(query.offset_peer).id
        start = next((i + 1 for i, (target, _) in enumerate(entries) if target.id == offset_id), len(entries))
    page = entries[start : start + max(1, min(query.limit, call.world.limits.history_limit_max))]
    dialogs, messages, chats, users = _rendered_dialogs(call, page)
    if start == 0 and len(page) == len(entries):
        return types.messages.Dialogs(dialogs, messages, chats, users)
    return types.messages.DialogsSlice(len(entries), dialogs, messages, chats, users)


@METHODS.answers(functions.messages.GetPeerDialogsRequest)
def get_peer_dialogs(call: Call, query: Any) -> Any:
    wanted = {call.viewer.target(given.peer).id for given in query.peers}
    entries = [entry for entry in _entries(call) if entry[0].id in wanted]
    dialogs, messages, chats, users = _rendered_dialogs(call, entries)
    state = types.updates.State(call.world.messages.box(call.user.id).pts, 0, None, 0, 0)
    return types.messages.PeerDialogs(dialogs, messages, chats, users, state)


@METHODS.answers(functions.messages.GetPinnedDialogsRequest)
def get_pinned_dialogs(call: Call, _query: Any) -> Any:
    state = types.updates.State(call.world.messages.box(call.user.id).pts, 0, None, 0, 0)
    return types.messages.PeerDialogs([], [], [], [], state)


@METHODS.answers(functions.messages.ReadHistoryRequest)
def read_history(call: Call, query: Any) -> Any:
    call.viewer.target(query.peer)
    return types.messages.AffectedMessages(call.world.messages.box(call.user.id).pts, 0)


@METHODS.answers(functions.messages.SetTypingRequest)
def set_typing(call: Call, query: Any) -> Any:
    return call.viewer.target(query.peer) is not None


@METHODS.answers(functions.messages.GetBotCallbackAnswerRequest)
async def get_bot_callback_answer(call: Call, query: Any) -> Any:
    """Press a button and wait for what the bot says to it."""
    target = call.viewer.target(query.peer)
    message = call.world.messages.get(call.viewer.box_id(target), query.msg_id)
    if message is None:
        raise bad_request("MESSAGE_ID_INVALID")
    answer = await call.world.presses.press(call.user.id, message, query.data or b"")
    return types.messages.BotCallbackAnswer(
        cache_time=answer.cache_time_s,
        alert=answer.alert,
        has_url=answer.url is not None,
        message=answer.text,
        url=answer.url,
    )


def _messages_of(call: Call, target: Target) -> list[Message]:
    if isinstance(target, Channel):
        return call.world.messages.in_channel(target)
    return call.world.messages.in_dialog(call.user.id, target.id)


def _number(call: Call, target: Target, message: Message) -> int:
    return message.post_id if isinstance(target, Channel) else message.ids[call.user.id]


def _has(message: Message, words: Sequence[str]) -> bool:
    text = message.content.text.casefold()
    return all(word in text for word in words)


def _seconds(moment: dt.datetime | None) -> float:
    """A date of a request; 0 for none, which comes as the beginning of 1970."""
    return moment.timestamp() if moment else 0.0


def _passes(call: Call, message: Message, wanted: Any) -> bool:
    if isinstance(wanted, types.InputMessagesFilterEmpty):
        return True
    document = call.world.documents.find(message.content.document_id or 0)
    if document is None:
        return False
    if isinstance(wanted, (types.InputMessagesFilterVideo, types.InputMessagesFilterPhotoVideo)):
        return document.kind is MediaKind.VIDEO
    if isinstance(wanted, types.InputMessagesFilterDocument):
        return document.kind is MediaKind.DOCUMENT
    return False


def _behind(ids: list[int], offset_id: int) -> int:
    """The index of the first message older than `offset_id`; 0 stands for none."""
    return next((i for i, number in enumerate(ids) if number < offset_id), len(ids)) if offset_id else 0


def _page(call: Call, ids: list[int], query: Any, start: int) -> list[int]:
    """core.telegram.org/api/offsets: begin at `start`, shift by `add_offset`, take `limit`."""
    start += query.add_offset
    stop = start + min(query.limit, call.world.limits.history_limit_max)
    page = ids[max(0, start) : max(0, stop)]
    if query.max_id:
        page = [number for number in page if number < query.max_id]
    return [number for number in page if number > query.min_id]


def _answer(call: Call, target: Target, ids: Sequence[int], *, count: int | None) -> Any:
    """Messages by number, `MessageEmpty` for those that are not there."""
    renderer = Renderer(call.viewer)
    box_id = call.viewer.box_id(target)
    found = {number: call.world.messages.get(box_id, number) for number in ids}
    rendered = []
    for number in ids:
        message = found[number]
        if message is not None:
            rendered.append(renderer.message(message))
        elif isinstance(target, Channel) and number == CREATION_POST_ID:
            rendered.append(renderer.creation_note(target))
        else:
            rendered.append(types.MessageEmpty(number, None))
    users, chats = renderer.gathered(message for message in found.values() if message is not None)
    if isinstance(target, Channel):
        chats = chats or [renderer.channel(target)]
        pts = call.world.messages.box(box_id).pts
        return types.messages.ChannelMessages(
            pts=pts, count=count or 0, messages=rendered, topics=[], chats=chats, users=users
        )
    if count is None or count == len(ids):
        return types.messages.Messages(messages=rendered, topics=[], chats=chats, users=users)
    return types.messages.MessagesSlice(count=count, messages=rendered, topics=[], chats=chats, users=users)


def _entries(call: Call) -> list[tuple[Target, list[Message]]]:
    """Chats with their latest message, if any."""
    messages = call.world.messages
    entries: list[tuple[Target, list[Message]]] = [
        (channel, messages.in_channel(channel)[:1]) for channel in call.world.channels.of(call.user.id)
    ]
    for partner_id in messages.partners(call.user.id):
        partner = call.world.directory.peer(partner_id)
        if partner is not None:
            entries.append((partner, messages.in_dialog(call.user.id, partner_id)[:1]))
    return sorted(entries, key=_latest_date_s, reverse=True)


def _latest_date_s(entry: tuple[Target, list[Message]]) -> int:
    target, latest = entry
    if latest:
        return latest[0].date_s
    return target.date_s if isinstance(target, Channel) else 0


def _rendered_dialogs(
    call: Call, entries: list[tuple[Target, list[Message]]]
) -> tuple[list[Any], list[Any], list[Any], list[Any]]:
    renderer = Renderer(call.viewer)
    dialogs, messages, chats, users = [], [], [], []
    for target, latest in entries:
        if isinstance(target, Channel):
            dialogs.append(channel_dialog(call, target, latest))
            chats.append(renderer.channel(target))
            messages += [renderer.message(m) for m in latest] or [renderer.creation_note(target)]
        else:
            dialogs.append(_private_dialog(call, target, latest))
            users.append(renderer.person(target))
            messages += [renderer.message(m) for m in latest]
    return dialogs, messages, chats, users


def _private_dialog(call: Call, partner: User | Bot, latest: list[Message]) -> Any:
    return types.Dialog(
        peer=types.PeerUser(partner.id),
        top_message=latest[0].ids[call.user.id] if latest else 0,
        read_inbox_max_id=0,
        read_outbox_max_id=0,
        unread_count=0,
        unread_mentions_count=0,
        unread_reactions_count=0,
        unread_poll_votes_count=0,
        notify_settings=types.PeerNotifySettings(),
    )
