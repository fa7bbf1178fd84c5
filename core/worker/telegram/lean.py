"""Telethon's connection, made lean for upload parts.

Telethon builds a part up in eight copies, tries gzip on each, and checks a CRC that TCP has checked already. Video does
not shrink, and gzip alone costs six times what the encryption does. Here a part is copied once, into the message that
is hashed and encrypted, and what comes out goes to the socket. Everything else (salts, clocks that are off,
acknowledgements, answers) is Telethon's own.
"""

from __future__ import annotations

import asyncio
import collections
import hashlib
import logging
import os
import struct
from typing import Any

import cryptg
from telethon.network import ConnectionTcpIntermediate, MTProtoSender
from telethon.network.mtprotostate import MTProtoState
from telethon.tl import TLRequest, functions
from telethon.tl.core.messagecontainer import MessageContainer
from telethon.tl.core.tlmessage import TLMessage
from telethon.tl.types import MsgsAck

CONNECT_TIMEOUT_S = 15.0
CONNECT_RETRIES = 3
ACKS_MAX = 16  # acknowledgements that wait for a part to go with
_PART_HEAD = struct.Struct("<IqiiI")  # constructor, file id, index, total, 254 and the length
_MESSAGE_HEAD = struct.Struct("<qii")  # message id, sequence number, length
_LONG_BYTES = 254  # how TL begins a byte string of 254 bytes or more; shorter ones are left to Telethon


class Loggers(dict[str, logging.Logger]):
    """Telethon asks for its loggers by the name of the module."""

    def __missing__(self, name: str) -> logging.Logger:
        return logging.getLogger(name)


class PartSender(MTProtoSender):  # type: ignore[misc]  # Telethon is untyped
    """One connection under a key that is agreed upon already. A connection that breaks stays broken, and what waits on
    it fails at once: whoever uses it knows best where to send that instead. `salt` is the server's as known so far.
    """

    def __init__(self, auth_key: Any, *, salt: int) -> None:
        loggers = Loggers()
        super().__init__(
            auth_key,
            loggers=loggers,
            retries=CONNECT_RETRIES,
            auto_reconnect=False,
            connect_timeout=CONNECT_TIMEOUT_S,
            updates_queue=_Void(),
        )
        self._state = _State(self.auth_key, loggers)
        self._state.salt = salt
        self._send_queue = _Packer(self._state)

    @classmethod
    async def open(cls, address: tuple[str, int, int], auth_key: Any, *, salt: int) -> PartSender:
        """Connect. Raises OSError."""
        host, port, number = address
        sender = cls(auth_key, salt=salt)
        try:
            await sender.connect(_Connection(host, port, number, loggers=Loggers()))
        except BaseException:
            await sender.disconnect()
            raise
        return sender

    @property
    def salt(self) -> int:
        return int(self._state.salt)

    def send(self, request: Any, ordered: bool = False) -> Any:
        """Queue a request; its future."""
        lean = isinstance(request, functions.upload.SaveBigFilePartRequest) and len(request.bytes) >= _LONG_BYTES
        if not lean or not self.is_connected():
            return super().send(request, ordered)
        state = _PartState(request)
        self._send_queue.append(state)
        return state.future

    async def _reconnect(self, last_error: Exception | None) -> None:
        """What Telethon does when a connection breaks."""
        await self._disconnect(last_error or ConnectionError("the connection broke"))
        self._reconnecting = False

    async def _disconnect(self, error: Exception | None = None) -> None:
        await super()._disconnect(error)
        if self._disconnected.done() and not self._disconnected.cancelled():
            self._disconnected.exception()  # nobody but the requests is to hear of it
        for state in self._send_queue.drain():
            if not isinstance(state.request, TLRequest):
                state.future.cancel()  # an acknowledgement: nobody waits for it
            elif not state.future.done():
                state.future.set_exception(error or ConnectionError("the connection was closed"))


class _PartState:
    """What Telethon keeps of a request until its answer is there, without the request as bytes of its own."""

    __slots__ = ("after", "container_id", "data", "future", "msg_id", "request")

    def __init__(self, request: Any) -> None:
        self.request = request
        self.data = request.bytes
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.after: Any = None
        self.container_id: int | None = None
        self.msg_id: int | None = None

    @property
    def pieces(self) -> tuple[bytes, ...]:
        """The request as TL, in pieces of which one is the part itself."""
        request, length = self.request, len(self.data)
        head = _PART_HEAD.pack(
            request.CONSTRUCTOR_ID,
            request.file_id,
            request.file_part,
            request.file_total_parts,
            _LONG_BYTES | length << 8,
        )
        return head, self.data, bytes(-length % 4)


class _Packer:
    """Puts as many queued requests into one packet as fit: one part, and what is small beside it."""

    def __init__(self, state: _State) -> None:
        self._state = state
        self._queue: collections.deque[Any] = collections.deque()
        self._ready = asyncio.Event()

    def append(self, state: Any) -> None:
        self._queue.append(state)
        if not isinstance(state.request, MsgsAck) or len(self._queue) >= ACKS_MAX:  # else it goes with the next part
            self._ready.set()

    def extend(self, states: Any) -> None:
        self._queue.extend(states)
        self._ready.set()

    def drain(self) -> list[Any]:
        """Take out what has not been sent."""
        waiting = list(self._queue)
        self._queue.clear()
        self._ready.clear()
        return waiting

    async def get(self) -> tuple[list[Any] | None, list[bytes] | None]:
        """The requests of the next packet, and its message in pieces."""
        await self._ready.wait()
        batch: list[Any] = []
        pieces: list[bytes] = []
        size = 0
        while self._queue and len(batch) < MessageContainer.MAXIMUM_LENGTH:
            size += len(self._queue[0].data) + TLMessage.SIZE_OVERHEAD
            if batch and size > MessageContainer.MAXIMUM_SIZE:
                break
            state = self._queue.popleft()
            batch.append(state)
            pieces += self._message(state)
        if not self._queue:
            self._ready.clear()
        if len(batch) > 1:
            pieces[:0] = self._container(batch, pieces)
        return (batch, pieces) if batch else (None, None)

    def _message(self, state: Any) -> list[bytes]:
        body = state.pieces if isinstance(state, _PartState) else (state.data,)
        state.msg_id = self._state.new_message_id()
        sequence = self._state.next_sequence(content=isinstance(state.request, TLRequest))
        return [_MESSAGE_HEAD.pack(state.msg_id, sequence, sum(map(len, body))), *body]

    def _container(self, batch: list[Any], pieces: list[bytes]) -> list[bytes]:
        container_id = self._state.new_message_id()
        for state in batch:
            state.container_id = container_id
        length = 8 + sum(map(len, pieces))
        head = _MESSAGE_HEAD.pack(container_id, self._state.next_sequence(content=False), length)
        return [head, struct.pack("<Ii", MessageContainer.CONSTRUCTOR_ID, len(batch))]


class _State(MTProtoState):  # type: ignore[misc]  # Telethon is untyped
    """Numbers messages as Telethon does, and seals them with one copy."""

    def new_message_id(self) -> int:
        return int(self._get_new_msg_id())

    def next_sequence(self, *, content: bool) -> int:
        return int(self._get_seq_no(content))

    def encrypt_message_data(self, pieces: list[bytes]) -> tuple[bytes, bytes]:
        """A sealed packet: key id and message key, and what is encrypted (MTProto 2.0)."""
        key = self.auth_key.key
        length = 16 + sum(map(len, pieces))
        plain = b"".join((struct.pack("<qq", self.salt, self.id), *pieces, os.urandom(-(length + 12) % 16 + 12)))
        digest = hashlib.sha256(key[88:120])
        digest.update(plain)
        message_key = digest.digest()[8:24]
        aes_key, aes_iv = self._calc_key(key, message_key, True)
        return struct.pack("<Q", self.auth_key.key_id) + message_key, cryptg.encrypt_ige(plain, aes_key, aes_iv)


class _Connection(ConnectionTcpIntermediate):  # type: ignore[misc]  # Telethon is untyped
    """Frames a packet without putting its pieces together."""

    def _send(self, packet: tuple[bytes, bytes]) -> None:
        head, body = packet
        self._writer.write(struct.pack("<i", len(head) + len(body)) + head)
        self._writer.write(body)


class _Void:
    """Where updates go that Telegram pushes on a connection that is there for parts."""

    def put_nowait(self, update: object) -> None:
        """Drop it."""
