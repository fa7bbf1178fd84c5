"""Below the methods: framings, repeated messages, hostile packets. A bare client speaks the protocol by hand."""

from __future__ import annotations

import asyncio
import gzip
import logging
import os
import struct
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import pytest
from telethon.crypto import AuthKey as TelethonKey
from telethon.extensions import BinaryReader
from telethon.network.connection import (
    ConnectionTcpAbridged,
    ConnectionTcpFull,
    ConnectionTcpIntermediate,
)
from telethon.network.mtprotostate import MTProtoState
from telethon.tl import TLObject, functions, types
from tests.core.emulator.conftest import Connect, new_client, until

from telecine.core.emulator.faults import Faults, Line, LostReply
from telecine.core.emulator.mtproto.server import MtprotoServer
from telecine.core.emulator.telegram.entities import AuthKey
from telecine.core.emulator.telegram.world import World

RPC_RESULT = 0xF35C6D01


@pytest.mark.parametrize("connection", [ConnectionTcpFull, ConnectionTcpAbridged, ConnectionTcpIntermediate])
async def test_every_framing_carries_small_and_large_packets(connect: Connect, connection: Any) -> None:
    client = await connect(connection=connection)
    content = os.urandom(700_000)
    message = await client.send_file("me", content, force_document=True)
    received = b"".join([chunk async for chunk in client.iter_download(message, request_size=512 * 1024)])
    assert received == content


async def test_repeated_request_is_answered_again_and_carried_out_once(peer: Peer, world: World) -> None:
    request = bytes(functions.messages.SendMessageRequest(types.InputPeerSelf(), "once", random_id=5))
    message_id = peer.next_id()
    peer.send(request, message_id)
    first = BinaryReader(await peer.result_of(message_id)).tgread_object()
    peer.send(request, message_id)
    assert BinaryReader(await peer.result_of(message_id)).tgread_object() == first
    assert len(world.messages.in_dialog(peer.user_id, peer.user_id)) == 1
    assert world.stats.events["repeated_request"] == 1


async def test_answer_waits_for_the_session_to_come_back(
    peer: Peer, server: MtprotoServer, faults: Faults, world: World
) -> None:
    faults.set_line("cm-ember", Line(latency_s=0.1))
    message_id = peer.next_id()
    peer.send(bytes(functions.users.GetUsersRequest([types.InputUserSelf()])), message_id)
    await until(world, lambda: world.stats.in_flight == 1)
    server.drop_connections()
    await until(world, lambda: world.stats.in_flight == 0)
    await peer.reconnect()
    peer.send(bytes(functions.PingRequest(1)))
    assert await peer.result_of(message_id)


async def test_lost_reply_can_be_asked_for_again(peer: Peer, faults: Faults, world: World) -> None:
    faults.plan(LostReply(method="messages.sendMessage"))
    request = bytes(functions.messages.SendMessageRequest(types.InputPeerSelf(), "once", random_id=5))
    message_id = peer.next_id()
    peer.send(request, message_id)
    await peer.closed()
    await peer.reconnect()
    peer.send(request, message_id)
    assert await peer.result_of(message_id)
    assert len(world.messages.in_dialog(peer.user_id, peer.user_id)) == 1


async def test_requests_in_containers_and_gzip_are_carried_out(peer: Peer) -> None:
    inner_id, outer_id = peer.next_id(), peer.next_id()
    packed = struct.pack("<I", 0x3072CFA1) + TLObject.serialize_bytes(
        gzip.compress(bytes(functions.help.GetNearestDcRequest()))
    )
    container = struct.pack("<Iiqii", 0x73F1F8DC, 1, inner_id, 1, len(packed)) + packed
    peer.send(container, outer_id)
    assert isinstance(BinaryReader(await peer.result_of(inner_id)).tgread_object(), types.NearestDc)


async def test_request_after_another_waits_for_it(peer: Peer, faults: Faults) -> None:
    first_id, second_id = peer.next_id(), peer.next_id()
    first = functions.messages.SendMessageRequest(types.InputPeerSelf(), "first", random_id=1)
    second = functions.messages.SendMessageRequest(types.InputPeerSelf(), "second", random_id=2)
    peer.send(bytes(first), first_id)
    peer.send(bytes(functions.InvokeAfterMsgRequest(first_id, second)), second_id)
    await peer.result_of(second_id)
    assert first_id in peer.results


async def test_service_messages_are_answered(peer: Peer) -> None:
    peer.send(bytes(functions.PingDelayDisconnectRequest(77, 60)))
    assert (await peer.service(types.Pong)).ping_id == 77
    peer.send(bytes(functions.GetFutureSaltsRequest(3)))
    assert (await peer.service(types.FutureSalts)).salts[0].salt == peer.state.salt
    peer.send(bytes(functions.DestroySessionRequest(123)))
    assert (await peer.service(types.DestroySessionNone)).session_id == 123
    peer.send(bytes(types.MsgsStateReq([4, 8])))
    assert (await peer.service(types.MsgsStateInfo)).info == "\x04\x04"


@pytest.mark.parametrize(
    ("shift_s", "bits", "code"), [(-4000, 0, 16), (4000, 0, 17), (0, 1, 18)], ids=["old", "early", "odd"]
)
async def test_bad_message_ids_are_named(peer: Peer, shift_s: int, bits: int, code: int) -> None:
    peer.send(bytes(functions.PingRequest(1)), peer.next_id() + (shift_s << 32) + bits)
    assert (await peer.service(types.BadMsgNotification)).error_code == code


async def test_unknown_request_is_refused_by_name(peer: Peer) -> None:
    message_id = peer.next_id()
    peer.send(struct.pack("<I", 0x12345678), message_id)
    refusal = BinaryReader(await peer.result_of(message_id)).tgread_object()
    assert refusal.error_message.startswith("INPUT_METHOD_INVALID")


async def test_unknown_key_is_told_to_forget_itself(peer: Peer, world: World) -> None:
    stranger = bytearray(peer.sealed(bytes(functions.PingRequest(1)), peer.next_id()))
    stranger[0] ^= 0xFF
    peer.write(bytes(stranger))
    assert await peer.packet() == struct.pack("<i", -404)


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xef\x7f\xff\xff\xff",
        b"\xee" * 4 + b"\x00" * 8,
        b"\xef\x05" + b"\x00" * 20,
        b"\xef\x01abcd",
    ],
    ids=["http", "huge", "empty", "plain nonsense", "short"],
)
async def test_garbage_is_cut_off_and_others_are_served(
    server: MtprotoServer, connect: Connect, garbage: bytes
) -> None:
    client = await connect()
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(garbage)
    async with asyncio.timeout(5):
        assert await _drained(reader) == b""
    writer.close()
    assert (await client.get_me()).phone == "15550001"


async def test_forged_message_is_cut_off(peer: Peer) -> None:
    forged = bytearray(peer.sealed(bytes(functions.PingRequest(1)), peer.next_id()))
    forged[-1] ^= 0xFF
    peer.write(bytes(forged))
    await peer.closed()


async def test_stop_leaves_no_request_behind(peer: Peer, server: MtprotoServer, faults: Faults, world: World) -> None:
    faults.set_line(None, Line(latency_s=60))
    faults.set_line("cm-ember", Line(latency_s=60))
    peer.send(bytes(functions.help.GetNearestDcRequest()))
    await until(world, lambda: world.stats.in_flight == 1)
    async with asyncio.timeout(5):
        await server.stop()
    assert world.stats.in_flight == 0


async def _drained(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


class Peer:
    """A client by hand, over the abridged framing, signed in as cm-ember."""

    def __init__(self, server: MtprotoServer, key: AuthKey, world: World) -> None:
        self.user_id = key.user_id or 0
        self.results: dict[int, bytes] = {}
        self.state = MTProtoState(TelethonKey(key.key), defaultdict(lambda: logging.getLogger("peer")))
        self.state.salt = world.salt
        self._server = server
        self._last_id = 0

    async def reconnect(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(self._server.host, self._server.port)
        self._writer.write(b"\xef")

    def close(self) -> None:
        self._writer.close()

    def next_id(self) -> int:
        self._last_id = max(self._last_id + 4, int(time.time()) << 32)
        return self._last_id

    def sealed(self, body: bytes, message_id: int) -> bytes:
        return bytes(self.state.encrypt_message_data(struct.pack("<qii", message_id, 1, len(body)) + body))

    def send(self, body: bytes, message_id: int | None = None) -> None:
        self.write(self.sealed(body, message_id or self.next_id()))

    def write(self, packet: bytes) -> None:
        self._writer.write(b"\x7f" + (len(packet) // 4).to_bytes(3, "little") + packet)

    async def packet(self) -> bytes:
        async with asyncio.timeout(5):
            words = (await self._reader.readexactly(1))[0]
            if words == 0x7F:
                words = int.from_bytes(await self._reader.readexactly(3), "little")
            return await self._reader.readexactly(words * 4)

    async def closed(self) -> None:
        """Read until the server has cut the connection."""
        try:
            while True:
                await self.packet()
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return

    async def result_of(self, message_id: int) -> bytes:
        """The raw result of a request, which is taken out of what has arrived."""
        while message_id not in self.results:
            await self._receive()
        return self.results.pop(message_id)

    async def service(self, kind: Any) -> Any:
        while True:
            received = await self._receive()
            if isinstance(received, kind):
                return received

    async def _receive(self) -> Any:
        message = self.state.decrypt_message_data(await self.packet())
        received = message.obj
        if getattr(received, "CONSTRUCTOR_ID", None) == RPC_RESULT:
            body = bytes(received.error) if received.error is not None else received.body
            self.results[received.req_msg_id] = body
        return received


@pytest.fixture
async def peer(server: MtprotoServer, world: World) -> AsyncIterator[Peer]:
    client = new_client(server)
    await client.connect()
    key = world.directory.auth_key(client.session.auth_key.key_id)
    assert key is not None
    world.directory.sign(key, world.directory.user_named("cm-ember").id)
    await client.disconnect()
    peer = Peer(server, key, world)
    await peer.reconnect()
    yield peer
    peer.close()
