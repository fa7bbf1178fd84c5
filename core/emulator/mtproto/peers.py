"""The world through the eyes of one user: which ids and access hashes lead where.

Access hashes differ from viewer to viewer, as Telegram's do. A client that hands the hash it got on one account to
another account is refused here, as it would be there.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Any

from telethon.tl import types

from telecine.core.emulator.telegram.entities import Bot, Channel, Document, User
from telecine.core.emulator.telegram.refusals import bad_request
from telecine.core.emulator.telegram.world import World

_CHANNEL_INPUTS = (types.InputPeerChannel, types.InputChannel)
_USER_INPUTS = (types.InputPeerUser, types.InputUser)
_SELF_INPUTS = (types.InputPeerSelf, types.InputUserSelf)


def seen_hash(viewer_id: int, access_hash: int) -> int:
    """The access hash under which a viewer knows something."""
    digest = hashlib.blake2b(struct.pack("<qq", viewer_id, access_hash), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def file_reference(viewer_id: int, document: Document) -> bytes:
    """What proves that a viewer has seen a file in some message."""
    return hashlib.blake2b(struct.pack("<qq", viewer_id, document.id), digest_size=12).digest()


class Viewer:
    """Resolves what a user's client sends. Everything it cannot see is refused with Telegram's names."""

    def __init__(self, world: World, user: User) -> None:
        self.world = world
        self.user = user

    def hash_of(self, entity: User | Bot | Channel | Document) -> int:
        return seen_hash(self.user.id, entity.access_hash)

    def channel(self, peer: Any) -> Channel:
        """CHANNEL_INVALID without the right hash, CHANNEL_PRIVATE for one that the user is not in."""
        if not isinstance(peer, _CHANNEL_INPUTS):
            raise bad_request("CHANNEL_INVALID")
        channel = self.world.channels.find(peer.channel_id)
        if channel is None or peer.access_hash != self.hash_of(channel):
            raise bad_request("CHANNEL_INVALID")
        self.world.channels.check_seen(channel, self.user.id)
        return channel

    def person(self, peer: Any) -> User | Bot:
        """A user or a bot; PEER_ID_INVALID without the right hash."""
        if isinstance(peer, _SELF_INPUTS):
            return self.user
        if not isinstance(peer, _USER_INPUTS):
            raise bad_request("PEER_ID_INVALID")
        person = self.world.directory.peer(peer.user_id)
        if person is not None and person.id == self.user.id:
            return person
        if person is None or peer.access_hash != self.hash_of(person):
            raise bad_request("PEER_ID_INVALID")
        return person

    def target(self, peer: Any) -> Channel | User | Bot:
        """Whom or what a request is about."""
        return self.channel(peer) if isinstance(peer, _CHANNEL_INPUTS) else self.person(peer)

    def box_id(self, target: Channel | User | Bot) -> int:
        """The box in which the user finds messages of a chat: the channel's, or their own."""
        return target.chat_id if isinstance(target, Channel) else self.user.id

    def document(self, given: Any) -> Document:
        """A stored file by InputDocument or a file location; FILE_ID_INVALID, FILE_REFERENCE_EXPIRED."""
        document = self.world.documents.find(getattr(given, "id", 0))
        if document is None or given.access_hash != self.hash_of(document):
            raise bad_request("FILE_ID_INVALID")
        if given.file_reference != file_reference(self.user.id, document):
            raise bad_request("FILE_REFERENCE_EXPIRED")
        return document
