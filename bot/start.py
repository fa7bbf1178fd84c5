"""`/start` and `/help`, and whatever is neither a title, a code nor a button that still works."""

from __future__ import annotations

from aiogram import Router
from aiogram.filters import Command, CommandStart
from aiogram.types import CallbackQuery, Message

from telecine.bot import words
from telecine.bot.showing import close


def router() -> Router:
    """The greetings."""
    start = Router(name="start")
    start.message.register(welcome, CommandStart(deep_link=False))
    start.message.register(explain, Command("help"))
    return start


def fallback_router() -> Router:
    """Comes last: nothing is left without an answer."""
    fallback = Router(name="fallback")
    fallback.message.register(not_understood)
    fallback.callback_query.register(stale)
    return fallback


async def welcome(message: Message) -> None:
    await message.answer(words.WELCOME)


async def explain(message: Message) -> None:
    await message.answer(words.HELP)


async def not_understood(message: Message) -> None:
    await message.answer(words.UNKNOWN_COMMAND if message.text else words.NOT_A_NAME)


async def stale(press: CallbackQuery) -> None:
    await close(press, words.STALE, alert=True)
