"""Files that go in through Telethon come out byte for byte, and Telegram's rules for parts hold."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections import defaultdict
from typing import Any

import msgspec
import pytest
from telethon import errors
from telethon.network import ConnectionTcpFull, MTProtoSender
from telethon.tl import functions, types
from tests.core.emulator.conftest import (
    Connect,
    new_channel,
    new_client,
    send,
    sign_in,
    upload_parts,
    video_of,
)

from telecine.core.emulator.faults import Faults, Line, MissingPart
from telecine.core.emulator.mtproto.server import MtprotoServer
from telecine.core.emulator.telegram.keys import ServerKey
from telecine.core.emulator.telegram.limits import TelegramLimits
from telecine.core.emulator.telegram.world import World

KIB = 1024
PART_BYTES = 512 * KIB
SaveBigPart = functions.upload.SaveBigFilePartRequest


def some_bytes(count: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(count)


async def test_small_file_sent_by_telethon_downloads_identical(connect: Connect) -> None:
    client = await connect()
    content = some_bytes(300_001)
    message = await client.send_file(await new_channel(client), content, caption="CM_M000001", force_document=True)
    assert await client.download_media(message, bytes) == content
    assert message.file.size == len(content)


async def test_file_over_ten_megabytes_sent_by_telethon_downloads_identical(connect: Connect, world: World) -> None:
    client = await connect()
    content = some_bytes(10 * KIB * KIB + 77)
    message = await client.send_file(await new_channel(client), content, force_document=True)
    assert world.stats.requests["upload.saveBigFilePart"] > 1
    digest = hashlib.sha256()
    async for chunk in client.iter_download(message.media, request_size=1024 * KIB):
        digest.update(chunk)
    assert digest.digest() == hashlib.sha256(content).digest()


@pytest.mark.parametrize("part_bytes", [PART_BYTES, 64 * KIB, KIB])
async def test_parts_may_come_all_at_once_in_any_order(connect: Connect, part_bytes: int) -> None:
    client = await connect()
    content = some_bytes(part_bytes * 5 + 321)
    file = await upload_parts(client, content, file_id=7, part_bytes=part_bytes)
    message = await send(client, await new_channel(client), video_of(file), random_id=11)
    assert await client.download_media(message, bytes) == content


async def test_parts_may_come_over_several_connections_of_one_key(
    connect: Connect, server: MtprotoServer, world: World
) -> None:
    client = await connect()
    content = some_bytes(PART_BYTES * 8 + 5)
    parts = [content[i : i + PART_BYTES] for i in range(0, len(content), PART_BYTES)]
    senders = [await _further_sender(client, server) for _ in range(4)]
    await asyncio.gather(*(senders[i % 4].send(SaveBigPart(7, i, len(parts), part)) for i, part in enumerate(parts)))
    for sender in senders:
        await sender.disconnect()
    file = types.InputFileBig(7, len(parts), "x.mp4")
    message = await send(client, await new_channel(client), video_of(file), random_id=1)
    assert await client.download_media(message, bytes) == content
    assert world.stats.events["connections"] == 5
    assert world.stats.part_bytes == len(content)
    assert world.stats.part_duplicates == 0


async def test_stored_video_keeps_what_its_sender_declared(connect: Connect) -> None:
    client = await connect()
    file = await upload_parts(client, some_bytes(5000), file_id=7)
    name = "a" * 70 + ".mp4"
    message = await send(client, await new_channel(client), video_of(file, name), random_id=11)
    assert (message.file.width, message.file.height, message.file.duration) == (1920, 1080, 12.5)
    assert message.video is not None
    assert message.file.name == "a" * 56 + ".mp4"


async def test_stream_of_unknown_length_tells_its_total_with_the_last_part(connect: Connect) -> None:
    client = await connect()
    content = some_bytes(PART_BYTES * 2 + 10)
    parts = [content[i : i + PART_BYTES] for i in range(0, len(content), PART_BYTES)]
    for index, part in enumerate(parts):
        total = len(parts) if index == len(parts) - 1 else -1
        assert await client(SaveBigPart(9, index, total, part))
    message = await send(client, await new_channel(client), video_of(types.InputFileBig(9, 3, "x.mp4")), random_id=1)
    assert await client.download_media(message, bytes) == content


@pytest.mark.parametrize("declared_total", [2, 3])
async def test_stream_that_ends_on_a_boundary_is_closed_by_an_empty_part(connect: Connect, declared_total: int) -> None:
    client = await connect()
    content = some_bytes(PART_BYTES * 2)
    await client(SaveBigPart(9, 0, -1, content[:PART_BYTES]))
    await client(SaveBigPart(9, 1, -1, content[PART_BYTES:]))
    await client(SaveBigPart(9, 2, declared_total, b""))
    file = types.InputFileBig(9, declared_total, "x.mp4")
    message = await send(client, await new_channel(client), video_of(file), random_id=1)
    assert await client.download_media(message, bytes) == content


async def test_stream_whose_total_was_never_told_is_refused(connect: Connect) -> None:
    client = await connect()
    await client(SaveBigPart(9, 0, -1, some_bytes(PART_BYTES)))
    with pytest.raises(errors.FilePartsInvalidError):
        await send(client, "me", video_of(types.InputFileBig(9, 1, "x.mp4")), random_id=1)


async def test_missing_part_is_named_and_the_rest_is_kept(connect: Connect, faults: Faults) -> None:
    client = await connect()
    channel = await new_channel(client)
    content = some_bytes(PART_BYTES * 3)
    file = await upload_parts(client, content, file_id=7)
    faults.plan(MissingPart(account="cm-ember", part=1))
    with pytest.raises(errors.FilePartMissingError) as refused:
        await send(client, channel, video_of(file), random_id=11)
    assert refused.value.which == 1
    await client(SaveBigPart(7, 1, 3, content[PART_BYTES : 2 * PART_BYTES]))
    message = await send(client, channel, video_of(file), random_id=11)
    assert await client.download_media(message, bytes) == content


async def test_missing_part_is_of_the_file_that_is_sent_and_of_no_other(connect: Connect, faults: Faults) -> None:
    client = await connect()
    file, other = [await upload_parts(client, some_bytes(1000), file_id=number) for number in (7, 8)]
    await client(functions.upload.SaveFilePartRequest(9, 0, some_bytes(900, seed=5)))
    media = video_of(file)
    media.thumb = types.InputFile(9, 1, "thumb.jpg", "")
    faults.plan(MissingPart(part=0))
    with pytest.raises(errors.FilePart0MissingError):
        await send(client, "me", media, random_id=1)
    assert (await send(client, "me", video_of(other), random_id=2)).file.size == 1000
    await upload_parts(client, some_bytes(1000), file_id=7)
    assert (await send(client, "me", media, random_id=1)).document.thumbs


async def test_refused_thumbnail_does_not_use_the_parts_of_its_file_up(connect: Connect) -> None:
    client = await connect()
    media = video_of(await upload_parts(client, some_bytes(1000), file_id=7))
    media.thumb = types.InputFile(8, 1, "thumb.jpg", "")
    with pytest.raises(errors.FilePartsInvalidError):
        await send(client, "me", media, random_id=1)
    media.thumb = None
    assert (await send(client, "me", media, random_id=1)).file.size == 1000


async def test_expired_parts_are_gone(connect: Connect, world: World) -> None:
    client = await connect()
    file = await upload_parts(client, some_bytes(1000), file_id=7)
    assert world.expire_parts() == 1
    with pytest.raises(errors.FilePartsInvalidError):
        await send(client, "me", video_of(file), random_id=1)


async def test_refused_sends_do_not_use_the_parts_up(connect: Connect, world: World) -> None:
    client = await connect()
    channel = await new_channel(client)
    file = await upload_parts(client, some_bytes(1000), file_id=7)
    with pytest.raises(errors.MediaCaptionTooLongError):
        await send(client, channel, video_of(file), random_id=1, caption="x" * 4097)
    assert (await send(client, channel, video_of(file), random_id=1)).id == 2


@pytest.mark.parametrize(
    ("index", "total", "size", "error"),
    [
        (0, 3, PART_BYTES - 1, errors.FilePartSizeInvalidError),
        (0, -1, 3 * KIB, errors.FilePartSizeInvalidError),
        (0, -1, 0, errors.FilePartSizeInvalidError),
        (2, 3, PART_BYTES + KIB, errors.FilePartSizeInvalidError),
        (3, 2, KIB, errors.FilePartInvalidError),
        (-1, -1, KIB, errors.FilePartInvalidError),
        (8000, -1, KIB, errors.FilePartInvalidError),
        (0, 8001, KIB, errors.FilePartsInvalidError),
        (0, 0, KIB, errors.FilePartsInvalidError),
    ],
)
async def test_parts_that_telegram_refuses_are_refused(
    connect: Connect, index: int, total: int, size: int, error: type[Exception]
) -> None:
    client = await connect()
    with pytest.raises(error):
        await client(SaveBigPart(7, index, total, bytes(size)))


async def test_parts_of_different_length_make_no_file(connect: Connect) -> None:
    client = await connect()
    await client(SaveBigPart(7, 0, 3, bytes(2 * KIB)))
    await client(SaveBigPart(7, 1, 3, bytes(KIB)))
    await client(SaveBigPart(7, 2, 3, bytes(KIB)))
    with pytest.raises(errors.FilePartSizeChangedError):
        await send(client, "me", video_of(types.InputFileBig(7, 3, "x.mp4")), random_id=1)


async def test_small_parts_beyond_ten_megabytes_make_no_file(connect: Connect) -> None:
    client = await connect()
    part = bytes(PART_BYTES)
    for index in range(21):
        await client(functions.upload.SaveFilePartRequest(7, index, part))
    with pytest.raises(errors.FilePartsInvalidError):
        await send(client, "me", video_of(types.InputFile(7, 21, "x.mp4", "")), random_id=1)


async def test_wrong_checksum_is_refused(connect: Connect) -> None:
    client = await connect()
    await client(functions.upload.SaveFilePartRequest(7, 0, b"abc"))
    with pytest.raises(errors.Md5ChecksumInvalidError):
        await send(client, "me", video_of(types.InputFile(7, 1, "x.mp4", "0" * 32)), random_id=1)


async def test_premium_decides_how_many_parts_a_file_may_have(faults: Faults, server_key: ServerKey) -> None:
    limits = msgspec.structs.replace(TelegramLimits(), part_count_max=2, part_count_premium_max=4)
    world = World.open(limits=limits)
    world.add_user("1", "free")
    world.add_user("2", "paying", premium=True)
    server = MtprotoServer(world, faults, server_key)
    await server.start()
    outcomes = {name: await _parts_accepted(server, world, phone) for name, phone in (("free", "1"), ("paying", "2"))}
    await server.stop()
    assert outcomes == {"free": 2, "paying": 4}


async def test_accounts_do_not_see_each_others_parts(connect: Connect) -> None:
    ember, rora = await connect("cm-ember"), await connect("cm-rora")
    file = await upload_parts(ember, some_bytes(1000), file_id=7)
    with pytest.raises(errors.FilePartsInvalidError):
        await send(rora, "me", video_of(file), random_id=1)


async def test_thumbnail_downloads_identical(connect: Connect) -> None:
    client = await connect()
    file = await upload_parts(client, some_bytes(1000), file_id=7)
    picture = some_bytes(900, seed=5)
    await client(functions.upload.SaveFilePartRequest(8, 0, picture))
    media = video_of(file)
    media.thumb = types.InputFile(8, 1, "thumb.jpg", "")
    message = await send(client, await new_channel(client), media, random_id=1)
    assert await client.download_media(message, bytes, thumb=-1) == picture
    assert (message.document.thumbs[0].w, message.document.thumbs[0].h) == (320, 180)


@pytest.mark.parametrize(("offset", "limit"), [(100, 4096), (0, 4095), (0, 2 << 20), (1 << 19, 1 << 20), (-4096, 4096)])
async def test_ranges_that_telegram_refuses_are_refused(connect: Connect, offset: int, limit: int) -> None:
    client = await connect()
    message = await client.send_file("me", b"content", force_document=True)
    document = message.document
    location = types.InputDocumentFileLocation(document.id, document.access_hash, document.file_reference, "")
    with pytest.raises((errors.OffsetInvalidError, errors.LimitInvalidError)):
        await client(functions.upload.GetFileRequest(location, offset, limit))


async def test_another_accounts_reference_to_a_file_is_refused(connect: Connect) -> None:
    ember, rora = await connect("cm-ember"), await connect("cm-rora")
    document = (await ember.send_file("me", b"content", force_document=True)).document
    location = types.InputDocumentFileLocation(document.id, document.access_hash, document.file_reference, "")
    with pytest.raises(errors.FileIdInvalidError):
        await rora(functions.upload.GetFileRequest(location, 0, 4096))


async def test_bandwidth_of_an_account_holds_its_parts_together(connect: Connect, faults: Faults, world: World) -> None:
    client = await connect()
    faults.set_line("cm-ember", Line(bandwidth_bytes_per_s=1_000_000))
    started_s = world.clock.monotonic_s()
    await upload_parts(client, bytes(200_000), file_id=7, part_bytes=64 * KIB)
    assert 0.19 <= world.clock.monotonic_s() - started_s < 2


async def _further_sender(client: Any, server: MtprotoServer) -> Any:
    """Another connection with the same key, as a client opens it to upload faster."""
    sender = MTProtoSender(client.session.auth_key, loggers=defaultdict(lambda: logging.getLogger("sender")))
    connection = ConnectionTcpFull(
        server.host, server.port, 2, loggers=defaultdict(lambda: logging.getLogger("sender"))
    )
    await sender.connect(connection)
    return sender


async def _parts_accepted(server: MtprotoServer, world: World, phone: str) -> int:
    client = new_client(server)
    await client.connect()
    await sign_in(client, world, phone)
    count = 0
    try:
        while await client(SaveBigPart(7, count, -1, bytes(KIB))):
            count += 1
    except errors.FilePartInvalidError:
        return count
    finally:
        await client.disconnect()
    return count
