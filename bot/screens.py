"""What a user sees: texts and keyboards as pure functions of what the catalogue answered."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec
from aiogram.filters.callback_data import CallbackData
from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup

from telecine.bot import words
from telecine.bot.presses import PAGE_MAX, SendVariant, ShowEpisode, ShowList, ShowSeason, ShowTitle
from telecine.core.catalogue import Episode, Title, TitleDetail, TitleKind, VariantSummary
from telecine.core.errors import NotFoundError
from telecine.core.leases import VariantState

QUERY_CHARS_MAX = 100
BUTTON_CHARS_MAX = 60
NAME_CHARS_MAX = 500  # a heading with its markup stays below the 4096 of a message
QUALITIES_PER_ROW = 2

_SEARCH = "🔎 "
_ALL_TITLES = "📚 All titles"
_ICONS = {TitleKind.MOVIE: "🎬", TitleKind.SERIES: "📺"}
_READY, _ON_ITS_WAY, _NOT_AVAILABLE = "▶", "⏳", "✖"
_MARKS = {
    VariantState.DONE: _READY,
    VariantState.READY: _ON_ITS_WAY,
    VariantState.LEASED: _ON_ITS_WAY,
    VariantState.DELAYED: _ON_ITS_WAY,
}

Row = list[InlineKeyboardButton]
T = TypeVar("T")


class Screen(msgspec.Struct, frozen=True):
    """One message as HTML, and the buttons under it."""

    text: str
    keyboard: InlineKeyboardMarkup | None = None


class Origin(msgspec.Struct, frozen=True):
    """The list that a screen was reached from: the words searched for (empty: all titles) and the page."""

    query: str = ""
    page: int = 0

    @property
    def heading(self) -> str:
        return f"{_SEARCH}{html.escape(self.query, quote=False)}" if self.query else _ALL_TITLES


def query_in(text: str) -> str:
    """The words to search for in what a user typed: one line of bounded length."""
    return " ".join(text.split())[:QUERY_CHARS_MAX].rstrip()


def query_of(text: str | None) -> str:
    """The words that a screen was found by, read back from its plain text; empty for the list of all titles."""
    first_line = (text or "").split("\n", 1)[0]
    return first_line.removeprefix(_SEARCH) if first_line.startswith(_SEARCH) else ""


def title_list(origin: Origin, titles: Sequence[Title], page_size: int) -> Screen:
    """A page of titles. `titles` holds one more than `page_size` where another page follows."""
    if not titles:
        return _empty_list(origin)
    rows = [[_button(_title_label(t), ShowTitle(title_id=t.id, list_page=origin.page, page=0))] for t in titles]
    turns = _turns(origin.page, len(titles) > page_size, lambda page: ShowList(page=page))
    page = f" · page {origin.page + 1}" if turns else ""
    return _screen(f"{origin.heading}\n\nChoose a title{page}:", [*rows[:page_size], turns])


def title(origin: Origin, detail: TitleDetail, page: int, page_size: int) -> Screen:
    """A film with its qualities, or a series with a page of its seasons."""
    back = _button("« Back", ShowList(page=origin.page))
    head = f"{origin.heading}\n\n{_heading(detail)}"
    if detail.kind is TitleKind.MOVIE:
        return _qualities(head, detail.variants, back)
    seasons = seasons_of(detail)
    shown, more = _page(seasons, page, page_size)
    rows = [[_season_button(detail, season, origin)] for season in shown]
    turns = _turns(page, more, lambda p: ShowTitle(title_id=detail.id, list_page=origin.page, page=p))
    call = "Choose a season:" if seasons else words.EMPTY_CATALOGUE
    return _screen(f"{head}\n{call}", [*rows, turns, [back]])


def season(origin: Origin, detail: TitleDetail, number: int, page: int, page_size: int) -> Screen:
    """A page of the episodes of a season. Raises NotFoundError for a season that is not there."""
    episodes = [e for e in detail.episodes if e.season == number]
    if not episodes:
        raise NotFoundError(f"title {detail.id} has no season {number}")
    shown, more = _page(episodes, page, page_size)
    rows = [[_episode_button(detail, episode, origin)] for episode in shown]

    def turn(to: int) -> CallbackData:
        return ShowSeason(title_id=detail.id, season=number, list_page=origin.page, page=to)

    title_page = seasons_of(detail).index(number) // page_size
    back = _button("« Back", ShowTitle(title_id=detail.id, list_page=origin.page, page=title_page))
    head = f"{origin.heading}\n\n{_heading(detail)} · {season_label(number)}"
    return _screen(f"{head}\nChoose an episode:", [*rows, _turns(page, more, turn), [back]])


def episode(origin: Origin, detail: TitleDetail, press: ShowEpisode, page_size: int) -> Screen:
    """The qualities of an episode. Raises NotFoundError for an episode that is not there."""
    season, number = press.season, press.episode
    same = _numbered(detail, season, number)
    if press.place >= len(same):
        raise NotFoundError(f"title {detail.id} has no episode {season}-{number}")
    chosen = same[press.place]
    index = [e for e in detail.episodes if e.season == season].index(chosen)
    to_season = ShowSeason(title_id=detail.id, season=season, list_page=origin.page, page=index // page_size)
    name = f" · {html.escape(_clip(chosen.name, NAME_CHARS_MAX), quote=False)}" if chosen.name else ""
    head = f"{origin.heading}\n\n{_heading(detail)} · S{season:02d}E{number:02d}{name}"
    return _qualities(head, chosen.variants, _button("« Back", to_season))


def seasons_of(detail: TitleDetail) -> list[int]:
    """Season numbers in order, specials (season 0) last."""
    return sorted({e.season for e in detail.episodes}, key=lambda number: (number == 0, number))


def season_label(number: int) -> str:
    return "Specials" if number == 0 else f"Season {number}"


def _empty_list(origin: Origin) -> Screen:
    if origin.page:
        back = _button("« Back", ShowList(page=0))
        return _screen(f"{origin.heading}\n\n{words.NOTHING_MORE}", [[back]])
    said = words.NOTHING_FOUND if origin.query else words.EMPTY_CATALOGUE
    return _screen(f"{origin.heading}\n\n{said}", [])


def _qualities(head: str, variants: Sequence[VariantSummary], back: InlineKeyboardButton) -> Screen:
    buttons = [_button(f"{_mark(v)} {v.quality.label}", SendVariant(code=v.code)) for v in variants]
    rows = [buttons[i : i + QUALITIES_PER_ROW] for i in range(0, len(buttons), QUALITIES_PER_ROW)]
    call = "Choose a quality:" if variants else words.EMPTY_CATALOGUE
    return _screen(f"{head}\n{call}", [*rows, [back]])


def _heading(detail: TitleDetail) -> str:
    name = html.escape(_clip(detail.name, NAME_CHARS_MAX), quote=False)
    return f"{_ICONS[detail.kind]} <b>{name}</b>{_year(detail.year)}"


def _title_label(title: Title) -> str:
    mark = "" if title.available else f" {_ON_ITS_WAY}"
    return f"{_ICONS[title.kind]} {_clip(title.name, BUTTON_CHARS_MAX)}{_year(title.year)}{mark}"


def _season_button(detail: TitleDetail, number: int, origin: Origin) -> InlineKeyboardButton:
    variants = [v for e in detail.episodes if e.season == number for v in e.variants]
    to_season = ShowSeason(title_id=detail.id, season=number, list_page=origin.page, page=0)
    return _button(f"{season_label(number)}{_pending(variants)}", to_season)


def _episode_button(detail: TitleDetail, episode: Episode, origin: Origin) -> InlineKeyboardButton:
    name = f" · {_clip(episode.name, BUTTON_CHARS_MAX)}" if episode.name else ""
    season, number = episode.season, episode.episode
    place = _numbered(detail, season, number).index(episode)
    data = ShowEpisode(title_id=detail.id, season=season, episode=number, place=place, list_page=origin.page)
    return _button(f"E{number:02d}{name}{_pending(episode.variants)}", data)


def _numbered(detail: TitleDetail, season: int, number: int) -> list[Episode]:
    """The episodes of that number: one, as a rule, but CM may list several."""
    return [e for e in detail.episodes if (e.season, e.episode) == (season, number)]


def _pending(variants: Iterable[VariantSummary]) -> str:
    return "" if any(v.state is VariantState.DONE for v in variants) else f" {_ON_ITS_WAY}"


def _mark(variant: VariantSummary) -> str:
    return _MARKS.get(variant.state, _NOT_AVAILABLE)


def _year(year: int | None) -> str:
    return "" if year is None else f" ({year})"


def _clip(text: str, chars_max: int) -> str:
    return text if len(text) <= chars_max else f"{text[: chars_max - 1].rstrip()}…"


def _page(items: Sequence[T], page: int, page_size: int) -> tuple[Sequence[T], bool]:
    start = page * page_size
    return items[start : start + page_size], len(items) > start + page_size


def _turns(page: int, more: bool, to: Callable[[int], CallbackData]) -> Row:
    before = [_button("◀ Previous", to(page - 1))] if page > 0 else []
    after = [_button("Next ▶", to(page + 1))] if more and page < PAGE_MAX else []
    return before + after


def _button(text: str, data: CallbackData) -> InlineKeyboardButton:
    return InlineKeyboardButton(text=text, callback_data=data.pack())


def _screen(text: str, rows: Sequence[Row]) -> Screen:
    filled = [row for row in rows if row]
    return Screen(text, InlineKeyboardMarkup(inline_keyboard=filled) if filled else None)
