"""How fast messages go out."""

from __future__ import annotations

import asyncio

import pytest
from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest
from aiogram.methods import AnswerCallbackQuery, SendMessage
from hypothesis import given
from hypothesis import strategies as st
from tests.bot.conftest import TOKEN, RecordingSession
from tests.clocks import JumpingClock

from telecine.bot.pacing import ATTEMPTS_MAX, CHAT_SPACING_S, OVERALL_SPACING_S, Pace, Pacing
from telecine.core.errors import FloodWaitError


@pytest.fixture
def paced(session: RecordingSession, clock: JumpingClock) -> Bot:
    session.middleware(Pacing(clock))
    return Bot(TOKEN, session)


Sends = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 10)), max_size=40)


@given(Sends, st.booleans())
def test_nothing_is_sent_faster_than_telegram_allows(sends: list[tuple[int, int]], at_once: bool) -> None:
    clock = JumpingClock()
    pace = Pace(clock)
    free_at: dict[int | None, float] = {}
    sent: list[tuple[int, int]] = []

    async def send(chat_id: int, messages: int) -> None:
        await pace.turn(chat_id, messages)
        now = clock.monotonic_s()
        assert now >= free_at.get(chat_id, 0) - 1e-6
        assert now >= free_at.get(None, 0) - 1e-6
        free_at[chat_id] = now + messages * CHAT_SPACING_S
        free_at[None] = now + messages * OVERALL_SPACING_S
        sent.append((chat_id, messages))

    async def send_all() -> None:
        if at_once:
            await asyncio.gather(*(send(*item) for item in sends))
        else:
            for item in sends:
                await send(*item)

    asyncio.run(send_all())
    assert sorted(sent) == sorted(sends)


async def test_the_first_message_to_a_chat_does_not_wait(clock: JumpingClock) -> None:
    await Pace(clock).turn(1, 1)
    assert clock.slept_s == []


async def test_a_busy_chat_holds_up_no_other(clock: JumpingClock) -> None:
    pace = Pace(clock)
    await pace.turn(1, 10)
    started_s = clock.now_s
    await pace.turn(2, 1)
    assert clock.now_s - started_s == pytest.approx(10 * OVERALL_SPACING_S)


async def test_a_refused_message_costs_its_chat_no_time(
    paced: Bot, session: RecordingSession, clock: JumpingClock
) -> None:
    session.refuse(SendMessage, 400, "Bad Request: message text is empty")
    with pytest.raises(TelegramBadRequest):
        await paced.send_message(1, " ")
    await paced.send_message(1, "hello")
    assert sum(clock.slept_s) == pytest.approx(OVERALL_SPACING_S)
    await paced.send_message(1, "hello again")
    assert sum(clock.slept_s) == pytest.approx(OVERALL_SPACING_S + CHAT_SPACING_S)


async def test_a_chats_next_turn_counts_from_the_answer(clock: JumpingClock) -> None:
    pace = Pace(clock)
    await pace.turn(1, 1)
    clock.now_s += 0.4  # on its way
    pace.answered(1, 1)
    await pace.turn(1, 1)
    assert clock.slept_s == [pytest.approx(CHAT_SPACING_S)]


async def test_a_wait_asked_for_again_and_again_is_given_up(
    paced: Bot, session: RecordingSession, clock: JumpingClock
) -> None:
    for _ in range(ATTEMPTS_MAX):
        session.refuse(SendMessage, 429, "Too Many Requests: retry after 3", retry_after=3)
    with pytest.raises(FloodWaitError) as raised:
        await paced.send_message(1, "hello")
    assert (raised.value.seconds, raised.value.request) == (3, "sendMessage")
    assert clock.slept_s.count(3) == ATTEMPTS_MAX - 1


async def test_answers_to_presses_are_not_held_back(paced: Bot, clock: JumpingClock) -> None:
    for number in range(50):
        await paced(AnswerCallbackQuery(callback_query_id=str(number)))
    assert clock.slept_s == []
