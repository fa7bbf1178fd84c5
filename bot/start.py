"""`/start` and `/help`, and whatever is neither a title, a code nor a button that still works."""

from __future__ import annotations

from aiogram import F, Router
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
    fallback.message.register(unknown_command, F.text.startswith("/"))
    fallback.message.register(not_text)
    fallback.callback_query.register(stale)
    return fallback


async def welcome(message: Message) -> None:
    await message.answer(words.WELCOME)


async def explain(message: Message) -> None:
    await message.answer(words.HELP)


async def unknown_command(message: Message) -> None:
    await message.answer(words.UNKNOWN_COMMAND)


async def not_text(message: Message) -> None:
    await message.answer(words.NOT_TEXT)


async def stale(press: CallbackQuery) -> None:
    await close(press, words.STALE, alert=True)
