"""The world as TL objects, for one viewer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from telethon.tl import types

from telecine.core.emulator.mtproto.markup import render_entity, render_markup
from telecine.core.emulator.mtproto.peers import Viewer, file_reference
from telecine.core.emulator.mtproto.wire import moment
from telecine.core.emulator.telegram.entities import (
    AdminRights,
    Bot,
    Channel,
    Document,
    EventKind,
    Forward,
    Message,
    User,
    channel_id_of,
)
from telecine.core.emulator.telegram.feeds import Notice
from telecine.core.emulator.telegram.world import World

HOME_DC = 2  # where Telethon looks first
THUMB_TYPE = "m"
CREATION_POST_ID = 1  # the note that opens every channel


class Renderer:
    """What one user's clients are shown."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._world = viewer.world
        self._user_id = viewer.user.id

    @classmethod
    def of(cls, world: World, user_id: int) -> Renderer:
        return cls(Viewer(world, world.directory.user(user_id)))

    # -- who

    def person(self, person: User | Bot) -> Any:
        if isinstance(person, Bot):
            return types.User(
                id=person.id,
                bot=True,
                bot_info_version=1,
                access_hash=self._viewer.hash_of(person),
                first_name=person.first_name,
                username=person.username,
            )
        is_self = person.id == self._user_id
        return types.User(
            id=person.id,
            is_self=is_self,
            access_hash=self._viewer.hash_of(person),
            first_name=person.first_name,
            last_name=person.last_name or None,
            username=person.username,
            phone=person.phone if is_self else None,
            premium=person.premium,
            status=types.UserStatusEmpty(),
        )

    def channel(self, channel: Channel) -> Any:
        channels = self._world.channels
        status = channels.status(channel, self._user_id)
        rights = channels.rights(channel, self._user_id)
        return types.Channel(
            id=channel.id,
            title=channel.title,
            photo=types.ChatPhotoEmpty(),
            date=moment(channel.date_s),
            creator=status == "creator",
            left=status == "left",
            broadcast=True,
            noforwards=channel.no_forwards,
            access_hash=self._viewer.hash_of(channel),
            username=channel.username,
            admin_rights=admin_rights(rights) if rights.any else None,
            participants_count=len(channel.members),
        )

    # -- what

    def document(self, document: Document) -> Any:
        attributes: list[Any] = []
        if document.video is not None:
            attributes.append(
                types.DocumentAttributeVideo(
                    duration=document.video.duration_s,
                    w=document.video.width_px,
                    h=document.video.height_px,
                    supports_streaming=document.video.supports_streaming,
                )
            )
        attributes.append(types.DocumentAttributeFilename(document.file_name))
        return types.Document(
            id=document.id,
            access_hash=self._viewer.hash_of(document),
            file_reference=file_reference(self._user_id, document),
            date=moment(document.date_s),
            mime_type=document.mime_type,
            size=document.size_bytes,
            dc_id=HOME_DC,
            attributes=attributes,
            thumbs=_thumbs(document),
        )

    def media(self, document_id: int | None) -> Any:
        document = None if document_id is None else self._world.documents.find(document_id)
        if document is None:
            return None
        return types.MessageMediaDocument(
            document=self.document(document), video=True if document.video is not None else None
        )

    def message(self, message: Message) -> Any:
        """A message as it stands in the box through which the viewer sees it."""
        content = message.content
        common: dict[str, Any] = {
            "date": moment(message.date_s),
            "message": content.text,
            "media": self.media(content.document_id),
            "entities": [render_entity(entity) for entity in content.entities] or None,
            "reply_markup": render_markup(content.markup),
            "edit_date": None if message.edit_date_s is None else moment(message.edit_date_s),
            "grouped_id": message.grouped_id,
            "noforwards": content.protected,
            "fwd_from": None if message.forward is None else self._forward(message.forward),
            "reply_to": self._reply(message),
        }
        if message.channel_id is not None:
            peer = types.PeerChannel(message.channel_id)
            return types.Message(id=message.post_id, peer_id=peer, post=True, views=1, forwards=0, **common)
        return types.Message(
            id=message.ids[self._user_id],
            peer_id=types.PeerUser(message.other_party(self._user_id)),
            from_id=types.PeerUser(message.sender_id),
            out=message.sender_id == self._user_id,
            **common,
        )

    def creation_note(self, channel: Channel) -> Any:
        """Message 1 of a channel."""
        return types.MessageService(
            id=CREATION_POST_ID,
            peer_id=types.PeerChannel(channel.id),
            date=moment(channel.date_s),
            post=True,
            action=types.MessageActionChannelCreate(channel.title),
        )

    def gathered(self, messages: Iterable[Message]) -> tuple[list[Any], list[Any]]:
        """The users and the chats that these messages speak of."""
        people: dict[int, User | Bot] = {self._user_id: self._viewer.user}
        chats: dict[int, Channel] = {}
        for message in messages:
            origin = message.forward or _NOWHERE
            for channel_id in (message.channel_id, origin.channel_id):
                if channel_id is not None:
                    self._add_channel(chats, channel_id)
            authors = (message.sender_id, message.recipient_id) if message.channel_id is None else ()
            for person_id in (*authors, origin.sender_id):
                person = None if person_id is None else self._world.directory.peer(person_id)
                if person is not None:
                    people[person.id] = person
        return [self.person(p) for p in people.values()], [self.channel(c) for c in chats.values()]

    # -- pushes

    def updates(self, updates: list[Any], messages: Iterable[Message] = (), channels: Iterable[Channel] = ()) -> Any:
        """Updates with all entities they mention. `seq` 0: their own pts orders them."""
        users, chats = self.gathered(messages)
        known = {chat.id for chat in chats}
        chats += [self.channel(channel) for channel in channels if channel.id not in known]
        now_s = self._world.clock.now_ms() // 1000
        return types.Updates(updates=updates, users=users, chats=chats, date=moment(now_s), seq=0)

    def push(self, notice: Notice) -> Any:
        """A change of a box as the updates that a session is sent."""
        update, messages = self.change(notice)
        channel_id = channel_id_of(notice.box_id)
        channel = None if channel_id is None else self._world.channels.find(channel_id)
        return self.updates([update], messages, [channel] if channel is not None else [])

    def change(self, notice: Notice) -> tuple[Any, list[Message]]:
        """One update and the messages in it."""
        event, channel_id = notice.event, channel_id_of(notice.box_id)
        if event.kind is EventKind.DELETE:
            ids = list(event.message_ids)
            if channel_id is None:
                return types.UpdateDeleteMessages(ids, event.pts, event.pts_count), []
            return types.UpdateDeleteChannelMessages(channel_id, ids, event.pts, event.pts_count), []
        message = self._world.messages.get(notice.box_id, event.message_ids[0])
        if message is None:
            raise LookupError(f"message {event.message_ids[0]} is gone from box {notice.box_id}")
        kind = _UPDATES[event.kind, channel_id is None]
        return kind(self.message(message), event.pts, event.pts_count), [message]

    # -- pieces

    def _add_channel(self, chats: dict[int, Channel], channel_id: int) -> None:
        channel = self._world.channels.find(channel_id)
        if channel is not None:
            chats[channel.id] = channel

    def _forward(self, forward: Forward) -> Any:
        if forward.channel_id is not None:
            origin: Any = types.PeerChannel(forward.channel_id)
        else:
            origin = None if forward.sender_id is None else types.PeerUser(forward.sender_id)
        return types.MessageFwdHeader(date=moment(forward.date_s), from_id=origin, channel_post=forward.message_id)

    def _reply(self, message: Message) -> Any:
        if message.reply_to_key is None:
            return None
        original = self._world.messages.by_key(message.reply_to_key)
        if original is None:
            return None
        box_id = self._user_id if message.channel_id is None else next(iter(message.ids))
        replied_id = original.ids.get(box_id)
        return None if replied_id is None else types.MessageReplyHeader(reply_to_msg_id=replied_id)


_NOWHERE = Forward(0)
_UPDATES: dict[tuple[EventKind, bool], Any] = {
    (EventKind.NEW, True): types.UpdateNewMessage,
    (EventKind.NEW, False): types.UpdateNewChannelMessage,
    (EventKind.EDIT, True): types.UpdateEditMessage,
    (EventKind.EDIT, False): types.UpdateEditChannelMessage,
}


def admin_rights(rights: AdminRights) -> Any:
    return types.ChatAdminRights(
        change_info=rights.change_info,
        post_messages=rights.post_messages,
        edit_messages=rights.edit_messages,
        delete_messages=rights.delete_messages,
        invite_users=rights.invite_users,
        add_admins=rights.add_admins,
        other=rights.other,
    )


def read_admin_rights(given: Any) -> AdminRights:
    return AdminRights(
        change_info=bool(given.change_info),
        post_messages=bool(given.post_messages),
        edit_messages=bool(given.edit_messages),
        delete_messages=bool(given.delete_messages),
        invite_users=bool(given.invite_users),
        add_admins=bool(given.add_admins),
        other=bool(given.other),
    )


def _thumbs(document: Document) -> list[Any] | None:
    if document.thumb_blob is None:
        return None
    width, height = document.thumb_width_px, document.thumb_height_px
    return [types.PhotoSize(THUMB_TYPE, width, height, document.thumb_size_bytes)]
