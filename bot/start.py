"""`/start` and `/help`, and whatever is neither a title, a code nor a button that still works."""

from __future__ import annotations

from aiogram import Router
from aiogram.enums import ContentType
from aiogram.filters import Command, CommandStart
from aiogram.types import CallbackQuery, Message

from telecine.bot import words
from telecine.bot.showing import close

SAID = frozenset(
    {
        ContentType.TEXT,
        ContentType.ANIMATION,
        ContentType.AUDIO,
        ContentType.CHECKLIST,
        ContentType.CONTACT,
        ContentType.DICE,
        ContentType.DOCUMENT,
        ContentType.GAME,
        ContentType.LOCATION,
        ContentType.PHOTO,
        ContentType.POLL,
        ContentType.STICKER,
        ContentType.STORY,
        ContentType.VENUE,
        ContentType.VIDEO,
        ContentType.VIDEO_NOTE,
        ContentType.VOICE,
    }
)
"""What a user says. Anything else Telegram says of the chat: that a message was pinned, or is deleted after a day."""


def router() -> Router:
    """The greetings."""
    start = Router(name="start")
    start.message.register(welcome, CommandStart(deep_link=False))
    start.message.register(explain, Command("help"))
    return start


def fallback_router() -> Router:
    """Comes last: nothing that a user says or presses is left without an answer."""
    fallback = Router(name="fallback")
    fallback.message.register(not_understood, is_said)
    fallback.callback_query.register(stale)
    return fallback


async def is_said(message: Message) -> bool:
    """A filter: no service messages."""
    return message.content_type in SAID


async def welcome(message: Message) -> None:
    await message.answer(words.WELCOME)


async def explain(message: Message) -> None:
    await message.answer(words.HELP)


async def not_understood(message: Message) -> None:
    await message.answer(words.UNKNOWN_COMMAND if message.text else words.NOT_A_NAME)


async def stale(press: CallbackQuery) -> None:
    await close(press, words.STALE, alert=True)
