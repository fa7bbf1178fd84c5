"""The bot as it is deployed, over HTTP, against the emulator's Bot API; the user is played on the emulator's world."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
from tests.bot.conftest import EPISODE, FILM, PATIENCE_S, TOKEN, MemoryCatalogue, MemoryShelf, film, summary
from tests.bot.emulated import Telegram, emulated, logged, running

from telecine.bot import words
from telecine.bot.service import TelecineBot
from telecine.core import codes
from telecine.core.clock import SystemClock
from telecine.core.config import BotSettings, TelegramSettings
from telecine.core.delivery import Deliverable, DeliveryOutcome, MediaKind, Resolved
from telecine.core.emulator.faults import BotLimits
from telecine.core.emulator.telegram.entities import Message
from telecine.core.leases import VariantState


@pytest.fixture
async def telegram() -> AsyncIterator[Telegram]:
    async with emulated() as telegram:
        yield telegram


@pytest.fixture
def new_bot(telegram: Telegram, catalogue: MemoryCatalogue, shelf: MemoryShelf) -> Callable[[], TelecineBot]:
    def new() -> TelecineBot:
        settings = TelegramSettings(api_id=1, api_hash="0" * 32, bot_token=TOKEN, bot_api_url=telegram.url)
        return TelecineBot(
            settings, BotSettings(), catalogue=catalogue, shelf=shelf, requeue=shelf, clock=SystemClock()
        )

    return new


@pytest.fixture
async def bot(new_bot: Callable[[], TelecineBot]) -> AsyncIterator[TelecineBot]:
    async with running(new_bot()) as bot:
        yield bot


def settled(code: str, *posts: Message) -> Resolved:
    """What the store answers once a worker has reported these posts."""
    parsed = codes.parse_variant(code)
    parts = tuple(
        Deliverable(n, len(posts), post.channel_id or 0, post.post_id, 100, None, None)
        for n, post in enumerate(posts, 1)
    )
    state = VariantState.DONE
    return Resolved(code, state, "Heat", 1995, parsed.season, parsed.episode, parsed.quality, parts)


async def kept(shelf: MemoryShelf, count: int) -> None:
    """Wait until the bot has kept that many file ids."""
    async with asyncio.timeout(PATIENCE_S):
        while len(shelf.files) < count:
            shelf.saved.clear()
            await shelf.saved.wait()


async def test_a_user_searches_presses_and_receives_the_uploaded_file(
    bot: TelecineBot, telegram: Telegram, catalogue: MemoryCatalogue, shelf: MemoryShelf
) -> None:
    post = telegram.upload(FILM)
    catalogue.details[321] = film(321, "Heat", summary(FILM), year=1995)
    shelf.targets[FILM] = settled(FILM, post)
    await kept(shelf, 1)

    telegram.say("heat")
    screen = (await telegram.received(1))[0]
    assert (await telegram.press(screen, "Heat (1995)")).text is None
    assert screen.content.text == "🔎 heat\n\n🎬 Heat (1995)\nChoose a quality:"
    answer = await telegram.press(screen, "1080p")
    assert (answer.text, answer.alert) == (words.SENDING, False)
    video = (await telegram.received(2))[1]
    assert video.content.text == "Heat (1995) · 1080p"
    assert telegram.document(video).id == telegram.document(post).id
    assert await asyncio.wait_for(delivered(shelf), PATIENCE_S) == DeliveryOutcome.SENT


async def delivered(shelf: MemoryShelf) -> DeliveryOutcome:
    await shelf.recorded.wait()
    return shelf.deliveries[-1][2]


async def test_posts_made_while_the_bot_was_away_are_harvested(
    telegram: Telegram, shelf: MemoryShelf, new_bot: Callable[[], TelecineBot]
) -> None:
    telegram.upload(FILM)
    async with running(new_bot()):
        await kept(shelf, 1)
    telegram.upload(EPISODE, video=False)
    assert len(shelf.files) == 1
    async with running(new_bot()):
        await kept(shelf, 2)
    assert [file.kind for file in shelf.files.values()] == [MediaKind.VIDEO, MediaKind.DOCUMENT]
    assert telegram.bot.updates == []  # confirmed, so that the next start sees none of it again


async def test_parts_arrive_as_one_album(bot: TelecineBot, telegram: Telegram, shelf: MemoryShelf) -> None:
    posts = [telegram.upload(f"{FILM}_P{n:02d}OF03") for n in (1, 2, 3)]
    shelf.targets[FILM] = settled(FILM, *posts)
    await kept(shelf, 3)
    telegram.say(f"/start {FILM}")
    album = await telegram.received(3)
    assert [telegram.document(m).id for m in album] == [telegram.document(p).id for p in posts]
    assert [m.content.text[-11:] for m in album] == [f"part {n} of 3" for n in (1, 2, 3)]
    assert len({m.grouped_id for m in album}) == 1


async def test_a_file_id_of_another_bot_is_replaced_by_a_copy(
    bot: TelecineBot, telegram: Telegram, shelf: MemoryShelf
) -> None:
    post = telegram.upload(FILM)
    await kept(shelf, 1)
    ((key, own),) = shelf.files.items()
    other = telegram.world.add_bot("700002:AAother", "other_bot")
    foreign = telegram.world.documents.file_id(other, telegram.document(post))
    shelf.files[key] = msgspec.structs.replace(own, file_id=foreign)
    shelf.targets[FILM] = settled(FILM, post)
    telegram.say(FILM)
    copy = (await telegram.received(1))[0]
    assert (copy.content.text, telegram.document(copy).id) == ("Heat (1995) · 1080p", telegram.document(post).id)
    assert copy.forward is None
    assert await asyncio.wait_for(delivered(shelf), PATIENCE_S) == DeliveryOutcome.COPIED
    assert shelf.files == {}


async def test_a_file_id_kept_as_the_wrong_kind_is_replaced_by_a_copy(
    bot: TelecineBot, telegram: Telegram, shelf: MemoryShelf
) -> None:
    post = telegram.upload(FILM, video=False)
    await kept(shelf, 1)
    ((key, own),) = shelf.files.items()
    shelf.files[key] = msgspec.structs.replace(own, kind=MediaKind.VIDEO)
    shelf.targets[FILM] = settled(FILM, post)
    telegram.say(FILM)
    assert telegram.document((await telegram.received(1))[0]).id == telegram.document(post).id
    assert await asyncio.wait_for(delivered(shelf), PATIENCE_S) == DeliveryOutcome.COPIED


async def test_a_lost_post_is_queued_again(bot: TelecineBot, telegram: Telegram, shelf: MemoryShelf) -> None:
    post = telegram.upload(FILM)
    await kept(shelf, 1)
    shelf.files.clear()
    shelf.targets[FILM] = settled(FILM, post)
    telegram.world.messages.delete(telegram.uploader.id, telegram.channel.chat_id, [post.post_id])
    telegram.say(FILM)
    assert (await telegram.received(1))[0].content.text == words.QUEUED_AGAIN
    assert shelf.requeued == [FILM]


async def test_telegrams_own_limits_are_kept_without_being_told(
    bot: TelecineBot, telegram: Telegram, shelf: MemoryShelf, caplog: pytest.LogCaptureFixture
) -> None:
    telegram.faults.bot_limits = BotLimits()
    for _ in range(3):
        telegram.say("/help")
    assert len(await telegram.received(3)) == 3
    assert "asks to wait" not in caplog.text


async def test_a_user_who_blocks_the_bot_and_comes_back_is_served(
    bot: TelecineBot, telegram: Telegram, shelf: MemoryShelf
) -> None:
    shelf.targets[FILM] = settled(FILM, telegram.upload(FILM))
    await kept(shelf, 1)
    telegram.bot.blocked_by.add(telegram.user.id)
    with logged("cannot be written to") as refused:
        telegram.say(FILM)
        await asyncio.wait_for(refused.wait(), PATIENCE_S)
    telegram.bot.blocked_by.clear()
    telegram.say(FILM)
    assert await asyncio.wait_for(delivered(shelf), PATIENCE_S) == DeliveryOutcome.SENT
    assert telegram.document((await telegram.received(1))[0]).file_name == "film.mp4"
    assert shelf.requeued == []
