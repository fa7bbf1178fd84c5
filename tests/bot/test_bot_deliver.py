"""What arrives in the chat, by which rung of the ladder, and what is said when nothing does."""

from __future__ import annotations

import pytest
from aiogram.exceptions import TelegramNetworkError
from aiogram.methods import (
    AnswerCallbackQuery,
    CopyMessage,
    SendDocument,
    SendMediaGroup,
    SendMessage,
    SendVideo,
)
from tests.bot.conftest import BOT_ID, CHANNEL_ID, EPISODE, FILM, TOO_OLD, USER_ID, MemoryShelf, Talk, stored, target

from telecine.bot import words
from telecine.core.config import BotSettings
from telecine.core.delivery import DeliveryOutcome, MediaKind
from telecine.core.errors import ConflictError
from telecine.core.leases import VariantState

SENT, COPIED, MISSING = DeliveryOutcome.SENT, DeliveryOutcome.COPIED, DeliveryOutcome.MISSING
WRONG_FILE = "Bad Request: wrong file identifier/HTTP URL specified"


def put(
    shelf: MemoryShelf, code: str, *message_ids: int, kind: MediaKind = MediaKind.VIDEO, known: bool = True
) -> None:
    shelf.targets[code] = target(code, *message_ids)
    for message_id in message_ids if known else ():
        shelf.files[BOT_ID, CHANNEL_ID, message_id] = stored(message_id, kind)


async def test_a_chosen_quality_arrives_by_file_id(talk: Talk, shelf: MemoryShelf) -> None:
    put(shelf, FILM, 11)
    await talk.press_data(f"v:{FILM}")
    assert (await talk.next(AnswerCallbackQuery)).text == words.SENDING
    video = await talk.next(SendVideo)
    assert (video.chat_id, video.video, video.caption) == (USER_ID, "file-11", "The Matrix (1999) · 1080p")
    assert (video.parse_mode, video.protect_content) == (None, False)
    assert await talk.recorded() == (FILM, USER_ID, SENT)


async def test_a_document_is_sent_as_the_document_it_is(talk: Talk, shelf: MemoryShelf) -> None:
    put(shelf, EPISODE, 11, kind=MediaKind.DOCUMENT)
    await talk.press_data(f"v:{EPISODE}")
    document = await talk.next(SendDocument)
    assert (document.document, document.caption) == ("file-11", "The Matrix (1999) · S01E03 · 720p")


@pytest.mark.parametrize("text", [f"/start {FILM}", FILM, FILM.lower(), f" {FILM}_P02OF03 "])
async def test_a_link_or_a_typed_code_brings_its_video(talk: Talk, shelf: MemoryShelf, text: str) -> None:
    put(shelf, FILM, 11)
    await talk.say(text)
    assert (await talk.next(SendVideo)).video == "file-11"


@pytest.mark.parametrize("text", ["/start nonsense", "/start CM_M000999_1080P", "CM_M000999_1080P"])
async def test_a_code_of_nothing_is_said_kindly(talk: Talk, text: str) -> None:
    await talk.say(text)
    assert await talk.reply() == words.UNKNOWN_CODE


async def test_several_parts_arrive_as_one_album_in_order(talk: Talk, shelf: MemoryShelf) -> None:
    put(shelf, FILM, 11, 12, 13)
    await talk.say(FILM)
    album = await talk.next(SendMediaGroup)
    assert [item.media for item in album.media] == ["file-11", "file-12", "file-13"]
    assert album.media[1].caption == "The Matrix (1999) · 1080p · part 2 of 3"
    assert await talk.recorded() == (FILM, USER_ID, SENT)


async def test_more_than_ten_parts_arrive_in_several_albums(talk: Talk, shelf: MemoryShelf) -> None:
    put(shelf, FILM, *range(11, 32))
    await talk.say(FILM)
    assert [len((await talk.next(SendMediaGroup)).media) for _ in range(2)] == [10, 10]
    assert (await talk.next(SendVideo)).video == "file-31"


async def test_without_a_file_id_the_post_is_copied_under_the_users_caption(talk: Talk, shelf: MemoryShelf) -> None:
    put(shelf, FILM, 11, known=False)
    await talk.say(FILM)
    copy = await talk.next(CopyMessage)
    assert (copy.chat_id, copy.from_chat_id, copy.message_id) == (USER_ID, -1_000_000_000_777, 11)
    assert copy.caption == "The Matrix (1999) · 1080p"
    assert await talk.recorded() == (FILM, USER_ID, COPIED)
    await talk.nothing_more_of(SendVideo, SendMessage)


@pytest.mark.parametrize(
    "refusal",
    [
        WRONG_FILE,
        "Bad Request: wrong remote file identifier specified: can't unserialize it. Wrong last symbol",
        "Bad Request: FILE_REFERENCE_EXPIRED",
        "Bad Request: can't use file of type Document as Video",
        "Bad Request: type of file mismatch",
    ],
)
async def test_a_refused_file_id_is_forgotten_and_the_post_copied(talk: Talk, shelf: MemoryShelf, refusal: str) -> None:
    put(shelf, FILM, 11)
    talk.session.refuse(SendVideo, 400, refusal)
    await talk.say(FILM)
    assert (await talk.next(CopyMessage)).message_id == 11
    assert await talk.recorded() == (FILM, USER_ID, COPIED)
    assert shelf.files == {}


@pytest.mark.parametrize(
    "refusal",
    [
        WRONG_FILE,
        'Bad Request: failed to send message #1 with the error message "Wrong file identifier/HTTP URL specified"',
        "Bad Request: group send failed",
    ],
)
async def test_an_album_with_one_bad_file_id_goes_out_part_by_part(
    talk: Talk, shelf: MemoryShelf, refusal: str
) -> None:
    put(shelf, FILM, 11, 12)
    talk.session.refuse(SendMediaGroup, 400, refusal)
    talk.session.refuse(SendVideo, 400, WRONG_FILE)
    await talk.say(FILM)
    assert (await talk.next(CopyMessage)).message_id == 11
    await talk.next(SendVideo)
    assert (await talk.next(SendVideo)).video == "file-12"
    assert await talk.recorded() == (FILM, USER_ID, COPIED)
    assert list(shelf.files) == [(BOT_ID, CHANNEL_ID, 12)]


@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        (400, "Bad Request: message to copy not found"),
        (400, "Bad Request: chat not found"),
        (403, "Forbidden: bot is not a member of the channel chat"),
    ],
)
async def test_what_can_neither_be_sent_nor_copied_is_queued_again(
    talk: Talk, shelf: MemoryShelf, status: int, refusal: str
) -> None:
    put(shelf, FILM, 11, 12, known=False)
    talk.session.refuse(CopyMessage, status, refusal)
    await talk.press_data(f"v:{FILM}")
    assert await talk.reply() == words.QUEUED_AGAIN
    assert shelf.requeued == [FILM]
    assert shelf.deliveries == [(FILM, USER_ID, MISSING)]


async def test_what_somebody_else_queued_meanwhile_is_missing_all_the_same(talk: Talk, shelf: MemoryShelf) -> None:
    put(shelf, FILM, 11, known=False)
    shelf.requeue_failure = ConflictError("leased")
    talk.session.refuse(CopyMessage, 400, "Bad Request: message to copy not found")
    await talk.say(FILM)
    assert await talk.reply() == words.QUEUED_AGAIN
    assert shelf.deliveries == [(FILM, USER_ID, MISSING)]


@pytest.mark.parametrize("state", [s for s in VariantState if s is not VariantState.DONE])
async def test_what_is_not_there_yet_is_explained(talk: Talk, shelf: MemoryShelf, state: VariantState) -> None:
    shelf.targets[FILM] = target(FILM, state=state)
    await talk.press_data(f"v:{FILM}")
    answer = await talk.next(AnswerCallbackQuery)
    assert (answer.text, answer.show_alert) == (words.unavailable(state), True)
    await talk.say(FILM)
    assert await talk.reply() == words.unavailable(state)
    assert shelf.deliveries == []


async def test_a_short_wait_is_sat_through(talk: Talk, shelf: MemoryShelf) -> None:
    put(shelf, FILM, 11)
    talk.session.refuse(SendVideo, 429, "Too Many Requests: retry after 7", retry_after=7)
    await talk.say(FILM)
    await talk.next(SendVideo)
    assert (await talk.next(SendVideo)).video == "file-11"
    assert await talk.recorded() == (FILM, USER_ID, SENT)
    assert 7 in talk.clock.slept_s


async def test_a_long_wait_is_told(talk: Talk, shelf: MemoryShelf) -> None:
    put(shelf, FILM, 11)
    talk.session.refuse(SendVideo, 429, "Too Many Requests: retry after 900", retry_after=900)
    await talk.say(FILM)
    assert await talk.reply() == words.BUSY.format(seconds=900)
    assert 900 not in talk.clock.slept_s
    assert shelf.deliveries == []
    assert shelf.files != {}


async def test_what_fails_behind_an_answered_button_is_told_by_a_message(talk: Talk, shelf: MemoryShelf) -> None:
    put(shelf, FILM, 11)
    talk.session.refuse(SendVideo, 429, "Too Many Requests: retry after 900", retry_after=900)
    await talk.press_data(f"v:{FILM}")
    assert (await talk.next(AnswerCallbackQuery)).text == words.SENDING
    assert await talk.reply() == words.BUSY.format(seconds=900)


async def test_why_nothing_is_sent_is_a_message_where_the_press_is_too_old(talk: Talk, shelf: MemoryShelf) -> None:
    shelf.targets[FILM] = target(FILM, state=VariantState.DEAD)
    talk.session.refuse(AnswerCallbackQuery, 400, f"Bad Request: {TOO_OLD}")
    await talk.press_data(f"v:{FILM}")
    assert await talk.reply() == words.unavailable(VariantState.DEAD)


async def test_a_press_that_is_too_old_for_an_answer_brings_the_video_alone(talk: Talk, shelf: MemoryShelf) -> None:
    put(shelf, FILM, 11)
    talk.session.refuse(AnswerCallbackQuery, 400, f"Bad Request: {TOO_OLD}")
    await talk.press_data(f"v:{FILM}")
    assert (await talk.next(SendVideo)).video == "file-11"
    await talk.nothing_more_of(SendMessage)


async def test_a_wait_that_keeps_the_user_from_being_told_is_no_fault_of_ours(
    talk: Talk, shelf: MemoryShelf, caplog: pytest.LogCaptureFixture
) -> None:
    put(shelf, FILM, 11)
    for method in (SendVideo, SendMessage):
        talk.session.refuse(method, 429, "Too Many Requests: retry after 900", retry_after=900)
    await talk.say(FILM)
    assert await talk.reply() == words.BUSY.format(seconds=900)
    await talk.nothing_more_of(SendMessage)
    assert "the user could not be told" in caplog.text
    assert not [r for r in caplog.records if r.levelname == "ERROR"]


async def test_a_user_who_blocked_the_bot_is_left_alone(
    talk: Talk, shelf: MemoryShelf, caplog: pytest.LogCaptureFixture
) -> None:
    put(shelf, FILM, 11)
    talk.session.refuse(SendVideo, 403, "Forbidden: bot was blocked by the user")
    await talk.say(FILM)
    await talk.next(SendVideo)
    await talk.nothing_more_of(SendMessage, CopyMessage)
    assert (shelf.deliveries, shelf.requeued) == ([], [])
    assert not [r for r in caplog.records if r.levelname == "ERROR"]


async def test_a_send_that_got_no_answer_is_not_repeated(talk: Talk, shelf: MemoryShelf) -> None:
    put(shelf, FILM, 11)
    talk.session.fail(SendVideo, TelegramNetworkError(SendVideo(chat_id=1, video="x"), "ServerDisconnectedError"))
    await talk.say(FILM)
    await talk.next(SendVideo)
    assert await talk.reply() == words.AWAY
    await talk.nothing_more_of(SendVideo, CopyMessage)
    assert shelf.files != {}


async def test_another_refusal_neither_forgets_the_file_nor_queues_again(
    talk: Talk, shelf: MemoryShelf, caplog: pytest.LogCaptureFixture
) -> None:
    put(shelf, FILM, 11)
    talk.session.refuse(SendVideo, 400, "Bad Request: not enough rights to send videos to the chat")
    await talk.say(FILM)
    assert await talk.reply() == words.FAILED
    assert (len(shelf.files), shelf.requeued) == (1, [])
    assert "not enough rights" in caplog.text


class TestProtectedContent:
    @pytest.fixture
    def settings(self) -> BotSettings:
        return BotSettings(protect_content=True)

    async def test_every_rung_protects_what_it_sends(self, talk: Talk, shelf: MemoryShelf) -> None:
        put(shelf, FILM, 11)
        put(shelf, EPISODE, 21, 22)
        await talk.say(FILM)
        assert (await talk.next(SendVideo)).protect_content
        await talk.say(EPISODE)
        assert (await talk.next(SendMediaGroup)).protect_content
        shelf.files.clear()
        await talk.say(FILM)
        assert (await talk.next(CopyMessage)).protect_content
