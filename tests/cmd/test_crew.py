"""`telecine workers`, `accounts` and `channels`: who uploads, with what, and where to."""

from __future__ import annotations

import pytest
from tests.cmd.conftest import Deployment, film

CODE = "CM_M000001_720P"


@pytest.fixture
async def crew(deployment: Deployment) -> Deployment:
    """One film, and two workers that said hello."""
    await deployment.imports(film(1))
    await deployment.enrols("cm-ember")
    await deployment.enrols("cm-rora")
    return deployment


# ---- workers -------------------------------------------------------------------------------------


async def test_workers_are_listed_with_what_they_are_doing(crew: Deployment) -> None:
    await crew.beats("cm-ember", await crew.claims("cm-ember"), done=1, total=4)
    said = await crew.types("workers")
    head, ember, rora = said.out.splitlines()
    assert head.split() == ["worker", "account", "mode", "seen", "doing"]
    assert ember.startswith("cm-ember  cm-ember  active")
    assert ember.endswith(f"{CODE} uploading 25%")
    assert rora.endswith("waiting")


@pytest.mark.parametrize("arguments", [["workers", "--json"], ["workers", "list", "--json"]])
async def test_a_group_lists_where_no_subcommand_is_named(crew: Deployment, arguments: list[str]) -> None:
    written = (await crew.types(*arguments)).document
    assert [worker["name"] for worker in written["workers"]] == ["cm-ember", "cm-rora"]


async def test_a_worker_is_paused_drained_disabled_and_goes_on(crew: Deployment) -> None:
    for how, mode in (
        ("pause", "paused"),
        ("resume", "active"),
        ("drain", "draining"),
        ("resume", "active"),
        ("disable", "disabled"),
        ("resume", "active"),
    ):
        said = await crew.types("workers", how, "cm-ember")
        assert said.lines[1][:3] == ["cm-ember", "cm-ember", mode]
        assert {worker.name: worker.mode for worker in await crew.store.operations.workers()}["cm-ember"] == mode


async def test_what_a_paused_worker_has_stays_its_own(crew: Deployment) -> None:
    await crew.claims("cm-ember")
    written = (await crew.types("workers", "pause", "cm-ember", "--json")).document
    assert (written["mode"], [lease["code"] for lease in written["leases"]]) == ("paused", [CODE])
    assert (await crew.types("queue")).lines == [[CODE, "leased"]]


async def test_what_a_disabled_worker_had_is_taken_back(crew: Deployment) -> None:
    await crew.claims("cm-ember")
    written = (await crew.types("workers", "disable", "cm-ember", "--json")).document
    assert (written["mode"], written["leases"]) == ("disabled", [])
    assert (await crew.types("queue")).lines == [[CODE, "ready"]]


@pytest.mark.parametrize("how", ["pause", "resume", "drain", "disable"])
@pytest.mark.parametrize("name", ["cm-nobody", "cm/../no body?"])
async def test_a_worker_that_is_not_there_is_named(crew: Deployment, how: str, name: str) -> None:
    said = await crew.types("workers", how, name)
    assert (said.status, said.out) == (1, "")
    assert name in said.err


@pytest.mark.parametrize("name", ["", "..", "."])
async def test_a_name_that_none_can_have_is_a_mistake_of_the_person(crew: Deployment, name: str) -> None:
    said = await crew.types("workers", "drain", name)
    assert (said.status, said.out) == (2, "")
    assert "is not a name" in said.err


async def test_nobody_is_no_error(deployment: Deployment) -> None:
    for group, what in (("workers", "no worker"), ("accounts", "no account"), ("channels", "no channel")):
        said = await deployment.types(group)
        assert (said.status, said.out) == (0, "")
        assert what in said.err
        assert (await deployment.types(group, "--json")).document[group] == []


# ---- accounts ------------------------------------------------------------------------------------


async def test_an_account_is_parked_and_goes_on(crew: Deployment) -> None:
    parked = await crew.types("accounts", "park", "cm-ember", "--for", "2h", "--reason", "new [phone]")
    assert parked.status == 0
    listed = await crew.types("accounts")
    ember, rora = listed.out.splitlines()[1:]
    assert "2 h" in ember
    assert ember.endswith("new [phone]")
    assert rora.split()[-1] == "no"
    unparked = await crew.types("accounts", "unpark", "cm-ember")
    assert unparked.lines[1][-1] == "no"


@pytest.mark.parametrize(
    ("options", "uploads", "sends"),
    [
        ([], True, True),
        (["--uploads"], True, False),
        (["--sends"], False, True),
        (["--uploads", "--sends"], True, True),
    ],
)
async def test_uploads_and_sends_are_parked_apart(
    crew: Deployment, options: list[str], uploads: bool, sends: bool
) -> None:
    said = await crew.types("accounts", "park", "cm-ember", "--for", "30min", *options, "--json")
    assert (said.document["uploads_parked_s"] > 1700, said.document["sends_parked_s"] > 1700) == (uploads, sends)
    shown = (await crew.types("accounts")).out.splitlines()[1]
    assert ("uploads" in shown, "sends" in shown) == (uploads and not sends, sends and not uploads)


@pytest.mark.parametrize("arguments", [["park", "cm-nobody", "--for", "1h"], ["unpark", "cm-nobody"]])
async def test_an_account_that_is_not_there_is_named(crew: Deployment, arguments: list[str]) -> None:
    said = await crew.types("accounts", *arguments)
    assert (said.status, said.out) == (1, "")
    assert "cm-nobody" in said.err


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--for", "soon"],
        ["--for", "-1"],
        ["--for", "0"],
        ["--for", "1h", "--reason", "x" * 501],
        ["--for", "99999999d"],
    ],
)
async def test_a_park_has_an_end_and_a_short_reason(crew: Deployment, options: list[str]) -> None:
    assert (await crew.types("accounts", "park", "cm-ember", *options)).status == 2
    assert all(account.parked_s == 0 for account in await crew.store.operations.accounts())


# ---- channels ------------------------------------------------------------------------------------


async def test_channels_are_listed_added_and_retired(crew: Deployment) -> None:
    listed = await crew.types("channels")
    assert [line[:4] for line in listed.lines[1:]] == [
        ["1", "CM_C000001", "cm-ember", "open"],
        ["2", "CM_C000002", "cm-rora", "open"],
    ]
    added = await crew.types("channels", "add", "--account", "cm-ember")
    assert added.lines[1][:4] == ["3", "CM_C000003", "cm-ember", "planned"]
    assert (await crew.types("channels", "retire", 1)).lines[1][3] == "retired"
    own = (await crew.types("channels", "--account", "cm-ember", "--json")).document
    assert [(channel["id"], channel["state"]) for channel in own["channels"]] == [(1, "retired"), (3, "planned")]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["add", "--account", "cm-nobody"], "cm-nobody"),
        (["list", "--account", "cm-nobody"], "cm-nobody"),
        (["retire", "77"], "77"),
    ],
)
async def test_a_channel_or_its_account_that_is_not_there_is_named(
    crew: Deployment, arguments: list[str], named: str
) -> None:
    said = await crew.types("channels", *arguments)
    assert (said.status, said.out) == (1, "")
    assert named in said.err


@pytest.mark.parametrize("arguments", [["add"], ["retire"], ["retire", "first"], ["retire", "0"], ["close"]])
async def test_a_channel_is_added_to_an_account_and_retired_by_its_id(crew: Deployment, arguments: list[str]) -> None:
    assert (await crew.types("channels", *arguments)).status == 2


async def test_what_the_coordinator_refuses_is_said_with_the_field_at_fault(crew: Deployment) -> None:
    for arguments, complaint in (
        (("channels", "add", "--account", ""), "telecine: account: Expected `str` of length >= 1"),
        (("accounts", "park", "cm-ember", "--for", "99999999999d"), "telecine: seconds: Expected `float` <= "),
        (("channels", "retire", 10**20), "telecine: id: Expected `int` <= "),
        (("search", "a" * 600), "telecine: q: Expected `str` of length <= 256"),
        (("variant", "pin", CODE, ""), f"telecine: {CODE}: account: Expected `str` of length >= 1"),
    ):
        said = await crew.types(*arguments)
        assert (said.status, said.out) in {(1, ""), (2, "")}
        assert said.err.startswith(complaint)
