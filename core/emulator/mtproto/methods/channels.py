"""`channels.*`: making channels, and who is in them."""

from __future__ import annotations

from typing import Any

from telethon.tl import functions, types

from telecine.core.emulator.mtproto.render import Renderer, admin_rights, read_admin_rights
from telecine.core.emulator.mtproto.rpc import Call, MethodTable
from telecine.core.emulator.mtproto.wire import moment
from telecine.core.emulator.telegram.entities import Channel
from telecine.core.emulator.telegram.refusals import bad_request

METHODS = MethodTable()
INVITE_PREFIX = "https://t.me/+"


@METHODS.answers(functions.channels.CreateChannelRequest)
def create_channel(call: Call, query: Any) -> Any:
    if query.megagroup or query.forum:
        raise bad_request("CHANNELS_ADMIN_PUBLIC_TOO_MUCH")  # groups are not part of this Telegram
    return _about(call, call.world.channels.create(call.user.id, query.title, query.about))


@METHODS.answers(functions.channels.GetChannelsRequest)
def get_channels(call: Call, query: Any) -> Any:
    viewer = call.viewer
    renderer = Renderer(viewer)
    return types.messages.Chats([renderer.channel(viewer.channel(given)) for given in query.id])


@METHODS.answers(functions.channels.GetFullChannelRequest)
def get_full_channel(call: Call, query: Any) -> Any:
    channel = call.viewer.channel(query.channel)
    full = types.ChannelFull(
        id=channel.id,
        about=channel.about,
        read_inbox_max_id=0,
        read_outbox_max_id=0,
        unread_count=0,
        chat_photo=types.PhotoEmpty(0),
        notify_settings=types.PeerNotifySettings(),
        bot_info=[],
        pts=call.world.messages.box(channel.chat_id).pts,
        participants_count=len(channel.members),
        admins_count=len(channel.admins) + 1,
    )
    return types.messages.ChatFull(full_chat=full, chats=[Renderer(call.viewer).channel(channel)], users=[])


@METHODS.answers(functions.channels.EditTitleRequest)
def edit_title(call: Call, query: Any) -> Any:
    channel = call.viewer.channel(query.channel)
    call.world.channels.retitle(channel, call.user.id, query.title)
    return _about(call, channel)


@METHODS.answers(functions.channels.DeleteChannelRequest)
def delete_channel(call: Call, query: Any) -> Any:
    channel = call.viewer.channel(query.channel)
    call.world.channels.delete(channel, call.user.id)
    return Renderer(call.viewer).updates([types.UpdateChannel(channel.id)])


@METHODS.answers(functions.channels.InviteToChannelRequest)
def invite_to_channel(call: Call, query: Any) -> Any:
    viewer = call.viewer
    channel = viewer.channel(query.channel)
    for given in query.users:
        call.world.channels.invite(channel, call.user.id, viewer.person(given).id)
    return types.messages.InvitedUsers(updates=_about(call, channel), missing_invitees=[])


@METHODS.answers(functions.channels.EditAdminRequest)
def edit_admin(call: Call, query: Any) -> Any:
    viewer = call.viewer
    channel = viewer.channel(query.channel)
    rights = read_admin_rights(query.admin_rights)
    call.world.channels.set_admin(channel, call.user.id, viewer.person(query.user_id).id, rights)
    return _about(call, channel)


@METHODS.answers(functions.channels.EditBannedRequest)
def edit_banned(call: Call, query: Any) -> Any:
    """Only sending somebody away is known; a ban is not remembered."""
    viewer = call.viewer
    channel = viewer.channel(query.channel)
    if query.banned_rights.view_messages:
        call.world.channels.remove(channel, call.user.id, viewer.person(query.participant).id)
    return _about(call, channel)


@METHODS.answers(functions.channels.LeaveChannelRequest)
def leave_channel(call: Call, query: Any) -> Any:
    channel = call.viewer.channel(query.channel)
    call.world.channels.remove(channel, call.user.id, call.user.id)
    return _about(call, channel)


@METHODS.answers(functions.channels.GetParticipantRequest)
def get_participant(call: Call, query: Any) -> Any:
    viewer = call.viewer
    channel = viewer.channel(query.channel)
    person = viewer.person(query.participant)
    if person.id not in channel.members:
        raise bad_request("USER_NOT_PARTICIPANT")
    return types.channels.ChannelParticipant(
        participant=_participant(call, channel, person.id), chats=[], users=[Renderer(viewer).person(person)]
    )


@METHODS.answers(functions.channels.GetParticipantsRequest)
def get_participants(call: Call, query: Any) -> Any:
    viewer = call.viewer
    channel = viewer.channel(query.channel)
    call.world.channels.check_may(channel, call.user.id, "post_messages")
    found = [call.world.directory.peer(member_id) for member_id in sorted(channel.members)]
    people = [person for person in found if person is not None and _matches(channel, person.id, query.filter)]
    page = people[query.offset : query.offset + query.limit]
    renderer = Renderer(viewer)
    return types.channels.ChannelParticipants(
        count=len(people),
        participants=[_participant(call, channel, person.id) for person in page],
        chats=[],
        users=[renderer.person(person) for person in page],
    )


@METHODS.answers(functions.channels.ReadHistoryRequest)
def read_history(call: Call, query: Any) -> Any:
    return call.viewer.channel(query.channel) is not None


@METHODS.answers(functions.messages.ExportChatInviteRequest)
def export_chat_invite(call: Call, query: Any) -> Any:
    channel = call.viewer.channel(query.peer)
    invite = call.world.channels.invite_hash(channel, call.user.id)
    return types.ChatInviteExported(
        link=INVITE_PREFIX + invite, admin_id=call.user.id, date=moment(channel.date_s), permanent=True
    )


@METHODS.answers(functions.messages.CheckChatInviteRequest)
def check_chat_invite(call: Call, query: Any) -> Any:
    channel = call.world.channels.by_invite(query.hash)
    if call.user.id in channel.members:
        return types.ChatInviteAlready(Renderer(call.viewer).channel(channel))
    return types.ChatInvite(
        title=channel.title,
        photo=types.PhotoEmpty(0),
        participants_count=len(channel.members),
        color=0,
        channel=True,
        broadcast=True,
    )


@METHODS.answers(functions.messages.ImportChatInviteRequest)
def import_chat_invite(call: Call, query: Any) -> Any:
    channel = call.world.channels.by_invite(query.hash)
    call.world.channels.join(channel, call.user.id)
    return _about(call, channel)


def _about(call: Call, channel: Channel) -> Any:
    return Renderer(call.viewer).updates([types.UpdateChannel(channel.id)], channels=[channel])


def _participant(call: Call, channel: Channel, member_id: int) -> Any:
    date = moment(channel.date_s)
    rights = call.world.channels.rights(channel, member_id)
    if member_id == channel.creator_id:
        return types.ChannelParticipantCreator(member_id, admin_rights(rights))
    if rights.any:
        return types.ChannelParticipantAdmin(
            user_id=member_id,
            promoted_by=channel.creator_id,
            date=date,
            admin_rights=admin_rights(rights),
            can_edit=call.user.id == channel.creator_id,
        )
    if member_id == call.user.id:
        return types.ChannelParticipantSelf(member_id, channel.creator_id, date)
    return types.ChannelParticipant(member_id, date)


def _matches(channel: Channel, member_id: int, wanted: Any) -> bool:
    if isinstance(wanted, types.ChannelParticipantsAdmins):
        return member_id == channel.creator_id or member_id in channel.admins
    return True
