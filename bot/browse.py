"""Browse: from a title by season and episode to a quality, in one message."""

from __future__ import annotations

from aiogram import Router
from aiogram.types import CallbackQuery

from telecine.bot import screens
from telecine.bot.presses import ShowEpisode, ShowSeason, ShowTitle
from telecine.bot.screens import Origin
from telecine.bot.showing import query_behind, show
from telecine.core.catalogue import Catalogue
from telecine.core.config import BotSettings


def router() -> Router:
    browse = Router(name="browse")
    browse.callback_query.register(show_title, ShowTitle.filter())
    browse.callback_query.register(show_season, ShowSeason.filter())
    browse.callback_query.register(show_episode, ShowEpisode.filter())
    return browse


async def show_title(
    press: CallbackQuery, callback_data: ShowTitle, catalogue: Catalogue, settings: BotSettings
) -> None:
    detail = await catalogue.title(callback_data.title_id)
    origin = Origin(query_behind(press), callback_data.list_page)
    await show(press, screens.title(origin, detail, callback_data.page, settings.page_size))


async def show_season(
    press: CallbackQuery, callback_data: ShowSeason, catalogue: Catalogue, settings: BotSettings
) -> None:
    detail = await catalogue.title(callback_data.title_id)
    origin = Origin(query_behind(press), callback_data.list_page)
    screen = screens.season(origin, detail, callback_data.season, callback_data.page, settings.page_size)
    await show(press, screen)


async def show_episode(
    press: CallbackQuery, callback_data: ShowEpisode, catalogue: Catalogue, settings: BotSettings
) -> None:
    detail = await catalogue.title(callback_data.title_id)
    origin = Origin(query_behind(press), callback_data.list_page)
    await show(press, screens.episode(origin, detail, callback_data, settings.page_size))
