"""`telecine queue`: uploads by code, as many as are asked for, and a count."""

from __future__ import annotations

import pytest
from tests.cmd.conftest import Deployment, film

from telecine.cmd import calling

FIRST, SECOND, THIRD = (f"CM_M{number:06d}_720P" for number in (1, 2, 3))


async def test_uploads_are_listed_by_code_and_counted(deployment: Deployment) -> None:
    await deployment.imports(film(1), film(2), film(3))
    await deployment.types("variant", "cancel", SECOND)
    said = await deployment.types("queue")
    assert said.lines == [[FIRST, "ready"], [SECOND, "cancelled"], [THIRD, "ready"]]
    assert said.err == "3 uploads: 2 ready, 1 cancelled\n"
    assert said.status == 0


async def test_an_empty_queue_is_no_error(deployment: Deployment) -> None:
    said = await deployment.types("queue")
    assert (said.status, said.out, said.err) == (0, "", "0 uploads\n")


async def test_only_one_state_is_listed(deployment: Deployment) -> None:
    await deployment.imports(film(1), film(2))
    await deployment.types("variant", "cancel", FIRST)
    said = await deployment.types("queue", "--state", "ready")
    assert said.lines == [[SECOND, "ready"]]


async def test_only_uploads_of_one_account_are_listed(deployment: Deployment) -> None:
    await deployment.imports(film(1), film(2))
    await deployment.enrols("cm-ember")
    await deployment.types("variant", "pin", SECOND, "cm-ember")
    said = await deployment.types("queue", "--account", "cm-ember")
    assert said.lines == [[SECOND, "ready"]]


@pytest.mark.parametrize("options", [[], ["--json"]])
async def test_an_account_that_is_not_there_is_named(deployment: Deployment, options: list[str]) -> None:
    said = await deployment.types("queue", "--account", "cm-nobody", *options)
    assert (said.status, said.out) == (1, "")
    assert "cm-nobody" in said.err


async def test_every_page_is_listed(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "PAGE_LENGTH", 2)
    await deployment.imports(*map(film, range(1, 6)))
    listed = await deployment.types("queue")
    assert [line[0] for line in listed.lines] == [f"CM_M{number:06d}_720P" for number in range(1, 6)]
    written = await deployment.types("queue", "--json")
    assert [upload["code"] for upload in written.document["variants"]] == [line[0] for line in listed.lines]
    assert written.document["after"] is None


async def test_a_limit_cuts_the_list_and_says_so(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "PAGE_LENGTH", 2)
    await deployment.imports(*map(film, range(1, 6)))
    listed = await deployment.types("queue", "--limit", 3)
    assert [line[0] for line in listed.lines] == [FIRST, SECOND, THIRD]
    assert listed.err == "3 uploads: 3 ready; there are more\n"
    assert (await deployment.types("queue", "--limit", 5)).err == "5 uploads: 5 ready\n", "there are no more"
    written = (await deployment.types("queue", "--limit", 3, "--json")).document
    assert (len(written["variants"]), written["after"]) == (3, THIRD)


async def test_json_is_one_document_of_the_api(deployment: Deployment) -> None:
    await deployment.imports(film(1))
    said = await deployment.types("queue", "--json")
    assert said.document == {"variants": [{"code": FIRST, "quality": "720P", "state": "ready"}], "after": None}
    assert said.err == ""


@pytest.mark.parametrize("arguments", [["--state", "lost"], ["--limit", "0"], ["show"]])
async def test_what_cannot_be_asked_is_a_mistake_of_the_person(deployment: Deployment, arguments: list[str]) -> None:
    said = await deployment.types("queue", *arguments)
    assert (said.status, said.out) == (2, "")
    assert "Usage: telecine queue" in said.err
