"""Writing `messages.*`: text, media, albums, forwards, edits, deletions."""

from __future__ import annotations

from typing import Any

import msgspec
from telethon.tl import functions, types

from telecine.core.emulator.mtproto.markup import read_entities
from telecine.core.emulator.mtproto.media import take_media, take_stored
from telecine.core.emulator.mtproto.methods.scheduled import convert
from telecine.core.emulator.mtproto.render import Renderer
from telecine.core.emulator.mtproto.rpc import Call, MethodTable
from telecine.core.emulator.telegram.entities import Bot, Channel, Content, Forward, MediaKind, Message, User
from telecine.core.emulator.telegram.feeds import Notice
from telecine.core.emulator.telegram.messages import Posted, Sending
from telecine.core.emulator.telegram.refusals import bad_request, forbidden

METHODS = MethodTable()
Target = Channel | User | Bot


@METHODS.answers(functions.messages.SendMessageRequest)
def send_message(call: Call, query: Any) -> Any:
    target = call.viewer.target(query.peer)
    content = Content(query.message, read_entities(query.entities))
    return _sent(call, target, [_put(call, target, content, query)], [query.random_id])


@METHODS.answers(functions.messages.StartBotRequest)
def start_bot(call: Call, query: Any) -> Any:
    bot = call.viewer.person(query.bot)
    text = f"/start {query.start_param}".rstrip()
    posted = call.world.messages.send(call.user.id, bot.id, Content(text), _sending(call, query.random_id))
    return _sent(call, bot, [posted], [query.random_id])


@METHODS.answers(functions.messages.SendMediaRequest)
def send_media(call: Call, query: Any) -> Any:
    """Everything that can be refused is refused before the parts are used up."""
    target = call.viewer.target(query.peer)
    _check(call, target, query.message, query.random_id)
    document = take_media(call, query.media)
    content = Content(query.message, read_entities(query.entities), document.id)
    if isinstance(target, Channel) and document.kind is MediaKind.VIDEO:
        seconds = call.faults.take_conversion_s(call.account)
        if seconds is not None:
            return convert(call, target, content, query.random_id, seconds)
    return _sent(call, target, [_put(call, target, content, query)], [query.random_id])


@METHODS.answers(functions.messages.UploadMediaRequest)
def upload_media(call: Call, query: Any) -> Any:
    """Store a file without sending it, for an album to come."""
    call.viewer.target(query.peer)
    return Renderer(call.viewer).media(take_media(call, query.media).id)


@METHODS.answers(functions.messages.SendMultiMediaRequest)
def send_multi_media(call: Call, query: Any) -> Any:
    """An album: all of it or nothing."""
    target = call.viewer.target(query.peer)
    if not query.multi_media:
        raise bad_request("MEDIA_EMPTY")
    if len(query.multi_media) > call.world.limits.album_count_max:
        raise bad_request("MULTI_MEDIA_TOO_LONG")
    for single in query.multi_media:
        _check(call, target, single.message, single.random_id)
    documents = [take_stored(call, single.media) for single in query.multi_media]
    if len({document.kind for document in documents}) > 1 and MediaKind.DOCUMENT in {d.kind for d in documents}:
        raise bad_request("MEDIA_GROUPED_INVALID")
    grouped_id = call.world.rng.getrandbits(62) | 1
    posted = []
    for single, document in zip(query.multi_media, documents, strict=True):
        content = Content(single.message, read_entities(single.entities), document.id)
        sending = _sending(call, single.random_id, grouped_id=grouped_id, reply_to_key=_reply_key(call, target, query))
        posted.append(_send(call, target, content, sending))
    return _sent(call, target, posted, [single.random_id for single in query.multi_media])


@METHODS.answers(functions.messages.ForwardMessagesRequest)
def forward_messages(call: Call, query: Any) -> Any:
    source, target = call.viewer.target(query.from_peer), call.viewer.target(query.to_peer)
    if isinstance(source, Channel) and source.no_forwards:
        raise bad_request("CHAT_FORWARDS_RESTRICTED")
    if len(query.id) != len(query.random_id):
        raise bad_request("RANDOM_ID_INVALID")
    box_id = call.viewer.box_id(source)
    found = [
        (call.world.messages.get(box_id, number), rid) for number, rid in zip(query.id, query.random_id, strict=True)
    ]
    known = [(message, random_id) for message, random_id in found if message is not None]
    if not known:
        raise bad_request("MESSAGE_ID_INVALID")
    groups: dict[int, int] = {}
    posted = []
    for message, random_id in known:
        grouped_id = message.grouped_id
        if grouped_id is not None:
            grouped_id = groups.setdefault(grouped_id, call.world.rng.getrandbits(62) | 1)
        forward = None if query.drop_author else origin_of(message)
        sending = _sending(call, random_id, grouped_id=grouped_id, forward=forward)
        posted.append(_send(call, target, msgspec.structs.replace(message.content, markup=None), sending))
    return _sent(call, target, posted, [random_id for _, random_id in known])


@METHODS.answers(functions.messages.EditMessageRequest)
def edit_message(call: Call, query: Any) -> Any:
    target = call.viewer.target(query.peer)
    box_id = call.viewer.box_id(target)
    message = call.world.messages.get(box_id, query.id)
    if message is None:
        raise bad_request("MESSAGE_ID_INVALID")
    content = message.content
    if query.message is not None:
        content = msgspec.structs.replace(content, text=query.message, entities=read_entities(query.entities))
    if query.media is not None:
        content = msgspec.structs.replace(content, document_id=take_media(call, query.media).id)
    posted = call.world.messages.edit(message, call.user.id, content, call.session.listener)
    renderer = Renderer(call.viewer)
    update, messages = renderer.change(Notice(box_id, posted.event))
    return renderer.updates([update], messages)


@METHODS.answers(functions.messages.DeleteMessagesRequest)
def delete_messages(call: Call, query: Any) -> Any:
    return _delete(call, call.user.id, query.id)


@METHODS.answers(functions.channels.DeleteMessagesRequest)
def delete_channel_messages(call: Call, query: Any) -> Any:
    return _delete(call, call.viewer.channel(query.channel).chat_id, query.id)


@METHODS.answers(functions.messages.DeleteHistoryRequest)
def delete_history(call: Call, query: Any) -> Any:
    partner = call.viewer.person(query.peer)
    messages = call.world.messages.in_dialog(call.user.id, partner.id)
    event = call.world.messages.delete(call.user.id, call.user.id, [m.ids[call.user.id] for m in messages])
    pts = call.world.messages.box(call.user.id).pts
    return types.messages.AffectedHistory(pts, event.pts_count if event is not None else 0, 0)


def origin_of(message: Message) -> Forward:
    """Where a forward of this message says it is from: the first author, however often it was passed on."""
    if message.forward is not None:
        return message.forward
    if message.channel_id is not None:
        return Forward(message.date_s, channel_id=message.channel_id, message_id=message.post_id)
    return Forward(message.date_s, sender_id=message.sender_id)


def _delete(call: Call, box_id: int, ids: list[int]) -> Any:
    event = call.world.messages.delete(call.user.id, box_id, ids, call.session.listener)
    if event is None:
        return types.messages.AffectedMessages(call.world.messages.box(box_id).pts, 0)
    return types.messages.AffectedMessages(event.pts, event.pts_count)


def _check(call: Call, target: Target, caption: str, random_id: int) -> None:
    user = call.user
    if not random_id:
        raise bad_request("RANDOM_ID_EMPTY")
    call.world.messages.check_random_id(user.id, random_id)
    call.world.limits.check_caption(caption, user.premium)
    if isinstance(target, Channel):
        call.world.channels.check_may_post(target, user.id)


def _put(call: Call, target: Target, content: Content, query: Any) -> Posted:
    if not query.random_id:
        raise bad_request("RANDOM_ID_EMPTY")
    if query.schedule_date is not None:
        raise forbidden("SCHEDULE_BOT_NOT_ALLOWED")  # scheduled messages are not part of this Telegram
    return _send(call, target, content, _sending(call, query.random_id, reply_to_key=_reply_key(call, target, query)))


def _send(call: Call, target: Target, content: Content, sending: Sending) -> Posted:
    if isinstance(target, Channel):
        return call.world.messages.post(target, call.user.id, content, sending)
    return call.world.messages.send(call.user.id, target.id, content, sending)


def _sending(
    call: Call,
    random_id: int,
    *,
    grouped_id: int | None = None,
    forward: Forward | None = None,
    reply_to_key: int | None = None,
) -> Sending:
    return Sending(random_id, grouped_id, forward, reply_to_key, call.session.listener)


def _reply_key(call: Call, target: Target, query: Any) -> int | None:
    if not isinstance(query.reply_to, types.InputReplyToMessage):
        return None
    original = call.world.messages.get(call.viewer.box_id(target), query.reply_to.reply_to_msg_id)
    if original is None:
        raise bad_request("REPLY_MESSAGE_ID_INVALID")
    return original.key


def _sent(call: Call, target: Target, posted: list[Posted], random_ids: list[int]) -> Any:
    """The updates that tell a client which of its messages became which."""
    renderer = Renderer(call.viewer)
    box_id = call.viewer.box_id(target)
    updates: list[Any] = [
        types.UpdateMessageID(one.message.ids[box_id], random_id)
        for one, random_id in zip(posted, random_ids, strict=True)
    ]
    updates += [renderer.change(Notice(box_id, one.event))[0] for one in posted]
    return renderer.updates(updates, [one.message for one in posted])
