"""Standard streams that are closed, or that nobody takes anything from: what was asked for is done all the same."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cmd.conftest import Deployment, Said, film

FIRST, SECOND, THIRD = (f"CM_M{number:06d}_720P" for number in (1, 2, 3))


def shell(line: str, settings: Path, *words: str) -> Said:
    """What a shell says to `line`, in which `"$@"` is the program with its settings and `words`."""
    program = [sys.executable, "-m", "telecine.cmd", "--config", str(settings), *words]
    done = subprocess.run(
        ["/bin/sh", "-c", line, "sh", *program], stdin=subprocess.DEVNULL, check=False, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    return Said(done.returncode, done.stdout, done.stderr)


async def typed(deployment: Deployment, line: str, *words: str) -> Said:
    """The same while the coordinator answers."""
    return await asyncio.to_thread(shell, line, deployment.settings, *words)


async def priority(deployment: Deployment, code: str) -> int:
    return (await deployment.store.catalogue.variant(code)).priority


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
async def test_a_closed_stream_spoils_no_command(deployment: Deployment, closed: str) -> None:
    await deployment.imports(film(1))
    said = await typed(deployment, f'"$@" {closed}', "variant", "priority", FIRST, "4")
    assert said.status == 0, said.err
    assert said.err == ""
    assert said.lines == ([] if ">&-" in closed.split() else [[FIRST, "ready", "priority", "4"]])
    assert await priority(deployment, FIRST) == 4


async def test_where_standard_input_is_closed_nobody_agrees(deployment: Deployment) -> None:
    await deployment.imports(film(1))
    said = await typed(deployment, '"$@" <&-', "variant", "cancel", "--state", "ready")
    assert said.status == 2
    assert "nothing was changed" in said.err
