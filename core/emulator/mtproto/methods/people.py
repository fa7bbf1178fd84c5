"""`users.*` and `contacts.*`: who somebody is and how to find them."""

from __future__ import annotations

from typing import Any

from telethon.tl import functions, types

from telecine.core.emulator.mtproto.render import Renderer
from telecine.core.emulator.mtproto.rpc import Call, MethodTable
from telecine.core.emulator.telegram.entities import Bot, User
from telecine.core.emulator.telegram.refusals import RefusalError, bad_request

METHODS = MethodTable()


@METHODS.answers(functions.users.GetUsersRequest)
def get_users(call: Call, query: Any) -> Any:
    return [_person_or_empty(call, given) for given in query.id]


@METHODS.answers(functions.users.GetFullUserRequest)
def get_full_user(call: Call, query: Any) -> Any:
    person = call.viewer.person(query.id)
    full = types.UserFull(
        id=person.id,
        settings=types.PeerSettings(),
        notify_settings=types.PeerNotifySettings(),
        common_chats_count=0,
        bot_info=_bot_info(person) if isinstance(person, Bot) else None,
    )
    return types.users.UserFull(full_user=full, chats=[], users=[Renderer(call.viewer).person(person)])


@METHODS.answers(functions.contacts.ResolveUsernameRequest)
def resolve_username(call: Call, query: Any) -> Any:
    person = call.world.directory.by_username(query.username)
    if person is not None:
        return _resolved(call, person)
    channel = call.world.channels.by_username(query.username)
    if channel is None:
        raise bad_request("USERNAME_NOT_OCCUPIED")
    peer = types.PeerChannel(channel.id)
    return types.contacts.ResolvedPeer(peer=peer, chats=[Renderer(call.viewer).channel(channel)], users=[])


@METHODS.answers(functions.contacts.ResolvePhoneRequest)
def resolve_phone(call: Call, query: Any) -> Any:
    person = call.world.directory.user_by_phone(query.phone)
    if person is None:
        raise bad_request("PHONE_NOT_OCCUPIED")
    return _resolved(call, person)


@METHODS.answers(functions.contacts.ImportContactsRequest)
def import_contacts(call: Call, query: Any) -> Any:
    """How a client learns the access hash of somebody whose phone number it knows."""
    found = [(c.client_id, call.world.directory.user_by_phone(c.phone)) for c in query.contacts]
    known = [(client_id, user) for client_id, user in found if user is not None]
    renderer = Renderer(call.viewer)
    return types.contacts.ImportedContacts(
        imported=[types.ImportedContact(user.id, client_id) for client_id, user in known],
        popular_invites=[],
        retry_contacts=[],
        users=[renderer.person(user) for _, user in known],
    )


@METHODS.answers(functions.contacts.GetContactsRequest)
def get_contacts(call: Call, _query: Any) -> Any:
    """Nobody has an address book here."""
    call.viewer  # noqa: B018  refuses those who are not signed in
    return types.contacts.Contacts(contacts=[], saved_count=0, users=[])


def _resolved(call: Call, person: User | Bot) -> Any:
    rendered = Renderer(call.viewer).person(person)
    return types.contacts.ResolvedPeer(peer=types.PeerUser(person.id), chats=[], users=[rendered])


def _person_or_empty(call: Call, given: Any) -> Any:
    viewer = call.viewer
    try:
        return Renderer(viewer).person(viewer.person(given))
    except RefusalError:
        return types.UserEmpty(getattr(given, "user_id", 0))


def _bot_info(bot: Bot) -> Any:
    commands = [types.BotCommand(command, description) for command, description in bot.commands]
    return types.BotInfo(user_id=bot.id, commands=commands or None)
