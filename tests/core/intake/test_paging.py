from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.intake.conftest import CmServer, connect, film
from yarl import URL

from telecine.core.config import CmPaging, CmResource
from telecine.core.emulator.cm.content import CmContent, Table
from telecine.core.errors import CmError, ConfigError
from telecine.core.intake import paging as paging_module
from telecine.core.intake.client import Answer
from telecine.core.intake.paging import Pager, PageTurner, collection_of

Answering = Callable[[URL], Answer]


class Pages:
    """A PageSource that answers from a function and remembers what it was asked."""

    def __init__(self, answering: Answering) -> None:
        self.asked: list[URL] = []
        self._answering = answering

    def url(self, path: str) -> URL:
        return URL(f"https://cm.example{path}")

    async def get(self, url: URL) -> Answer:
        self.asked.append(url)
        return self._answering(url)


def turner(**keys: Any) -> PageTurner:
    return PageTurner(msgspec.convert(keys, CmPaging))


async def walk(answering: Answering, items: str = "data", **keys: Any) -> tuple[list[object], Pages]:
    pages = Pages(answering)
    pager = Pager(pages, turner(**keys))
    titles = collection_of("titles", CmResource(path="/titles", query={"sort": "id"}, items=items))
    return [item async for page in pager.pages(titles) for item in page], pages


def rows(ids: range) -> list[dict[str, int]]:
    return [{"id": number} for number in ids]


def data(items: list[Any], **more: Any) -> Answer:
    return Answer({"data": items, **more})


def by_offset(total: int, limit_max: int = 1000) -> Answering:
    def answer(url: URL) -> Answer:
        start = int(url.query["offset"])
        return data(rows(range(start, min(total, start + min(limit_max, int(url.query["limit"]))))))

    return answer


@given(total=st.integers(0, 60), size=st.integers(1, 20), limit_max=st.integers(1, 20))
async def test_offset_brings_every_item_once_even_if_cm_gives_fewer_than_asked(
    total: int, size: int, limit_max: int
) -> None:
    items, _ = await walk(by_offset(total, limit_max), kind="offset", size=size)
    assert items == rows(range(total))


async def test_pages_are_counted_from_one_until_one_is_empty() -> None:
    def answer(url: URL) -> Answer:
        page = int(url.query["p"]) - 1
        return data(rows(range(page * 10, min(25, page * 10 + 10))))

    items, pages = await walk(answer, kind="page", size=10, page_param="p", limit_param="per_page")
    assert items == rows(range(25))
    assert str(pages.asked[0]) == "https://cm.example/titles?sort=id&per_page=10&p=1"
    assert len(pages.asked) == 4


async def test_keyset_goes_on_behind_the_last_id() -> None:
    def answer(url: URL) -> Answer:
        after = int(url.query.get("filter[id][_gt]", "-1"))
        return data(rows(range(25))[after + 1 :][:10])

    items, pages = await walk(answer, kind="keyset", size=10)
    assert items == rows(range(25))
    assert [url.query.get("filter[id][_gt]") for url in pages.asked] == [None, "9", "19", "24"]


async def test_cursor_is_followed_until_there_is_none_past_an_empty_page() -> None:
    answers = {
        None: data([1], meta={"next": "a b&c"}),
        "a b&c": data([], meta={"next": 7}),
        "7": data([2], meta={"next": None}),
    }
    items, _ = await walk(
        lambda url: answers[url.query.get("cursor")], kind="cursor", cursor_path="meta.next", items="data"
    )
    assert items == [1, 2]


async def test_cursor_that_is_a_url_is_followed_as_it_is() -> None:
    answers = {
        "/titles": data([1], next="https://cm.example/titles/2?sort=x"),
        "/titles/2": data([2], next="/titles/3"),
        "/titles/3": data([3]),
    }
    items, pages = await walk(lambda url: answers[url.path], kind="cursor", cursor_path="next")
    assert items == [1, 2, 3]
    assert str(pages.asked[1]) == "https://cm.example/titles/2?sort=x"


async def test_link_header_is_followed_and_a_bare_list_understood() -> None:
    answers = {"/titles": Answer([1], "?page=2"), "/titles?page=2": Answer([2])}
    items, _ = await walk(lambda url: answers[url.path_qs.replace("?sort=id", "")], kind="link_header", items=".")
    assert items == [1, 2]


async def test_link_to_what_is_no_page_is_refused() -> None:
    with pytest.raises(CmError, match="a next page that is no URL: 'mailto:"):
        await walk(lambda _url: Answer([1], "mailto:cm@cm.example"), kind="link_header", items=".")


async def test_without_paging_one_page_is_all() -> None:
    items, pages = await walk(lambda _url: data([1, 2]), kind="none")
    assert (items, [str(url) for url in pages.asked]) == ([1, 2], ["https://cm.example/titles?sort=id"])


@pytest.mark.parametrize(
    "keys",
    [
        {"kind": "offset"},
        {"kind": "page"},
        {"kind": "keyset"},
        {"kind": "cursor", "cursor_path": "meta.next"},
    ],
)
async def test_cm_that_ignores_the_paging_is_noticed_on_the_second_page(keys: dict[str, Any]) -> None:
    asked = 0

    def answer(_url: URL) -> Answer:
        nonlocal asked
        asked += 1
        return data(rows(range(100)), meta={"next": f"c{asked}"})

    with pytest.raises(CmError, match="titles: CM sends the same page again"):
        await walk(answer, **keys)
    assert asked == 2


async def test_cursor_that_leads_in_circles_through_empty_pages_is_noticed() -> None:
    with pytest.raises(CmError, match="same page again"):
        await walk(lambda _url: data([], meta={"next": "c"}), kind="cursor", cursor_path="meta.next")


async def test_walk_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging_module, "PAGES_MAX", 5)
    with pytest.raises(CmError, match="more than 5 pages"):
        await walk(by_offset(1000), kind="offset", size=10)


@pytest.mark.parametrize(
    ("document", "keys", "message"),
    [
        ({"items": []}, {}, "cm.resources.titles.items: `data` is missing in CM's answer"),
        ({"data": {"1": {}}}, {}, "expected a list at `data`, got an object"),
        ("<html>", {}, "`data` is missing"),
        ({"data": [{"no": "id"}]}, {"kind": "keyset"}, "cm.paging.keyset_path: `id` is missing in an item"),
        ({"data": [{"id": [1]}]}, {"kind": "keyset"}, "expected a text or a number, got a list"),
        (
            {"data": [1], "next": {}},
            {"kind": "cursor", "cursor_path": "next"},
            "cm.paging.cursor_path: expected a text",
        ),
        ({"data": [1], "next": "http://[x"}, {"kind": "cursor", "cursor_path": "next"}, "a next page that is no URL"),
        ({"data": [1], "next": "http://"}, {"kind": "cursor", "cursor_path": "next"}, "a next page that is no URL"),
    ],
)
async def test_answer_of_another_shape_names_the_setting(document: object, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(CmError) as caught:
        await walk(lambda _url: Answer(document), **keys)
    assert message in caught.value.message


def test_cursor_paging_needs_to_know_where_the_cursor_stands() -> None:
    with pytest.raises(ConfigError, match=r"cm\.paging\.cursor_path is missing"):
        turner(kind="cursor")


@pytest.mark.parametrize("kind", ["offset", "keyset", "page"])
@pytest.mark.parametrize("total", [0, 20, 25])
async def test_collection_of_cm_comes_whole(cm: CmServer, kind: str, total: int) -> None:
    cm.cm.catalogue.replace(CmContent(titles=tuple(film(n) for n in range(1, total + 1))))
    resource = CmResource(path="/items/titles", query={"fields": "id", "sort": "id"})
    async with connect(cm.settings(), cm.clock) as connection:
        pager = Pager(connection.client, turner(kind=kind, size=10))
        ids = [item async for page in pager.pages(collection_of("titles", resource)) for item in page]
    assert ids == rows(range(1, total + 1))


async def test_keyset_does_not_slip_when_a_title_vanishes_during_the_walk(cm: CmServer) -> None:
    cm.cm.catalogue.replace(CmContent(titles=tuple(film(n) for n in range(1, 26))))
    resource = CmResource(path="/items/titles", query={"fields": "id", "sort": "id"})
    ids: list[object] = []
    async with connect(cm.settings(), cm.clock) as connection:
        async for page in Pager(connection.client, turner(kind="keyset", size=10)).pages(collection_of("t", resource)):
            ids += page
            if len(ids) == 10:
                cm.cm.catalogue.delete(Table.TITLES, 3)
    assert ids == rows(range(1, 26))
