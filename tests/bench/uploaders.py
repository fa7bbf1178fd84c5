"""Clients that upload a file, each as a process of its own that watches itself: `python -m tests.bench.uploaders`.

Reads an `Errand` from standard input and writes what it cost to standard output. The peers are used as their users use
them; nothing of theirs is changed but the address of Telegram and its key.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import importlib
import multiprocessing
import os
import random
import resource
import struct
import sys
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

import cryptg
import msgspec
import uvloop
from telethon import TelegramClient, helpers
from telethon.network import MTProtoSender
from telethon.sessions import SQLiteSession
from telethon.tl import functions
from telethon.tl.alltlobjects import LAYER

from telecine.core.clock import SystemClock
from telecine.core.config import TelegramSettings, WorkerSettings
from telecine.core.plans import PART_BYTES
from telecine.core.worker.parts import Block
from telecine.core.worker.telegram.account import Account, open_account, trust
from telecine.core.worker.telegram.engine import Engine
from telecine.core.worker.telegram.senders import Lines

FAST_SENDERS = 20  # what FastTelethon opens for a file of 100 MB and more
MESSAGE_BYTES = 64  # salt, session, message head, head of the request and padding


class Kind(StrEnum):
    OURS = "telecine"
    TELETHON = "Telethon upload_file"
    FAST = "FastTelethon pattern"
    KURIGRAM = "Kurigram save_file"
    LIMIT_ALONE = "limit, alone"
    LIMIT = "limit, both ends"


class Errand(msgspec.Struct, frozen=True):
    """Upload `file`, all of it. `session` is that of a signed-in account."""

    kind: Kind
    file: Path
    telegram: TelegramSettings
    session: Path


class Cost(msgspec.Struct, frozen=True):
    """Of one file. `cpu_s`: of the client's process, all threads. `memory_bytes`: its peak."""

    size_bytes: int
    seconds: float
    cpu_s: float
    memory_bytes: int
    parts_allowed: int = 0
    connections: int = 0


class _Watch:
    """Measures what is done between its making and `cost`."""

    def __init__(self) -> None:
        self._began_s, self._began_cpu_s = time.perf_counter(), time.process_time()

    def cost(self, size_bytes: int, **more: int) -> Cost:
        seconds, cpu_s = time.perf_counter() - self._began_s, time.process_time() - self._began_cpu_s
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return Cost(size_bytes, seconds, cpu_s, peak, **more)


# ---- ours ----------------------------------------------------------------------------------------


async def ours(errand: Errand) -> Cost:
    """With what a worker has by default."""
    defaults = {field.name: field.default for field in msgspec.structs.fields(WorkerSettings)}
    in_place_s = float(defaults["flood_wait_in_place_s"])
    async with open_account(errand.telegram, errand.session, flood_wait_in_place_s=in_place_s) as account:
        clock = SystemClock()
        lines = Lines(account, count=int(defaults["connections"]), clock=clock)
        engine = Engine(
            lines,
            clock=clock,
            new_file_id=lambda: random.getrandbits(63),
            parts_in_flight=int(defaults["parts_in_flight"]),
            flood_wait_in_place_s=in_place_s,
        )
        with errand.file.open("rb", buffering=0) as file:
            watch = _Watch()
            size = os.fstat(file.fileno()).st_size
            await engine.upload(_blocks(file), size_bytes=size, name=errand.file.name)
            cost = watch.cost(size, parts_allowed=engine.parts_allowed, connections=lines.width)
        await lines.close()
        return cost


async def _blocks(file: Any) -> AsyncIterator[Block]:
    index = 0
    while data := file.read(PART_BYTES):
        yield Block(index, data)
        index += 1


# ---- Telethon ------------------------------------------------------------------------------------


async def telethon_upload_file(errand: Errand) -> Cost:
    async with _telethon(errand) as client:
        watch = _Watch()
        await client.upload_file(str(errand.file), part_size_kb=PART_BYTES // 1024)
        return watch.cost(errand.file.stat().st_size)


async def fast_telethon(errand: Errand) -> Cost:
    """The pattern that goes round as FastTelethon: a sender with a connection of its own for each of up to 20 parts
    at a time; each takes the next part when its last one is answered."""
    size = errand.file.stat().st_size
    parts, file_id = -(-size // PART_BYTES), helpers.generate_random_long()
    async with _telethon(errand) as client:
        with errand.file.open("rb") as file:
            watch = _Watch()
            senders = await asyncio.gather(*(_new_sender(client) for _ in range(min(FAST_SENDERS, parts))))
            indexes = iter(range(parts))
            await asyncio.gather(*(_send_parts(sender, file, file_id, parts, indexes) for sender in senders))
            cost = watch.cost(size)
        await asyncio.gather(*(sender.disconnect() for sender in senders))
        return cost


async def _send_parts(sender: Any, file: BinaryIO, file_id: int, parts: int, indexes: Any) -> None:
    for index in indexes:
        data = file.read(PART_BYTES)  # in the order of the indexes: nothing waits between the two
        await sender.send(functions.upload.SaveBigFilePartRequest(file_id, index, parts, data))


async def _new_sender(client: Any) -> Any:
    session, log = client.session, client._log
    sender = MTProtoSender(session.auth_key, loggers=log)
    await sender.connect(client._connection(session.server_address, session.port, session.dc_id, loggers=log))
    client._init_request.query = functions.help.GetConfigRequest()
    await sender.send(functions.InvokeWithLayerRequest(LAYER, client._init_request))
    return sender


@asynccontextmanager
async def _telethon(errand: Errand) -> AsyncIterator[Any]:
    """A Telethon client with its own defaults."""
    trust(errand.telegram)
    client = TelegramClient(SQLiteSession(str(errand.session)), errand.telegram.api_id, errand.telegram.api_hash)
    await client.connect()
    try:
        await client.get_me()
        yield client
    finally:
        await client.disconnect()


# ---- Kurigram ------------------------------------------------------------------------------------


async def kurigram_save_file(errand: Errand) -> Cost:
    pyrogram = importlib.import_module("pyrogram")  # of the extra `bench`

    async with open_account(errand.telegram, errand.session, flood_wait_in_place_s=10) as account:
        host, port, dc = account.address
        client: Any = pyrogram.Client(
            "bench",
            api_id=errand.telegram.api_id,
            api_hash=errand.telegram.api_hash,
            in_memory=True,
            session_string=_session_string(errand, account, dc),
            no_updates=True,
        )
    opened = client.storage.open

    async def open_elsewhere() -> None:
        await opened()
        await client.storage.server_address(host)
        await client.storage.port(port)

    client.storage.open = open_elsewhere
    await client.connect()
    watch = _Watch()
    await client.save_file(str(errand.file))
    cost = watch.cost(errand.file.stat().st_size)
    await client.disconnect()
    return cost


def _session_string(errand: Errand, account: Account, dc: int) -> str:
    key: bytes = account.auth_key.key
    packed = struct.pack(">BI?256sQ?", dc, errand.telegram.api_id, False, key, account.user_id, False)
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


# ---- the limit -----------------------------------------------------------------------------------


async def limit_alone(errand: Errand) -> Cost:
    """What no client on one core can be faster than: AES-IGE, one SHA-256 and one CRC-32 of each message."""
    key, iv, padding = os.urandom(32), os.urandom(32), os.urandom(MESSAGE_BYTES)
    content = errand.file.read_bytes()
    messages = [content[at : at + PART_BYTES] + padding for at in range(0, len(content) - PART_BYTES + 1, PART_BYTES)]
    watch = _Watch()
    for message in messages:
        hashlib.sha256(message).digest()
        zlib.crc32(cryptg.encrypt_ige(message, key, iv))
    return watch.cost(len(messages) * PART_BYTES)


async def limit(errand: Errand) -> Cost:
    """The same, while another core does as much for the other end: two busy cores are slower than one."""
    other = multiprocessing.get_context("fork").Process(target=_other_end, daemon=True)
    other.start()
    try:
        return await limit_alone(errand)
    finally:
        other.kill()
        other.join()


def _other_end() -> None:
    key, iv, message = os.urandom(32), os.urandom(32), os.urandom(PART_BYTES + MESSAGE_BYTES)
    while True:
        hashlib.sha256(message).digest()
        zlib.crc32(cryptg.decrypt_ige(message, key, iv))


CLIENTS: dict[Kind, Callable[[Errand], Awaitable[Cost]]] = {
    Kind.OURS: ours,
    Kind.TELETHON: telethon_upload_file,
    Kind.FAST: fast_telethon,
    Kind.KURIGRAM: kurigram_save_file,
    Kind.LIMIT_ALONE: limit_alone,
    Kind.LIMIT: limit,
}


async def _run(errand: Errand) -> Cost:
    return await CLIENTS[errand.kind](errand)


if __name__ == "__main__":
    given = msgspec.json.decode(sys.stdin.buffer.read(), type=Errand, dec_hook=lambda kind, value: kind(value))
    # uvloop for all: `telecine work` runs on it, and it is the faster one for the others, too.
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_run(given))))
