"""Search: a user types words, the bot lists titles."""

from __future__ import annotations

from aiogram import Router
from aiogram.filters import Command
from aiogram.types import CallbackQuery, Message

from telecine.bot import screens, words
from telecine.bot.presses import ShowList
from telecine.bot.screens import Origin, Screen
from telecine.bot.showing import query_behind, show
from telecine.core import folding
from telecine.core.catalogue import Catalogue
from telecine.core.config import BotSettings


def router() -> Router:
    search = Router(name="search")
    search.message.register(list_all, Command("browse"))
    search.message.register(find_titles, is_query)
    search.callback_query.register(turn_page, ShowList.filter(), shows_query)
    return search


async def is_query(message: Message) -> bool:
    """A filter: texts that are not a command."""
    return message.text is not None and not message.text.startswith("/")


async def shows_query(press: CallbackQuery) -> bool:
    """A filter: presses under a message that Telegram still shows to the bot, with the words of the search in it."""
    return isinstance(press.message, Message)


async def list_all(message: Message, catalogue: Catalogue, settings: BotSettings) -> None:
    await show(message, await list_titles(Origin(), catalogue, settings))


async def find_titles(message: Message, catalogue: Catalogue, settings: BotSettings) -> None:
    query = screens.query_in(message.text or "")
    if not folding.phrases(query):  # one letter will do: there are films called M and 9
        await message.answer(words.NOT_A_NAME)
        return
    await show(message, await list_titles(Origin(query), catalogue, settings))


async def turn_page(press: CallbackQuery, callback_data: ShowList, catalogue: Catalogue, settings: BotSettings) -> None:
    origin = Origin(query_behind(press), callback_data.page)
    await show(press, await list_titles(origin, catalogue, settings))


async def list_titles(origin: Origin, catalogue: Catalogue, settings: BotSettings) -> Screen:
    """A page of what the catalogue finds. One title more than fits is asked for, to know whether a page follows."""
    size = settings.page_size
    titles = await catalogue.search(origin.query, limit=size + 1, offset=origin.page * size)
    return screens.title_list(origin, titles, size)
