"""`telecine hosts`: the servers that links point to."""

from __future__ import annotations

import pytest
from tests.cmd.conftest import Deployment, film

from telecine.core.catalogue import ImportedLink, ImportedTitle, PlannedVariant, TitleKind
from telecine.core.quality import Quality
from telecine.core.reasons import Reason

HOST, PORTED = "files.example", "files.example:8080"


@pytest.fixture
async def sources(deployment: Deployment) -> Deployment:
    """A film on each of two hosts, and a worker."""
    await deployment.imports(film(1, HOST), film(2, PORTED))
    await deployment.enrols("cm-ember")
    return deployment


async def test_hosts_are_listed_with_who_reads_from_them(sources: Deployment) -> None:
    await sources.claims("cm-ember")
    head, first, second = (await sources.types("hosts")).out.splitlines()
    assert head.split() == ["host", "reading", "may", "waiting", "left", "alone", "why"]
    assert first.split() == [HOST, "1", "any", "0", "no"]
    assert second.split() == [PORTED, "0", "any", "1", "no"]


@pytest.mark.parametrize("host", [HOST, PORTED])
async def test_a_host_is_limited_and_set_free(sources: Deployment, host: str) -> None:
    limited = await sources.types("hosts", "limit", host, 2)
    assert limited.lines[1][:3] == [host, "0", "2"]
    free = (await sources.types("hosts", "limit", host, "--default", "--json")).document
    assert (free["name"], free["leases_max"]) == (host, None)


async def test_a_host_that_was_left_alone_is_tried_again(sources: Deployment) -> None:
    await sources.fails("cm-ember", Reason.NETWORK, "connection [reset]")
    parked = {host["name"]: host["parked_s"] > 0 for host in (await sources.types("hosts", "--json")).document["hosts"]}
    assert parked == {HOST: True, PORTED: False}
    assert (await sources.types("hosts", "unpark", HOST)).lines[1][4] == "no"


async def test_files_are_a_host_of_their_own(deployment: Deployment) -> None:
    link = ImportedLink("link", "file:///srv/media/1.mp4", Quality.HD, "field")
    plan = (PlannedVariant(Quality.HD, (link.cm_id,)),)
    await deployment.imports(ImportedTitle("title", TitleKind.MOVIE, "Film", 1999, links=(link,), variants=plan))
    await deployment.enrols("cm-ember")
    await deployment.fails("cm-ember", Reason.NETWORK, "the file cannot be read: Stale file handle")
    assert ["reads", "from", "file:"] in (await deployment.types("variant", "show", "CM_M000001_720P")).lines
    assert [host["name"] for host in (await deployment.types("hosts", "--json")).document["hosts"]] == ["file:"]
    assert (await deployment.types("hosts", "unpark", "file:")).lines[1][:5] == ["file:", "0", "any", "0", "no"]
    assert (await deployment.types("hosts", "limit", "file:", 2)).lines[1][:3] == ["file:", "0", "2"]


@pytest.mark.parametrize("arguments", [["limit", "nowhere.example", "2"], ["unpark", "nowhere.example"]])
async def test_a_host_that_is_not_there_is_named(sources: Deployment, arguments: list[str]) -> None:
    said = await sources.types("hosts", *arguments)
    assert (said.status, said.out) == (1, "")
    assert "nowhere.example" in said.err


@pytest.mark.parametrize("arguments", [[HOST], [HOST, "2", "--default"], [HOST, "many"], [HOST, "--", "-1"]])
async def test_a_limit_is_a_number_or_the_default(sources: Deployment, arguments: list[str]) -> None:
    assert (await sources.types("hosts", "limit", *arguments)).status == 2


async def test_no_host_is_no_error(deployment: Deployment) -> None:
    said = await deployment.types("hosts")
    assert (said.status, said.out) == (0, "")
    assert "telecine import" in said.err
