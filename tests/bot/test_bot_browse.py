"""From a title to a quality, and back."""

from __future__ import annotations

import msgspec
import pytest
from aiogram.methods import AnswerCallbackQuery, EditMessageText, SendMessage
from hypothesis import given
from hypothesis import strategies as st
from tests.bot.conftest import MemoryCatalogue, Talk, buttons, film, labels, plain, series, summary

from telecine.bot import screens, words
from telecine.bot.presses import PAGE_MAX, SendVariant, ShowEpisode, ShowSeason, ShowTitle
from telecine.bot.screens import Origin
from telecine.core.catalogue import Episode, Title, TitleKind
from telecine.core.codes import EPISODE_NUMBER_MAX, TITLE_NUMBER_MAX, VariantCode
from telecine.core.leases import VariantState
from telecine.core.quality import Quality


async def test_a_film_offers_its_qualities_with_their_states(talk: Talk, catalogue: MemoryCatalogue) -> None:
    catalogue.details[7] = film(
        7,
        "Heat",
        summary("CM_M000007_2160P", VariantState.DEAD),
        summary("CM_M000007_1080P"),
        summary("CM_M000007_720P", VariantState.LEASED),
        summary("CM_M000007_AUTO", VariantState.READY),
    )
    await talk.say("heat")
    await talk.press(await talk.next(SendMessage), "Heat")
    screen = await talk.next(EditMessageText)
    assert labels(screen) == ["✖ 2160p", "▶ 1080p", "⏳ 720p", "⏳ auto", "« Back"]
    assert [b.callback_data for b in buttons(screen)][1] == "v:CM_M000007_1080P"
    assert plain(screen.text) == "🔎 heat\n\n🎬 Heat (1999)\nChoose a quality:"
    assert (await talk.next(AnswerCallbackQuery)).text is None


async def test_a_series_goes_by_season_and_episode_and_back(talk: Talk, catalogue: MemoryCatalogue) -> None:
    catalogue.details[45] = series(45, "The Wire", [(0, 1), *((1, n) for n in range(1, 6)), (2, 1)])
    await talk.say("wire")
    found = await talk.next(SendMessage)
    await talk.press(found, "The Wire")
    seasons = await talk.next(EditMessageText)
    assert labels(seasons) == ["Season 1", "Season 2", "Specials", "« Back"]
    await talk.press(seasons, "Season 1")
    season = await talk.next(EditMessageText)
    assert labels(season) == ["E01 · Part 1", "E02 · Part 2", "E03 · Part 3", "Next ▶", "« Back"]
    await talk.press(season, "Next")
    second_page = await talk.next(EditMessageText)
    await talk.press(second_page, "E05")
    episode = await talk.next(EditMessageText)
    assert plain(episode.text).splitlines()[2] == "📺 The Wire (2008) · S01E05 · Part 5"
    assert labels(episode) == ["▶ 720p", "« Back"]
    for expected in (second_page, seasons, found):
        await talk.press(episode, "Back")
        episode = await talk.next(EditMessageText)
        assert (labels(episode), episode.text) == (labels(expected), expected.text)


async def test_each_of_two_episodes_of_one_number_brings_its_own_qualities(
    talk: Talk, catalogue: MemoryCatalogue
) -> None:
    detail = series(45, "The Wire", [(1, 1)])
    other = Episode(999, 1, 1, "Director's cut", (summary("CM_S000045_S01E10000_1080P"),))
    catalogue.details[45] = msgspec.structs.replace(detail, episodes=(*detail.episodes, other))
    await talk.press_data("s:45:1:0:0", text="🔎 wire")
    season = await talk.next(EditMessageText)
    assert labels(season) == ["E01 · Part 1", "E01 · Director's cut", "« Back"]
    await talk.press(season, "Part 1")
    assert labels(await talk.next(EditMessageText)) == ["▶ 720p", "« Back"]
    await talk.press(season, "Director's cut")
    cut = await talk.next(EditMessageText)
    assert plain(cut.text).splitlines()[2] == "📺 The Wire (2008) · S01E01 · Director's cut"
    assert next(b.callback_data for b in buttons(cut)) == "v:CM_S000045_S01E10000_1080P"


async def test_an_episode_that_is_not_there_yet_is_marked(talk: Talk, catalogue: MemoryCatalogue) -> None:
    detail = series(45, "The Wire", [(1, 1)])
    waiting = msgspec.structs.replace(
        detail.episodes[0], variants=(summary("CM_S000045_S01E01_720P", VariantState.DELAYED),)
    )
    catalogue.details[45] = msgspec.structs.replace(detail, episodes=(waiting,))
    await talk.press_data("s:45:1:0:0", text="🔎 wire")
    assert labels(await talk.next(EditMessageText)) == ["E01 · Part 1 ⏳", "« Back"]


@pytest.mark.parametrize("data", ["t:1:0:0", "s:1:1:0:0", "e:1:1:1:0:0", "s:45:9:0:0", "e:45:1:9:0:0", "e:45:1:1:1:0"])
async def test_what_is_no_longer_listed_is_said_kindly(talk: Talk, catalogue: MemoryCatalogue, data: str) -> None:
    catalogue.details[45] = series(45, "The Wire", [(1, 1)])
    await talk.press_data(data, text="🔎 wire")
    answer = await talk.next(AnswerCallbackQuery)
    assert (answer.text, answer.show_alert) == (words.STALE, True)
    await talk.nothing_more_of(EditMessageText, AnswerCallbackQuery)


def test_the_longest_presses_fit_into_telegrams_64_bytes() -> None:
    episode, page, title = EPISODE_NUMBER_MAX, PAGE_MAX, TITLE_NUMBER_MAX
    longest = [
        ShowTitle(title_id=title, list_page=page, page=page),
        ShowSeason(title_id=title, season=episode, list_page=page, page=page),
        ShowEpisode(title_id=title, season=episode, episode=episode, place=episode, list_page=page),
        *(SendVariant(code=str(VariantCode(title, quality, episode, episode))) for quality in Quality),
    ]
    for press in longest:
        assert len(press.pack().encode()) <= 64
        assert type(press).unpack(press.pack()) == press


def test_alerts_fit_into_telegrams_200_characters() -> None:
    alerts = [words.STALE, words.AWAY, words.FAILED, words.BUSY.format(seconds=99999), words.QUEUED_AGAIN]
    assert all(len(text) <= 200 for text in [*alerts, *(words.unavailable(state) for state in VariantState)])


@given(st.text(max_size=300))
def test_the_words_of_a_search_are_read_back_from_the_message(text: str) -> None:
    query = screens.query_in(text)
    title = Title(1, TitleKind.MOVIE, "Heat", None, 1)
    screen = screens.title_list(Origin(query), [title], page_size=5)
    assert screens.query_of(plain(screen.text)) == query
    assert len(query) <= screens.QUERY_CHARS_MAX


@given(st.text(min_size=1, max_size=3000), st.integers(1, 200), st.integers(1, 50), st.integers(0, 70))
def test_a_screen_of_any_series_fits_into_a_message(name: str, episodes: int, page_size: int, page: int) -> None:
    detail = series(45, name, [(n % 7, n) for n in range(1, episodes + 1)])
    origin = Origin("x" * screens.QUERY_CHARS_MAX, page)
    first = ShowEpisode(title_id=45, season=1, episode=1, place=0, list_page=page)
    for screen in (
        screens.title(origin, detail, page, page_size),
        screens.season(origin, detail, 1, page, page_size),
        screens.episode(origin, detail, first, page_size),
    ):
        assert len(plain(screen.text)) <= 4096
        assert len(buttons_of(screen)) <= 100


def buttons_of(screen: screens.Screen) -> list[object]:
    return [button for row in screen.keyboard.inline_keyboard for button in row] if screen.keyboard else []
