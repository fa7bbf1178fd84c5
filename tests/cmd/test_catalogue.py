"""`telecine search`, `title` and `status`: the catalogue, and everything in one look."""

from __future__ import annotations

import pytest
from tests.cmd.conftest import Deployment, film, series

FILM, EPISODE = "CM_M000001_720P", "CM_S000002_S01E01_720P"


@pytest.fixture
async def catalogue(deployment: Deployment) -> Deployment:
    """A film that is uploaded, and a series that is not."""
    await deployment.imports(film(1), series(2))
    await deployment.enrols("cm-ember")
    await deployment.uploads("cm-ember")
    return deployment


async def test_titles_are_found_by_their_names(catalogue: Deployment) -> None:
    found = await catalogue.types("search", "film")
    assert found.lines[1] == ["1", "movie", "Film", "1", "1999", "1"]
    written = (await catalogue.types("search", "series", "--json")).document
    assert [title["name"] for title in written["titles"]] == ["Series 2"]
    nothing = await catalogue.types("search", "harbour")
    assert (nothing.status, nothing.out, nothing.err) == (0, "", "nothing found\n")


async def test_all_that_is_found_is_listed_however_many_pages_it_takes(deployment: Deployment) -> None:
    await deployment.imports(*map(film, range(1, 202)))
    for words in ((), ("film",)):
        listed = await deployment.types("search", *words)
        assert (len(listed.lines), listed.err) == (1 + 201, "")
        written = (await deployment.types("search", *words, "--json")).document
        assert {title["id"] for title in written["titles"]} == set(range(1, 202))


@pytest.mark.parametrize(
    ("limit", "listed", "told"),
    [(1, 1, "1 title; there are more\n"), (100, 100, "100 titles; there are more\n"), (101, 101, ""), (300, 101, "")],
)
async def test_a_search_that_is_cut_off_says_so(deployment: Deployment, limit: int, listed: int, told: str) -> None:
    await deployment.imports(*map(film, range(1, 102)))
    said = await deployment.types("search", "--limit", limit)
    assert (len(said.lines) - 1, said.err) == (listed, told)
    assert len((await deployment.types("search", "--limit", limit, "--json")).document["titles"]) == listed


async def test_a_title_is_shown_with_its_uploads(catalogue: Deployment) -> None:
    said = await catalogue.types("title", "show", 1)
    assert ["name", "Film", "1", "(1999)"] in said.lines
    assert said.lines[-1] == [FILM, "done"]
    assert (await catalogue.types("title", "show", 2)).lines[-1] == [EPISODE, "ready", "The", "Pilot"]
    assert (await catalogue.types("title", "show", 1, "--json")).document["variants"][0]["state"] == "done"


async def test_a_title_is_withdrawn_when_the_person_agrees(catalogue: Deployment) -> None:
    refused = await catalogue.types("title", "withdraw", 1, answering="n\n")
    assert refused.status != 0
    assert "nothing was changed" in refused.err
    assert (await catalogue.types("title", "withdraw", 1, answering="y\n")).lines == [[FILM, "withdrawn"]]
    written = (await catalogue.types("title", "withdraw", 2, "--yes", "--json")).document
    assert written == {"variants": [{"code": EPISODE, "state": "cancelled"}]}
    again = await catalogue.types("title", "withdraw", 2, "--yes")
    assert (again.status, again.out) == (0, "")


async def test_a_second_copy_of_a_title_is_wanted(catalogue: Deployment) -> None:
    said = await catalogue.types("title", "copies", 1, 2)
    assert (said.status, said.err) == (0, "each upload of title 1 is to be held by 2 accounts\n")
    assert (await catalogue.types("title", "copies", 1, 1, "--json")).document == {"copies": 1}


@pytest.mark.parametrize("arguments", [["show", "77"], ["withdraw", "77", "--yes"], ["copies", "77", "2"]])
async def test_a_title_that_is_not_there_is_named(catalogue: Deployment, arguments: list[str]) -> None:
    said = await catalogue.types("title", *arguments)
    assert (said.status, said.out) == (1, "")
    assert "there is no title 77" in said.err


@pytest.mark.parametrize("arguments", [["show", "Film"], ["show", "0"], ["copies", "1"], ["copies", "1", "3"]])
async def test_what_cannot_be_asked_is_a_mistake_of_the_person(catalogue: Deployment, arguments: list[str]) -> None:
    said = await catalogue.types("title", *arguments)
    assert said.status == 2
    assert "integer range" not in said.err


async def test_the_status_is_everything_in_one_look(catalogue: Deployment) -> None:
    await catalogue.types("accounts", "park", "cm-ember", "--for", "2h", "--reason", "holiday")
    said = await catalogue.types("status")
    assert "2 titles, 1 episode, 2 links" in said.out
    assert "2 uploads: 1 ready, 1 done" in said.out
    assert "1 file in 1 channel" in said.out
    assert "holiday" in said.out
    written = (await catalogue.types("status", "--json")).document
    assert written["counts"]["variants"] == 2
    assert [worker["name"] for worker in written["workers"]] == ["cm-ember"]


async def test_the_status_of_an_empty_deployment_says_so(deployment: Deployment) -> None:
    said = await deployment.types("status")
    assert said.status == 0
    assert "0 uploads: none" in said.out
    assert "no worker has called yet" in said.out


async def test_an_import_that_cannot_be_is_refused(deployment: Deployment) -> None:
    said = await deployment.types("import", "--json")
    assert (said.status, said.out) == (1, "")
    assert "not here" in said.err
