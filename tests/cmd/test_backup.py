"""`telecine backup`: whether replication moves, for a person and for an alarm."""

from __future__ import annotations

from pathlib import Path

from tests.cmd.conftest import Deployment, deploy


async def test_a_database_that_nobody_replicates_is_no_fault(deployment: Deployment) -> None:
    said = await deployment.types("backup")
    assert said.status == 0
    assert said.lines[0] == ["replication", "off"]
    assert (await deployment.types("backup", "--json")).document["state"] == "off"


async def test_a_replication_that_should_be_and_is_not_is_a_fault(tmp_path: Path) -> None:
    async with deploy(tmp_path, replicated=True) as deployment:
        said = await deployment.types("backup")
        assert said.status == 75
        assert said.lines[0] == ["replication", "unreachable"]
        assert "litestream_url" in said.err
        written = await deployment.types("backup", "--json")
        assert (written.status, written.document["state"]) == (75, "unreachable")
