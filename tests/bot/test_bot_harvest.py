"""What the bot keeps of the posts of the storage channels."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiogram.methods import GetUpdates, SendVideo
from tests.bot.conftest import BOT_ID, CHANNEL_ID, FILM, PATIENCE_S, MemoryShelf, Talk, target

from telecine.core import codes
from telecine.core.captions import Caption, Origin, write
from telecine.core.delivery import BotFile, MediaKind
from telecine.core.errors import StoreError

VIDEO = {"file_id": "V1", "file_unique_id": "VU1", "width": 16, "height": 9, "duration": 1}
DOCUMENT = {"file_id": "D1", "file_unique_id": "DU1"}


async def kept(shelf: MemoryShelf) -> list[BotFile]:
    async with asyncio.timeout(PATIENCE_S):
        await shelf.saved.wait()
    return list(shelf.files.values())


@pytest.mark.parametrize("kind", ["channel_post", "edited_channel_post"])
async def test_a_coded_video_is_kept(talk: Talk, shelf: MemoryShelf, kind: str) -> None:
    await talk.post(31, kind=kind, video=VIDEO, caption=FILM)
    assert await kept(shelf) == [BotFile(BOT_ID, CHANNEL_ID, 31, MediaKind.VIDEO, "V1", "VU1")]


async def test_a_coded_document_is_kept_as_a_document(talk: Talk, shelf: MemoryShelf) -> None:
    await talk.post(31, document=DOCUMENT, caption=f"{FILM}_P02OF03")
    assert await kept(shelf) == [BotFile(BOT_ID, CHANNEL_ID, 31, MediaKind.DOCUMENT, "D1", "DU1")]


async def test_what_a_caption_says_for_machines_is_in_no_log(
    talk: Talk, shelf: MemoryShelf, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "telecine.bot")
    caption = write(Caption(codes.parse(FILM), Origin("the-matrix"), "ab" * 32))
    await talk.post(31, video=VIDEO, caption=caption)
    await kept(shelf)
    await talk.next(GetUpdates)
    assert f"kept the file_id of {FILM}, message 31" in caplog.text
    assert caption.split("\n")[1] not in caplog.text


@pytest.mark.parametrize(
    "content",
    [
        {"text": FILM},
        {"video": VIDEO},
        {"video": VIDEO, "caption": "holiday"},
        {"video": VIDEO, "caption": "CM_M1_1080P"},
        {"photo": [{"file_id": "P", "file_unique_id": "PU", "width": 1, "height": 1}], "caption": FILM},
        {"document": DOCUMENT, "animation": VIDEO, "caption": FILM},
    ],
)
async def test_other_posts_are_left_alone(talk: Talk, shelf: MemoryShelf, content: dict[str, Any]) -> None:
    await talk.post(30, **content)
    await talk.post(31, video=VIDEO, caption=FILM)
    assert [file.message_id for file in await kept(shelf)] == [31]


async def test_a_kept_file_delivers(talk: Talk, shelf: MemoryShelf) -> None:
    shelf.targets[FILM] = target(FILM, 31)
    await talk.post(31, video=VIDEO, caption=FILM)
    await kept(shelf)
    await talk.say(FILM)
    assert (await talk.next(SendVideo)).video == "V1"


async def test_a_post_is_confirmed_only_once_it_is_kept(talk: Talk, shelf: MemoryShelf) -> None:
    shelf.save_failures.extend([StoreError("busy"), StoreError("busy")])
    await talk.post(31, video=VIDEO, caption=FILM)
    assert [file.message_id for file in await kept(shelf)] == [31]
    assert [(await talk.next(GetUpdates)).offset for _ in range(2)] == [None, 2]
    assert talk.clock.slept_s == [0.5, 1.0]


async def test_a_post_that_can_never_be_kept_holds_up_nothing(
    talk: Talk, shelf: MemoryShelf, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.save_failures.append(ValueError("unexpected"))
    await talk.post(30, video=VIDEO, caption=FILM)
    await talk.post(31, video=VIDEO, caption=FILM)
    assert [file.message_id for file in await kept(shelf)] == [31]
    assert "cannot be kept" in caplog.text
