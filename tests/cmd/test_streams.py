"""Standard streams that are closed, or that nobody takes anything from: what was asked for is done all the same."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import msgspec
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


def unread(settings: Path, *words: str, errors_too: bool = False) -> Said:
    """What the program says on standard error while the pipe of its standard output has lost its reader."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "telecine.cmd", "--config", str(settings), *words],
            stdin=subprocess.DEVNULL, stdout=writing, stderr=writing if errors_too else subprocess.PIPE, check=False,
            text=True, timeout=60,
        )  # fmt: skip
    finally:
        os.close(writing)
    return Said(done.returncode, "", done.stderr or "")


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


@pytest.mark.parametrize("encoding", ["latin-1", "koi8-r"])
async def test_a_name_that_the_terminals_encoding_lacks_is_escaped(deployment: Deployment, encoding: str) -> None:
    await deployment.imports(msgspec.structs.replace(film(1), name="\u65e5\u672c 1"))
    said = await typed(deployment, f'PYTHONIOENCODING={encoding} "$@"', "search")
    assert (said.status, said.err) == (0, "")
    assert said.lines[1] == ["1", "movie", r"\u65e5\u672c", "1", "1999", "0"]
    said = await typed(deployment, f'PYTHONIOENCODING={encoding} "$@"', "search", "--json")
    assert said.document["titles"][0]["name"] == "\u65e5\u672c 1"


async def test_where_standard_input_is_closed_nobody_agrees(deployment: Deployment) -> None:
    await deployment.imports(film(1))
    said = await typed(deployment, '"$@" <&-', "variant", "cancel", "--state", "ready")
    assert said.status == 2
    assert "telecine: nothing was changed" in said.err.splitlines()


@pytest.mark.parametrize("words", [("queue",), ("queue", "--json"), ("status",), ("--help",), ("work", "--help")])
async def test_a_pipe_without_a_reader_ends_a_command_as_sigpipe_would(
    deployment: Deployment, words: tuple[str, ...]
) -> None:
    await deployment.imports(film(1))
    said = await asyncio.to_thread(unread, deployment.settings, *words)
    assert (said.status, said.err) == (141, "")


async def test_errors_without_a_reader_end_a_command_so_too(tmp_path: Path) -> None:
    for words in (["status"], ["uplaod"]):
        said = await asyncio.to_thread(unread, tmp_path / "none.toml", *words, errors_too=True)
        assert said.status == 141


async def test_all_are_moved_though_nobody_reads_of_it(deployment: Deployment) -> None:
    await deployment.imports(film(1), film(2), film(3))
    said = await asyncio.to_thread(unread, deployment.settings, "variant", "priority", FIRST, SECOND, THIRD, "4")
    assert (said.status, said.err) == (141, "")
    assert [await priority(deployment, code) for code in (FIRST, SECOND, THIRD)] == [4, 4, 4]


async def test_those_that_are_refused_are_told_of_though_nobody_reads_of_the_others(deployment: Deployment) -> None:
    await deployment.imports(film(1), film(2))
    words = ("variant", "priority", FIRST, "CM_M000999_720P", SECOND, "4")
    said = await asyncio.to_thread(unread, deployment.settings, *words)
    assert said.status == 1
    assert said.err.splitlines() == [
        "there is no upload target CM_M000999_720P",
        "telecine: 1 of 3 uploads stayed as before",
    ]
    assert await priority(deployment, SECOND) == 4


@pytest.mark.parametrize("words", [("queue",), ("queue", "--json"), ("status",), ("status", "--json"), ("--help",)])
async def test_a_disk_that_is_full_is_told_of_in_one_line(deployment: Deployment, words: tuple[str, ...]) -> None:
    await deployment.imports(film(1))
    said = await typed(deployment, '"$@" >/dev/full', *words)
    assert (said.status, said.err) == (1, "telecine: standard output: No space left on device\n")


async def test_where_nothing_can_be_said_the_status_is_left(deployment: Deployment) -> None:
    assert (await typed(deployment, '"$@" >/dev/full 2>/dev/full', "status")).status == 1


async def test_all_are_moved_though_the_disk_is_full(deployment: Deployment) -> None:
    await deployment.imports(film(1), film(2))
    said = await typed(deployment, '"$@" >/dev/full', "variant", "priority", FIRST, SECOND, "4")
    assert (said.status, said.err) == (1, "telecine: standard output: No space left on device\n")
    assert [await priority(deployment, code) for code in (FIRST, SECOND)] == [4, 4]
