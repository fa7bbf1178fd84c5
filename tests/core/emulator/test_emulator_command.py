"""`telecine emulator` as a process of its own: what it prints, how it ends, what it leaves."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.waiting import until

from telecine.cmd.emulator import emulator as command
from telecine.core.emulator.cm.content import Table
from telecine.core.emulator.control.client import EmulatorControl
from telecine.core.emulator.telegram.keys import ServerKey
from telecine.core.errors import ConfigError, InputError

START_TIMEOUT_S = 30.0
OPTIONS = ("--account", "ember:+15550101:premium", "--bot", "films_bot:7000001:AAtoken")


@asynccontextmanager
async def running(data: Path, *options: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The command on free ports, and what it printed; killed if it still runs in the end."""
    code = "from telecine.cmd.main import main; main()"
    ports = ("--mtproto-port", "0", "--http-port", "0")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, "emulator", "--data", str(data), *ports, *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            yield process, (await process.stdout.readuntil(b"/code\n")).decode()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def control_of(printed: str) -> EmulatorControl:
    found = re.search(r"control +(http://\S+)/state", printed)
    assert found, printed
    return EmulatorControl(found[1])


@pytest.fixture
def data(tmp_path: Path, server_key: ServerKey) -> Path:
    (tmp_path / "server-key.pem").write_bytes(server_key.private_pem())
    return tmp_path


async def test_command_tells_clients_the_way_and_ends_on_ctrl_c(data: Path, server_key: ServerKey) -> None:
    async with running(data, *OPTIONS) as (process, printed), control_of(printed) as control:
        state = await control.state()
        assert f'server = "{state.addresses.mtproto}"' in printed
        assert f'TelegramAPIServer.from_base("{state.addresses.bot_api_url}")' in printed
        assert (data / "public_key.pem").read_text() == server_key.public_pem
        assert [(one.name, one.premium) for one in state.accounts] == [("ember", True)]
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0


async def test_killed_command_has_kept_what_was_done(data: Path) -> None:
    async with running(data, *OPTIONS) as (process, printed), control_of(printed) as control:
        await control.add_account("15550102", "rora")
        await control.add_cm_row(Table.TITLES, name="Kept", kind="movie")
        await until(lambda: b"rora" in state_file(data))
        process.kill()
        await process.wait()
    async with running(data, *OPTIONS) as (_, printed), control_of(printed) as control:
        assert [one.name for one in (await control.state()).accounts] == ["ember", "rora"]
        assert [title.name for title in (await control.cm_content()).titles] == ["Kept"]


@pytest.mark.parametrize("account", ["ember", "ember:", ":+15550101", "ember:+15550101:rich"])
def test_account_that_does_not_fit_is_refused(tmp_path: Path, account: str) -> None:
    with pytest.raises(InputError, match="expected NAME:PHONE"):
        run("--data", str(tmp_path), "--account", account)


@pytest.mark.parametrize("bot", ["films_bot", "films_bot:secret-token", "films_bot:42", ":42:secret"])
def test_bot_that_does_not_fit_is_refused_without_telling_its_token(tmp_path: Path, bot: str) -> None:
    with pytest.raises(InputError, match="expected USERNAME:ID:SECRET") as refused:
        run("--data", str(tmp_path), "--bot", bot)
    assert "secret" not in refused.value.message


def test_key_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"public_key\.pem cannot be written"):
        run("--in-memory", "--data", str(tmp_path / "file" / "below"), "--mtproto-port", "0", "--http-port", "0")


def run(*arguments: str) -> None:
    CliRunner().invoke(command, arguments, catch_exceptions=False, standalone_mode=False)


def state_file(data: Path) -> bytes:
    path = data / "world.msgpack"
    return path.read_bytes() if path.exists() else b""
