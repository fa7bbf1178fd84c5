from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecine.core.catalogue import ImportedTitle, TitleKind
from telecine.core.config import CmField
from telecine.core.errors import CmError
from telecine.core.intake.inference import Evidence
from telecine.core.intake.mapping import compile_mapping
from telecine.core.intake.records import Children, Reading, TitleReader
from telecine.core.quality import Quality


def read(item: object, **fields: dict[str, CmField]) -> Reading:
    return TitleReader(compile_mapping(fields)).read(item, Children())


def link(number: object = 1, url: object = "https://cdn.example/a.1080p.mkv", **more: object) -> dict[str, object]:
    return {"id": number, "url": url, **more}


def title(**more: object) -> dict[str, object]:
    return {"id": 17, "name": "Night Train", **more}


def episode(number: object = 1, season: object = 1, episode: object = 1, **more: object) -> dict[str, object]:
    return {"id": number, "season": season, "episode": episode, **more}


def places(title: ImportedTitle) -> list[Any]:
    return [title, *title.episodes]


def test_title_is_read_by_the_default_mapping() -> None:
    reading = read(title(year="1999", links=[link(quality="720p"), link(2)]))
    film = reading.title
    assert (film.cm_id, film.kind, film.name, film.year) == ("17", TitleKind.MOVIE, "Night Train", 1999)
    assert [(one.cm_id, one.quality, one.evidence) for one in film.links] == [
        ("1", Quality.HD, Evidence.FIELD),
        ("2", Quality.FULL_HD, Evidence.TOKEN),
    ]
    assert reading.refused_links == ()


def test_title_with_episodes_is_a_series_where_cm_does_not_say() -> None:
    reading = read(title(episodes=[episode(5, links=[link()])]))
    assert reading.title.kind is TitleKind.SERIES
    assert reading.title.episodes[0].variants[0].link_cm_ids == ("1",)


def test_texts_are_put_in_order() -> None:
    assert read(title(name="  Night \n\t Train ")).title.name == "Night Train"
    assert read(title(name=1917)).title.name == "1917"


@pytest.mark.parametrize("unknown", [None, "", " ", 0, "0"])
def test_a_year_that_cm_does_not_know_is_none(unknown: object) -> None:
    assert read(title(year=unknown)).title.year is None


@pytest.mark.parametrize(
    ("field", "value", "seconds"),
    [
        ("runtime_s", 5400, 5400),
        ("runtime_min", "90", 5400),
        ("runtime_min", 0, None),
        ("runtime_min", "", None),
        ("runtime_s", None, None),
    ],
)
def test_running_time_comes_in_either_unit(field: str, value: object, seconds: int | None) -> None:
    fields: dict[str, CmField] = {"id": "id", "name": "name", field: "time?|int"}
    assert read(title(time=value), title=fields).title.runtime_s == seconds


def test_running_time_in_minutes_stands_in_for_seconds_that_cm_does_not_know() -> None:
    fields: dict[str, CmField] = {"id": "id", "name": "name", "runtime_s": "s|int", "runtime_min": "min|int"}
    assert read(title(s=0, min=90), title=fields).title.runtime_s == 5400


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (title(name=""), "title 17: name: is empty"),
        (title(name=" "), "title 17: name: is empty"),
        (title(name=["x"]), "title 17: name: expected a text, got a list"),
        (title(name="x" * 501), "title 17: name: longer than 500 characters"),
        (title(name="nul\x00"), "title 17: name: holds characters that are none"),
        (title(name="\ud800"), "title 17: name: holds characters that are none"),
        (title(year=1066), "title 17: year: expected 1870 to 2200, got 1066"),
        (title(year="soon"), "title 17: year: expected a whole number, got 'soon'"),
        (title(links="https://cdn.example"), "title 17: links: `links[]?`: expected a list"),
        (title(episodes=[episode(season=-1)]), "episode 1: season: expected 0 to 99999, got -1"),
        (title(episodes=[episode(episode=10**9)]), "episode 1: episode: expected 0 to 99999"),
        (title(episodes=[episode(season=None)]), "episode 1: season: `season|int` is missing"),
        (title(episodes=[episode(number=None)]), "episode without an id: id: `id` is missing"),
        (title(episodes=[7]), "episode without an id: id: `id` is missing"),
        ({"id": True, "name": "x"}, "title without an id: id: expected a text, got True"),
        ({"id": "x" * 201, "name": "x"}, "title without an id: id: longer than 200 characters"),
        ({"name": "x"}, "title without an id: id: `id` is missing"),
        ([], "title without an id: id: `id` is missing"),
        (None, "title without an id: id: `id` is missing"),
    ],
)
def test_malformed_title_is_refused_by_record_id_and_field(item: object, message: str) -> None:
    with pytest.raises(CmError) as caught:
        read(item)
    assert message in caught.value.message


def test_kind_that_contradicts_is_refused() -> None:
    fields: dict[str, CmField] = {"id": "id", "name": "name", "kind": "kind", "episodes": "episodes[]?"}
    with pytest.raises(CmError, match="title 17: kind: a movie that has episodes"):
        read(title(kind="movie", episodes=[episode()]), title=fields)
    with pytest.raises(CmError, match="title 17: kind: expected movie or series, got 'film'"):
        read(title(kind="film"), title=fields)
    assert read(title(kind="series"), title=fields).title.kind is TitleKind.SERIES


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (link(url="films/a.mkv"), "link 1: url: is not a URL: 'films/a.mkv'"),
        (link(url="C:\\films\\a.mkv"), "link 1: url: is not a URL"),
        (link(url="https:"), "link 1: url: is not a URL"),
        (link(url="https://h/a\nb.mkv"), "link 1: url: is not a URL"),
        (link(url="https://me:pw@h/a\n.mkv?key=s"), "link 1: url: is not a URL: 'https://h/a.mkv'"),
        (link(url=None), "link 1: url: `url` is missing"),
        (link(url=7), "link 1: url: is not a URL: '7'"),
        (link(url="https://x/" + "y" * 9000), "link 1: url: longer than 8192 characters"),
        (link(None), "link without an id: id: `id` is missing"),
        ("https://cdn.example/a.mkv", "link without an id: id: `id` is missing"),
        (link(quality={}), "link 1: quality: expected a text, got an object"),
    ],
)
def test_malformed_link_is_refused_and_its_title_is_not(bad: object, problem: str) -> None:
    reading = read(title(links=[bad, link(2)]))
    assert [one.cm_id for one in reading.title.links] == ["2"]
    [refused] = reading.refused_links
    assert refused.startswith("title 17: ")
    assert problem in refused


@pytest.mark.parametrize("url", ["http://h/a", "https://h/a  b.mkv", "file:///films/a.mkv", "ftp://h/a", "rtmp://h/a"])
def test_link_of_any_scheme_is_kept_as_it_is(url: str) -> None:
    assert read(title(links=[link(url=url)])).title.links[0].url == url


def test_query_of_a_bad_url_is_not_told() -> None:
    [refused] = read(title(links=[link(url="films/a.mkv?token=secret")])).refused_links
    assert "secret" not in refused


def test_links_of_a_series_that_belong_to_no_episode_are_told() -> None:
    reading = read(title(links=[link(9)], episodes=[episode(links=[link(1)])]))
    assert reading.title.links == ()
    assert reading.refused_links == ("link 9: belongs to title 17, a series, not to an episode",)


def test_links_that_are_plain_texts_get_an_id_that_stays() -> None:
    fields: dict[str, CmField] = {"url": "."}
    urls = ["https://cdn.example/a.1080p.mkv", "https://cdn.example/b.720p.mkv"]
    first, again = (read(title(links=urls), link=fields).title.links for _ in range(2))
    assert first == again
    assert [one.url for one in first] == urls
    elsewhere = read(title(id=18, links=urls), link=fields).title.links
    assert {one.cm_id for one in first}.isdisjoint(one.cm_id for one in elsewhere)


def test_last_of_two_with_one_id_counts_and_episodes_of_one_number_both_stay() -> None:
    twice = [episode(1, 1, 1, name="Old"), episode(2, 1, 1, name="Dubbed"), episode(1, 1, 1, name="New")]
    assert [(one.cm_id, one.name) for one in read(title(episodes=twice)).title.episodes] == [
        ("1", "New"),
        ("2", "Dubbed"),
    ]
    links = [link(1, "https://a.example/480p"), link(1, "https://b.example/720p")]
    film = read(title(links=links)).title
    assert [one.url for one in film.links] == ["https://b.example/720p"]
    assert [variant.quality for variant in film.variants] == [Quality.HD]


def test_nested_seasons_are_one_list() -> None:
    fields: dict[str, CmField] = {"id": "id", "name": "name", "episodes": "seasons[].episodes[]"}
    nested = title(seasons=[{"episodes": [episode(1)]}, {"episodes": [episode(2, 2)]}])
    assert [one.season for one in read(nested, title=fields).title.episodes] == [1, 2]


values: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.integers(-5, 3000) | st.text(max_size=8) | st.just([]) | st.just({})
)
ids = st.integers(1, 4) | st.none()
wild_links = st.lists(
    st.builds(link, ids, st.sampled_from(["https://h/a.mp4", "a.mp4", "https://h/720p"]) | values, quality=values)
    | values,
    max_size=4,
)
wild_episodes = st.lists(
    st.builds(episode, ids, st.integers(0, 2), st.integers(0, 3) | values, links=wild_links | values), max_size=4
)


@given(
    st.builds(title, name=st.just("x") | values, year=st.just(2000) | values, links=wild_links, episodes=wild_episodes)
)
def test_whatever_cm_sends_is_refused_or_every_link_kept_is_planned_once(item: dict[str, object]) -> None:
    try:
        reading = read(item)
    except CmError:
        return
    for place in places(reading.title):
        planned = [cm_id for variant in place.variants for cm_id in variant.link_cm_ids]
        assert sorted(planned) == sorted(one.cm_id for one in place.links)
