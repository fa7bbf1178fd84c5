"""One TCP connection: packets in, messages told apart, requests handed on."""

from __future__ import annotations

import asyncio
import logging
import struct
import zlib
from typing import Protocol

from telethon.tl import types

from telecine.core.clock import Clock
from telecine.core.emulator.mtproto.crypto import SealBrokenError, seal, unseal
from telecine.core.emulator.mtproto.handshake import HandshakeError, KeyExchange
from telecine.core.emulator.mtproto.service import SERVICE, ServiceContext
from telecine.core.emulator.mtproto.session import Session, Sessions
from telecine.core.emulator.mtproto.stream import Stream
from telecine.core.emulator.mtproto.transport import PACKET_BYTES_MAX, Framing, FramingError, accept
from telecine.core.emulator.mtproto.wire import (
    GZIP_PACKED,
    MSG_CONTAINER,
    MSGS_ACK,
    UnknownConstructorError,
    constructor_of,
    read_bytes,
    read_object,
)
from telecine.core.emulator.telegram.entities import AuthKey
from telecine.core.emulator.telegram.keys import ServerKey
from telecine.core.emulator.telegram.world import World

logger = logging.getLogger(__name__)

_KEY_UNKNOWN = struct.pack("<i", -404)  # the transport error that makes a client drop its key
_BREACHES = (FramingError, HandshakeError, SealBrokenError, UnknownConstructorError)
_BAD_ID_TOO_LOW, _BAD_ID_TOO_HIGH, _BAD_ID_BITS = 16, 17, 18
_BAD_SALT = 48
_ID_AGE_S_MAX, _ID_AHEAD_S_MAX = 300, 30


class Requests(Protocol):
    """Where requests go once they are told apart from service messages."""

    def accept(self, session: Session, message_id: int, body: memoryview) -> None: ...


class Connection:
    """Serves one peer until it leaves or misbehaves. At most one session at a time leads over it."""

    def __init__(
        self,
        world: World,
        server_key: ServerKey,
        sessions: Sessions,
        requests: Requests,
        stream: Stream,
    ) -> None:
        self._world = world
        self._clock: Clock = world.clock
        self._server_key = server_key
        self._sessions = sessions
        self._requests = requests
        self._stream = stream
        self._framing: Framing | None = None
        self._exchange: KeyExchange | None = None
        self._session: Session | None = None
        self.key: AuthKey | None = None

    async def serve(self) -> None:
        """Read until the end of the stream. A peer that breaks the protocol is cut off."""
        try:
            self._framing = await accept(self._stream)
            while True:
                self._packet(*await self._framing.read(self._stream))
                await self._stream.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the peer left
        except (*_BREACHES, struct.error) as error:
            logger.info("connection cut off: %s", error)
        finally:
            self.drop()

    def drop(self) -> None:
        """Cut the connection at once; what is being carried out goes on."""
        if self._session is not None:
            self._session.detach(self)
        self._stream.abort()

    def send_message(self, key: AuthKey, session_id: int, message: bytes) -> bool:
        if self._framing is None or self._stream.is_closing:
            return False
        plain = struct.pack("<qq", self._world.salt, session_id) + message
        sealed = struct.pack("<Q", key.id) + seal(key.key, plain)
        self._stream.write(self._framing.frame(sealed))
        return True

    # -- packets

    def _packet(self, head: bytes, body: bytes) -> None:
        if len(head) + len(body) < 20:
            raise FramingError("a packet too short for a message")
        key_id = int.from_bytes(head[:8], "little")
        if key_id == 0:
            self._handshake(head + body)
            return
        if self.key is None or self.key.id != key_id:
            self.key = self._world.directory.auth_key(key_id)
        if self.key is None:
            self._write(_KEY_UNKNOWN)
            return
        self._sealed(self.key, unseal(self.key.key, head[8:], body))

    def _handshake(self, packet: bytes) -> None:
        if self._exchange is None or self._exchange.finished is not None:
            self._exchange = KeyExchange(self._server_key, self._clock)
        answer = bytes(self._exchange.answer(read_object(packet[20:])))
        if self._exchange.finished is not None:
            self._world.directory.keep_auth_key(self._exchange.finished)
        now_ms = self._clock.now_ms()
        message_id = (now_ms // 1000 << 32) | ((now_ms % 1000 << 32) // 1000 & ~3) | 1
        self._write(struct.pack("<qqi", 0, message_id, len(answer)) + answer)

    def _sealed(self, key: AuthKey, plain: bytes) -> None:
        salt, session_id, message_id, sequence, length = struct.unpack_from("<qqqii", plain)
        if not 0 <= length <= len(plain) - 32:
            raise SealBrokenError("message length is out of range")
        session, is_new = self._sessions.find(key, session_id)
        if self._session is not session or session.wire is not self:
            self._lead(session)
        if salt != self._world.salt:
            self._world.stats.events["bad_server_salt"] += 1
            notice = types.BadServerSalt(message_id, sequence, _BAD_SALT, self._world.salt)
            session.send(bytes(notice), response=True, content=False, keep=False)
            return
        if self._refused_id(session, message_id, sequence):
            return
        if is_new:
            session.greet(message_id, self._world.salt)
        self._message(session, message_id, memoryview(plain)[32 : 32 + length])

    def _lead(self, session: Session) -> None:
        if self._session is not None and self._session is not session:
            self._session.detach(self)
        self._session = session
        session.attach(self)

    def _refused_id(self, session: Session, message_id: int, sequence: int) -> bool:
        ahead_s = (message_id >> 32) - self._clock.now_ms() // 1000
        if message_id % 4:
            code = _BAD_ID_BITS
        elif ahead_s > _ID_AHEAD_S_MAX:
            code = _BAD_ID_TOO_HIGH
        elif ahead_s < -_ID_AGE_S_MAX:
            code = _BAD_ID_TOO_LOW
        else:
            return False
        notice = types.BadMsgNotification(message_id, sequence, code)
        session.send(bytes(notice), response=True, content=False, keep=False)
        return True

    # -- messages

    def _message(self, session: Session, message_id: int, body: memoryview) -> None:
        constructor = constructor_of(body)
        if constructor == MSG_CONTAINER:
            self._container(session, body)
        elif constructor == GZIP_PACKED:
            self._world.stats.events["gzip_packed"] += 1
            self._message(session, message_id, memoryview(_unpacked(bytes(body))))
        elif constructor == MSGS_ACK:
            return
        elif constructor in SERVICE:
            context = ServiceContext(self._world, self._sessions, session, message_id)
            SERVICE[constructor](context, read_object(bytes(body)))
        elif session.admit(message_id):
            self._requests.accept(session, message_id, body)
        else:
            self._world.stats.events["repeated_request"] += 1

    def _container(self, session: Session, body: memoryview) -> None:
        (count,) = struct.unpack_from("<i", body, 4)
        offset = 8
        for _ in range(count):
            if offset + 16 > len(body):
                raise UnknownConstructorError("container is cut off")
            message_id, _, length = struct.unpack_from("<qii", body, offset)
            self._message(session, message_id, body[offset + 16 : offset + 16 + length])
            offset += 16 + length

    def _write(self, packet: bytes) -> None:
        if self._framing is not None:
            self._stream.write(self._framing.frame(packet))


def _unpacked(body: bytes) -> bytes:
    """The content of `gzip_packed`, no larger than a packet may be."""
    packed = read_bytes(body, 4)
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        content = unpacker.decompress(packed, PACKET_BYTES_MAX)
    except zlib.error as error:
        raise UnknownConstructorError("gzip_packed is damaged") from error
    if unpacker.unconsumed_tail:
        raise FramingError("gzip_packed holds more than a packet may")
    return content
