"""What users see when they search."""

from __future__ import annotations

import pytest
from aiogram.methods import AnswerCallbackQuery, EditMessageText, SendMessage
from tests.bot.conftest import (
    TOO_OLD,
    MemoryCatalogue,
    Talk,
    buttons,
    film,
    labels,
    person,
    plain,
    private_message,
    series,
    summary,
)

from telecine.bot import words
from telecine.core.errors import StoreError, UnavailableError
from telecine.core.leases import VariantState


async def test_start_and_help_greet(talk: Talk) -> None:
    await talk.say("/start")
    assert (await talk.next(SendMessage)).text == words.WELCOME
    await talk.say("/help")
    assert (await talk.next(SendMessage)).text == words.HELP


async def test_words_of_a_title_list_it_with_its_year_and_kind(talk: Talk, catalogue: MemoryCatalogue) -> None:
    catalogue.details = {
        1: film(1, "The Matrix", summary("CM_M000001_1080P")),
        2: film(2, "The Matrix Reloaded", summary("CM_M000002_1080P", VariantState.READY), year=2003),
        3: series(3, "Matrix Revisited", [(1, 1)]),
        4: film(4, "Heat", summary("CM_M000004_720P")),
    }
    await talk.say("matrix")
    reply = await talk.next(SendMessage)
    assert labels(reply) == ["📺 Matrix Revisited (2008)", "🎬 The Matrix (1999)", "🎬 The Matrix Reloaded (2003) ⏳"]
    assert reply.text.startswith("🔎 matrix\n")


async def test_long_lists_turn_pages_in_the_same_message(talk: Talk, catalogue: MemoryCatalogue) -> None:
    catalogue.details = {n: film(n, f"Film {n}", summary(f"CM_M{n:06d}_720P")) for n in range(1, 9)}
    await talk.say("film")
    first = await talk.next(SendMessage)
    assert labels(first) == ["🎬 Film 1 (1999)", "🎬 Film 2 (1999)", "🎬 Film 3 (1999)", "Next ▶"]
    await talk.press(first, "Next")
    second = await talk.next(EditMessageText)
    assert labels(second)[-2:] == ["◀ Previous", "Next ▶"]
    await talk.press(second, "Next")
    third = await talk.next(EditMessageText)
    assert labels(third) == ["🎬 Film 7 (1999)", "🎬 Film 8 (1999)", "◀ Previous"]
    await talk.press(third, "Previous")
    assert labels(await talk.next(EditMessageText)) == labels(second)


async def test_browse_lists_all_titles(talk: Talk, catalogue: MemoryCatalogue) -> None:
    catalogue.details = {1: film(1, "Heat"), 2: film(2, "Alien")}
    await talk.say("/browse")
    reply = await talk.next(SendMessage)
    assert labels(reply) == ["🎬 Alien (1999) ⏳", "🎬 Heat (1999) ⏳"]
    assert reply.text.startswith("📚 All titles")


async def test_an_empty_catalogue_says_so(talk: Talk) -> None:
    await talk.say("/browse")
    assert words.EMPTY_CATALOGUE in await talk.reply()


async def test_nothing_found_is_said_kindly(talk: Talk) -> None:
    await talk.say("no such film")
    reply = await talk.next(SendMessage)
    assert words.NOTHING_FOUND in plain(reply.text)
    assert buttons(reply) == []


async def test_markup_in_words_and_titles_is_shown_as_text(talk: Talk, catalogue: MemoryCatalogue) -> None:
    catalogue.details = {1: film(1, "<b>Fast</b> & Furious", summary("CM_M000001_720P"))}
    await talk.say("<b>fast</b> &")
    reply = await talk.next(SendMessage)
    assert reply.text.startswith("🔎 &lt;b&gt;fast&lt;/b&gt; &amp;\n")
    await talk.press(reply, "Furious")
    detail = await talk.next(EditMessageText)
    assert "<b>&lt;b&gt;Fast&lt;/b&gt; &amp; Furious</b>" in (detail.text or "")
    await talk.press(detail, "Back")  # the words survive the way there and back
    assert labels(await talk.next(EditMessageText)) == labels(reply)


@pytest.mark.parametrize("text", ["?", "...", "!!", " - ", "🎉", "❤\ufe0f", "<>"])
async def test_a_text_without_a_letter_or_digit_is_answered(talk: Talk, text: str) -> None:
    await talk.say(text)
    assert (await talk.next(SendMessage)).text == words.NOT_A_NAME


@pytest.mark.parametrize("name", ["M", "9", "影", "π"])
async def test_a_title_of_one_letter_is_found(talk: Talk, catalogue: MemoryCatalogue, name: str) -> None:
    catalogue.details[7] = film(7, name, year=None)
    await talk.say(name)
    assert labels(await talk.next(SendMessage)) == [f"🎬 {name} ⏳"]


async def test_what_is_not_text_is_answered(talk: Talk) -> None:
    await talk.push("message", private_message(99, dice={"emoji": "🎲", "value": 3}))
    assert (await talk.next(SendMessage)).text == words.NOT_A_NAME


@pytest.mark.parametrize(
    "service",
    [
        {"pinned_message": {"message_id": 9, "date": 0, "chat": {"id": 99, "type": "private"}}},
        {"message_auto_delete_timer_changed": {"message_auto_delete_time": 86400}},
    ],
)
async def test_what_a_user_does_to_the_chat_is_no_search(talk: Talk, service: dict[str, object]) -> None:
    await talk.push("message", private_message(99) | service)
    await talk.nothing_more_of(SendMessage)


async def test_an_unknown_command_is_answered(talk: Talk) -> None:
    await talk.say("/frobnicate now")
    assert (await talk.next(SendMessage)).text == words.UNKNOWN_COMMAND


async def test_a_page_behind_the_last_leads_back(talk: Talk) -> None:
    await talk.press_data("l:7", text="🔎 matrix\n\nChoose")
    gone = await talk.next(EditMessageText)
    assert words.NOTHING_MORE in plain(gone.text)
    assert labels(gone) == ["« Back"]


@pytest.mark.parametrize(
    "data",
    ["", "x", "l:-1", "l:1:2", "l:99999999999999999999", "t:0:0:0", "t:1:a:0", "s:1:1", "v:" + "A" * 60, "v", "old:7"],
)
async def test_a_button_of_another_time_is_answered_kindly(talk: Talk, data: str) -> None:
    await talk.press_data(data)
    answer = await talk.next(AnswerCallbackQuery)
    assert (answer.text, answer.show_alert) == (words.STALE, True)


async def test_a_list_whose_words_telegram_no_longer_shows_is_not_taken_for_all_titles(
    talk: Talk, catalogue: MemoryCatalogue
) -> None:
    catalogue.details = {n: film(n, f"Film {n}") for n in range(1, 9)}
    inaccessible = {"message_id": 10, "date": 0, "chat": {"id": 99, "type": "private"}}
    press = {"id": "1", "from": person(99), "chat_instance": "1", "message": inaccessible, "data": "l:1"}
    await talk.push("callback_query", press)
    answer = await talk.next(AnswerCallbackQuery)
    assert (answer.text, answer.show_alert) == (words.STALE, True)
    await talk.nothing_more_of(SendMessage)


async def test_in_groups_the_bot_stays_silent(talk: Talk) -> None:
    group = {"id": -5, "type": "group", "title": "Friends"}
    await talk.push("message", {**private_message(99, text="matrix"), "chat": group})
    await talk.push("message", {**private_message(99, text="/start"), "chat": group})
    await talk.nothing_more_of(SendMessage)


async def test_a_failing_store_is_told_and_logged(
    talk: Talk, catalogue: MemoryCatalogue, caplog: pytest.LogCaptureFixture
) -> None:
    catalogue.failure = StoreError("disk I/O error at /secret/path")
    await talk.say("matrix")
    assert (await talk.next(SendMessage)).text == words.FAILED
    assert "disk I/O error" in caplog.text
    catalogue.failure = UnavailableError("away")
    await talk.say("matrix")
    assert (await talk.next(SendMessage)).text == words.AWAY


async def test_a_failing_press_is_answered_too(talk: Talk, catalogue: MemoryCatalogue) -> None:
    catalogue.failure = StoreError("disk I/O error")
    await talk.press_data("l:0", text="🔎 matrix")
    assert (await talk.next(AnswerCallbackQuery)).text == words.FAILED


async def test_users_are_noted_once_an_hour(talk: Talk) -> None:
    for _ in range(3):
        await talk.say("/start")
        await talk.next(SendMessage)
    await talk.say("/start", user_id=100)
    await talk.next(SendMessage)
    assert talk.shelf.users == [(99, "en"), (100, "en")]
    talk.clock.now_s += 3601
    await talk.say("/start")
    await talk.next(SendMessage)
    assert talk.shelf.users == [(99, "en"), (100, "en"), (99, "en")]


async def test_an_edit_that_changes_nothing_is_no_failure(talk: Talk, catalogue: MemoryCatalogue) -> None:
    catalogue.details = {1: film(1, "Heat")}
    talk.session.refuse(EditMessageText, 400, "Bad Request: message is not modified: specified new message content")
    await talk.press_data("l:0", text="📚 All titles")
    assert (await talk.next(AnswerCallbackQuery)).text is None
    await talk.nothing_more_of(SendMessage)


@pytest.mark.parametrize("refusal", ["message can't be edited", "message to edit not found", "MESSAGE_ID_INVALID"])
async def test_a_message_that_cannot_be_edited_is_followed_by_a_new_one(
    talk: Talk, catalogue: MemoryCatalogue, refusal: str
) -> None:
    catalogue.details = {1: film(1, "Heat")}
    talk.session.refuse(EditMessageText, 400, f"Bad Request: {refusal}")
    await talk.press_data("l:0", text="📚 All titles")
    assert labels(await talk.next(SendMessage)) == ["🎬 Heat (1999) ⏳"]
    assert (await talk.next(AnswerCallbackQuery)).text is None


async def test_a_press_that_telegram_gave_up_on_is_let_go(talk: Talk, catalogue: MemoryCatalogue) -> None:
    catalogue.details = {1: film(1, "Heat")}
    talk.session.refuse(AnswerCallbackQuery, 400, f"Bad Request: {TOO_OLD}")
    await talk.press_data("l:0", text="📚 All titles")
    assert labels(await talk.next(EditMessageText)) == ["🎬 Heat (1999) ⏳"]
    await talk.next(AnswerCallbackQuery)
    await talk.nothing_more_of(SendMessage, AnswerCallbackQuery)
