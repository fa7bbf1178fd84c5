"""What the buttons carry: the whole way back, so that a press works after a restart too.

Only numbers and codes: the longest is far below Telegram's 64 bytes. The words of a search do not fit; they stand in
the first line of the message that the button belongs to (`screens.query_of`). A user's client can send any data, so
every field is bounded.
"""

from __future__ import annotations

from typing import Annotated

from aiogram.filters.callback_data import CallbackData
from pydantic import Field

from telecine.core.codes import EPISODE_NUMBER_MAX, TITLE_NUMBER_MAX

PAGE_MAX = 10**6

Page = Annotated[int, Field(ge=0, le=PAGE_MAX)]
TitleId = Annotated[int, Field(ge=1, le=TITLE_NUMBER_MAX)]
Number = Annotated[int, Field(ge=0, le=EPISODE_NUMBER_MAX)]


class ShowList(CallbackData, prefix="l"):
    """A page of search results, or of all titles."""

    page: Page


class ShowTitle(CallbackData, prefix="t"):
    """A title; `page` of its seasons, `list_page` of the list that leads back."""

    title_id: TitleId
    list_page: Page
    page: Page


class ShowSeason(CallbackData, prefix="s"):
    """A season; `page` of its episodes."""

    title_id: TitleId
    season: Number
    list_page: Page
    page: Page


class ShowEpisode(CallbackData, prefix="e"):
    """An episode, to choose a quality; `place`, from 0, among those that CM gives the same number."""

    title_id: TitleId
    season: Number
    episode: Number
    place: Number
    list_page: Page


class SendVariant(CallbackData, prefix="v"):
    """An upload target, to be sent."""

    code: Annotated[str, Field(max_length=48)]
