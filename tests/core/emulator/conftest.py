"""A world of its own for every test, served over a real socket to unmodified Telethon clients."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from telethon import TelegramClient, utils
from telethon.crypto import AuthKey as TelethonAuthKey
from telethon.sessions import MemorySession
from telethon.tl import functions, types

from telecine.core.emulator.faults import Faults
from telecine.core.emulator.mtproto.server import MtprotoServer
from telecine.core.emulator.telegram.entities import AuthKey
from telecine.core.emulator.telegram.keys import ServerKey
from telecine.core.emulator.telegram.world import World

API_ID, API_HASH = 12345, "0123456789abcdef0123456789abcdef"
BOT_TOKEN = "7000001:AAEmulatorFilmBot"
Connect = Callable[..., Awaitable[Any]]


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def world() -> World:
    """Two workers, one of them with Premium, a viewer and a bot."""
    world = World.open()
    world.add_user("15550001", "cm-ember", premium=True)
    world.add_user("15550002", "cm-rora")
    world.add_user("15550009", "viewer", username="viewer")
    world.add_bot(BOT_TOKEN, "film_bot")
    return world


@pytest.fixture
async def server(world: World, faults: Faults, server_key: ServerKey) -> AsyncIterator[MtprotoServer]:
    server = MtprotoServer(world, faults, server_key)
    await server.start()
    yield server
    await server.stop()


def new_client(server: MtprotoServer, session: Any = None, **options: Any) -> Any:
    """A Telethon client for this server, not connected yet, that fails at once instead of retrying for long."""
    session = session or MemorySession()
    session.set_dc(2, server.host, server.port)
    options = {
        "request_retries": 0,
        "flood_sleep_threshold": 0,
        "retry_delay": 0,
        "raise_last_call_error": True,
    } | options
    return TelegramClient(session, API_ID, API_HASH, **options)


async def sign_in(client: Any, world: World, phone: str) -> None:
    """Sign a connected client in with the code from its phone."""
    await client.send_code_request(phone)
    await client.sign_in(phone, world.login_code(phone))


def signed_in_session(world: World, name: str) -> Any:
    """The session of a client that agreed on a key and signed in earlier: both are tested elsewhere and take long."""
    key = TelethonAuthKey(os.urandom(256))
    world.directory.keep_auth_key(AuthKey(key.key_id, key.key, world.directory.user_named(name).id))
    session = MemorySession()
    session.auth_key = key
    return session


@pytest.fixture
async def connect(server: MtprotoServer, world: World) -> AsyncIterator[Connect]:
    """Make signed-in clients: `await connect("cm-ember")`. They are disconnected after the test."""
    clients: list[Any] = []

    async def make(name: str = "cm-ember", **options: Any) -> Any:
        client = new_client(server, signed_in_session(world, name), **options)
        clients.append(client)
        await client.connect()
        return client

    yield make
    for client in clients:
        await client.disconnect()


@pytest.fixture
def fresh_folder(tmp_path: Path) -> Path:
    return tmp_path / "emulator"


async def new_channel(client: Any, title: str = "CM_C000001") -> Any:
    """A channel made by this client, as Telethon's entity."""
    answer = await client(functions.channels.CreateChannelRequest(title, "", broadcast=True))
    return answer.chats[0]


async def upload_parts(client: Any, content: bytes, *, file_id: int, part_bytes: int = 512 * 1024) -> Any:
    """Upload a big file, parts at once and the last one first, and return what a message refers to."""
    count = -(-len(content) // part_bytes)
    parts = [
        functions.upload.SaveBigFilePartRequest(
            file_id, index, count, content[index * part_bytes : (index + 1) * part_bytes]
        )
        for index in reversed(range(count))
    ]
    assert all(await asyncio.gather(*(client(part) for part in parts)))
    return types.InputFileBig(file_id, count, "film.mp4")


def video_of(file: Any, name: str = "film.mp4") -> Any:
    """An uploaded file as a streamable video."""
    return types.InputMediaUploadedDocument(
        file,
        "video/mp4",
        [
            types.DocumentAttributeVideo(12.5, 1920, 1080, supports_streaming=True),
            types.DocumentAttributeFilename(name),
        ],
    )


async def call(client: Any, request: Any) -> Any:
    """Make a request without the two seconds that Telethon pauses after an answer such as RANDOM_ID_DUPLICATE."""
    await request.resolve(client, utils)
    return await client._sender.send(request)


async def send(client: Any, peer: Any, media: Any, *, random_id: int, caption: str = "CM_M000001_1080P") -> Any:
    """Send media under a random id and return the new message."""
    request = functions.messages.SendMediaRequest(peer, media, caption, random_id=random_id)
    updates = await call(client, request)
    return next(u.message for u in updates.updates if hasattr(u, "message"))


async def until(world: World, condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Wait until something has become true of the world."""
    async with asyncio.timeout(timeout_s):
        await world.until(condition)
