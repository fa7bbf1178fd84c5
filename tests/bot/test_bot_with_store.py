"""The bot on the real database: from an import and a worker's report to the user's chat, and round again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from aiogram.methods import AnswerCallbackQuery, CopyMessage, EditMessageText, GetUpdates, SendMessage, SendVideo
from tests.bot.conftest import BOT_ID, CHANNEL_ID, TOKEN, MemoryShelf, RecordingSession, Talk, labels
from tests.clocks import JumpingClock

from telecine.bot import words
from telecine.bot.service import TelecineBot
from telecine.core.catalogue import ImportedEpisode, ImportedLink, ImportedTitle, PlannedVariant, TitleKind
from telecine.core.config import BotSettings, TelegramSettings
from telecine.core.leases import VariantState
from telecine.core.protocol import ChannelRef, ClaimRequest, Hello, ObjectReport, SettleDone, SourceReport
from telecine.core.quality import Quality
from telecine.store.database import Store

FILM = "CM_M000001_1080P"
VIDEO = {"file_id": "V1", "file_unique_id": "VU1", "width": 16, "height": 9, "duration": 1}


@pytest.fixture
async def store(tmp_path: Path, clock: JumpingClock) -> AsyncIterator[Store]:
    """A film and a series of one episode, nothing uploaded yet."""

    def links(name: str) -> tuple[tuple[ImportedLink, ...], tuple[PlannedVariant, ...]]:
        link = ImportedLink(f"link-{name}", f"http://source/{name}", Quality.FULL_HD, "field")
        return (link,), (PlannedVariant(Quality.FULL_HD, (link.cm_id,)),)

    film_links, film_variants = links("film")
    episode_links, episode_variants = links("episode")
    episode = ImportedEpisode("e1", 1, 3, "The Buys", 3600, episode_links, episode_variants)
    async with Store.open(tmp_path / "telecine.db", clock=clock) as store:
        run = await store.intake.begin_import()
        titles = (
            ImportedTitle("t1", TitleKind.MOVIE, "Amélie", 2001, 7320, film_links, film_variants),
            ImportedTitle("t2", TitleKind.SERIES, "The Wire", 2002, episodes=(episode,)),
        )
        await store.intake.import_titles(run.id, titles)
        await store.intake.finish_import(run.id, rejected=0)
        yield store


@pytest.fixture
async def bot(store: Store, session: RecordingSession, clock: JumpingClock) -> TelecineBot:
    telegram = TelegramSettings(api_id=1, api_hash="0" * 32, bot_token=TOKEN)
    return TelecineBot(
        telegram,
        BotSettings(),
        catalogue=store.catalogue,
        shelf=store.shelf,
        requeue=store.operations,
        clock=clock,
        session=session,
    )


@pytest.fixture
async def conversation(
    bot: TelecineBot, session: RecordingSession, clock: JumpingClock, shelf: MemoryShelf
) -> AsyncIterator[Talk]:
    running = asyncio.create_task(bot.run())
    yield Talk(bot, session, shelf, clock)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def upload_all(store: Store, worker: str = "ember", user_id: int = 7, at: int = CHANNEL_ID) -> dict[str, int]:
    """A worker uploads everything that waits for it, into a channel of its own. Message id by code."""
    (channel, *_) = await store.queue.hello(worker, worker, Hello("boot", "1", user_id, True), channels_wanted=1)
    assert isinstance(channel, ChannelRef)
    await store.queue.channel_opened(worker, channel.id, at)
    uploaded: dict[str, int] = {}
    while lease := await store.queue.claim(worker, ClaimRequest("boot", f"r{len(uploaded)}", file_bytes_max=10**9)):
        message_id = uploaded[lease.code] = 31 + len(uploaded)
        sent = ObjectReport(1, 1, at, message_id, 1000, "0" * 64, 2.0, 1920, 1080)
        used = SourceReport(lease.sources[0].link_id, None)
        await store.queue.settle(worker, lease.lease, SettleDone((sent,), (used,), "direct"))
    return uploaded


async def test_an_uploaded_film_is_found_without_its_accent_and_arrives(conversation: Talk, store: Store) -> None:
    uploaded = await upload_all(store)
    await conversation.post(uploaded[FILM], video=VIDEO, caption=FILM)
    await conversation.next(GetUpdates)
    await conversation.next(GetUpdates)  # asked for the next only once the post is kept

    await conversation.say("amelie")
    found = await conversation.next(SendMessage)
    assert labels(found) == ["🎬 Amélie (2001)"]
    await conversation.press(found, "Amélie")
    await conversation.press(await conversation.next(EditMessageText), "▶ 1080p")
    video = await conversation.next(SendVideo)
    assert (video.video, video.caption) == ("V1", "Amélie (2001) · 1080p")
    await conversation.nothing_more_of(CopyMessage)
    counts = await store.catalogue.counts()
    assert (counts.bot_files, counts.deliveries) == (1, 1)


async def test_an_episode_without_a_file_id_is_copied_and_a_lost_post_queued_again(
    conversation: Talk, store: Store
) -> None:
    uploaded = await upload_all(store)
    code = next(code for code in uploaded if code.startswith("CM_S"))
    await conversation.say("wire")
    screen: SendMessage | EditMessageText = await conversation.next(SendMessage)
    for label in ("The Wire (2002)", "Season 1", "E03 · The Buys"):
        await conversation.press(screen, label)
        screen = await conversation.next(EditMessageText)
    await conversation.press(screen, "▶ 1080p")
    copy = await conversation.next(CopyMessage)
    assert (copy.message_id, copy.caption) == (uploaded[code], "The Wire (2002) · S01E03 · 1080p")

    conversation.session.refuse(CopyMessage, 400, "Bad Request: message to copy not found")
    await conversation.press(screen, "▶ 1080p")
    assert await conversation.reply() == words.QUEUED_AGAIN
    assert (await store.catalogue.variant(code)).state is VariantState.READY
    await conversation.press(screen, "▶ 1080p")
    answers = [await conversation.next(AnswerCallbackQuery) for _ in range(6)]
    assert answers[-1].text == words.unavailable(VariantState.READY)


async def test_where_a_post_is_lost_its_copy_with_another_account_arrives(conversation: Talk, store: Store) -> None:
    await upload_all(store)
    await store.operations.set_copies(1, 2)
    await upload_all(store, "frost", 8, CHANNEL_ID + 1)  # makes itself known; there is nothing for it yet
    await store.sweeper.sweep()
    uploaded = await upload_all(store, "frost", 8, CHANNEL_ID + 1)
    assert list(uploaded) == [f"{FILM}_C02"]

    conversation.session.refuse(CopyMessage, 400, "Bad Request: message to copy not found")
    await conversation.say(FILM)
    lost, copy = [await conversation.next(CopyMessage) for _ in range(2)]
    assert (lost.from_chat_id, copy.from_chat_id) == (-1_000_000_000_777, -1_000_000_000_778)
    assert (copy.message_id, copy.caption) == (uploaded[f"{FILM}_C02"], "Amélie (2001) · 1080p")
    await conversation.say(FILM)
    again = await conversation.next(CopyMessage)
    assert again.from_chat_id == copy.from_chat_id, "what is queued again is delivered from its copy meanwhile"
    assert (await store.catalogue.variant(FILM)).state is VariantState.READY


async def test_what_nobody_has_uploaded_yet_says_so(conversation: Talk, store: Store) -> None:
    await conversation.say(f"/start {FILM}")
    assert await conversation.reply() == words.unavailable(VariantState.READY)
    assert (await store.shelf.resolve(FILM, bot_id=BOT_ID)).parts == ()


async def test_what_can_be_read_is_delivered_to_anybody_while_nothing_can_be_written(
    conversation: Talk, store: Store
) -> None:
    uploaded = await upload_all(store)
    place = store.files.path
    elsewhere = place.rename(place.with_name("elsewhere.db"))
    await conversation.say(FILM)
    assert (await conversation.next(CopyMessage)).message_id == uploaded[FILM]
    await conversation.nothing_more_of(SendMessage)
    assert (await store.catalogue.counts()).deliveries == 0

    elsewhere.rename(place)
    await conversation.say(FILM)
    await conversation.next(CopyMessage)
    await conversation.nothing_more_of(SendMessage)
    assert (await store.catalogue.counts()).deliveries == 1
