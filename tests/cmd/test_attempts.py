"""`telecine attempts`: the history, newest first."""

from __future__ import annotations

import pytest
from tests.cmd.conftest import Deployment, film

from telecine.cmd import calling

FIRST, SECOND = "CM_M000001_720P", "CM_M000002_720P"


@pytest.fixture
async def busy(deployment: Deployment) -> Deployment:
    """One upload failed with cm-ember, another one is done by cm-rora."""
    await deployment.imports(film(1), film(2))
    await deployment.enrols("cm-ember")
    await deployment.enrols("cm-rora")
    await deployment.fails("cm-ember")
    await deployment.uploads("cm-rora")
    return deployment


async def test_the_latest_attempt_comes_first(busy: Deployment) -> None:
    said = await busy.types("attempts")
    head, latest, before = said.lines
    assert head[0] == "code"
    assert (latest[0], before[0]) == (SECOND, FIRST)
    assert {"cm-rora", "done", "1.4"} <= set(latest)
    assert {"cm-ember", "failed", "gone"} <= set(before)
    assert said.out.splitlines()[2].endswith("404 Not Found")


@pytest.mark.parametrize(
    ("arguments", "code"), [([FIRST], FIRST), (["--worker", "cm-rora"], SECOND), (["--outcome", "failed"], FIRST)]
)
async def test_only_what_is_asked_for_is_shown(busy: Deployment, arguments: list[str], code: str) -> None:
    written = (await busy.types("attempts", *arguments, "--json")).document
    assert {attempt["code"] for attempt in written["attempts"]} == {code}


async def test_a_limit_is_kept_over_pages(busy: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        await busy.types("variant", "retry", FIRST)
        await busy.fails("cm-ember")
    monkeypatch.setattr(calling, "PAGE_LENGTH", 2)
    every = (await busy.types("attempts", "--json")).document
    some = (await busy.types("attempts", "--limit", 3, "--json")).document
    assert len(every["attempts"]) == 5
    assert every["before"] is None
    assert some["attempts"] == [dict(attempt, ago_s=some["attempts"][place]["ago_s"])
                                for place, attempt in enumerate(every["attempts"][:3])]  # fmt: skip
    assert some["before"] == some["attempts"][-1]["id"]


@pytest.mark.parametrize(("limit", "told"), [(1, "1 attempt; there are more: --limit N\n"), (2, "")])
async def test_a_history_that_is_cut_off_says_so(busy: Deployment, limit: int, told: str) -> None:
    said = await busy.types("attempts", "--limit", limit)
    assert (len(said.lines) - 1, said.err) == (limit, told)


async def test_no_attempt_is_no_error(deployment: Deployment) -> None:
    said = await deployment.types("attempts")
    assert (said.status, said.out, said.err) == (0, "", "no attempt\n")


@pytest.mark.parametrize("arguments", [["CM_M000999_720P"], ["--worker", "cm-nobody"]])
async def test_what_is_not_there_is_named(busy: Deployment, arguments: list[str]) -> None:
    said = await busy.types("attempts", *arguments)
    assert (said.status, said.out) == (1, "")
    assert arguments[-1] in said.err


@pytest.mark.parametrize("arguments", [["harbour"], ["--outcome", "lost"], ["--limit", "0"]])
async def test_what_cannot_be_asked_is_a_mistake_of_the_person(deployment: Deployment, arguments: list[str]) -> None:
    assert (await deployment.types("attempts", *arguments)).status == 2
