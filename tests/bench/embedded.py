"""The embedded Telegram and source host as a program of their own, with an account that is signed in to it."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from tests.bench.report import MeasurementError
from tests.bench.servers import STOP_WAIT_S

from telecine.core.config import TelegramSettings
from telecine.core.emulator.control.client import EmulatorControl
from telecine.core.worker.telegram.login import sign_in

ACCOUNT = "ember"
PHONE = "15550001"
_SERVER = re.compile(r'server = "(.+)"')
_MEDIA = re.compile(r"^source files\s+(\S+)/$")
_CONTROL = re.compile(r"^control\s+(\S+)/state$")


class Embedded(msgspec.Struct, frozen=True):
    """An emulator that listens, and the session file of its one account, which is Premium."""

    pid: int
    telegram: TelegramSettings
    media_url: str
    control_url: str
    session: Path

    def control(self) -> EmulatorControl:
        return EmulatorControl(self.control_url)


@contextmanager
def embedded(folder: Path, *, media: Path | None = None, in_memory: bool = False) -> Iterator[Embedded]:
    """An emulator from when its account is signed in to the end of the block; sessions lie in `folder`.

    What it is sent is kept on the disk below `folder`, or else `in_memory`. Raises MeasurementError where it does not
    start.
    """
    command = [sys.executable, "-m", "telecine.cmd", "emulator", "--mtproto-port", "0", "--http-port", "0"]
    command += ["--data", str(folder / "emulator"), "--account", f"{ACCOUNT}:{PHONE}:premium"]
    if in_memory:
        command.append("--in-memory")
    if media is not None:
        command += ["--media", str(media)]
    log = folder / "emulator.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
    assert process.stdout is not None
    try:
        telegram, media_url, control_url = _hear(process.stdout, log, folder / "emulator" / "public_key.pem")
        session = folder / f"{ACCOUNT}.session"
        asyncio.run(_signed_in(telegram, control_url, session))
        yield Embedded(process.pid, telegram, media_url, control_url, session)
    finally:
        process.terminate()
        try:
            process.wait(STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _hear(lines: Iterator[str], log: Path, public_key: Path) -> tuple[TelegramSettings, str, str]:
    server = media = ""
    for line in lines:
        if match := _SERVER.search(line):
            server = match[1]
        elif match := _MEDIA.search(line.rstrip()):
            media = match[1]
        elif match := _CONTROL.search(line.rstrip()):
            telegram = TelegramSettings(api_id=1, api_hash="a" * 32, server=server, public_key=public_key)
            return telegram, media, match[1]
    raise MeasurementError(f"the emulator does not start: {log.read_text()[-2000:]}")


async def _signed_in(telegram: TelegramSettings, control_url: str, session: Path) -> None:
    async with EmulatorControl(control_url) as control:

        async def code() -> str:
            return await control.login_code(PHONE)

        async def password() -> str:
            raise MeasurementError("the account has no password")

        await sign_in(telegram, session, phone=PHONE, ask_code=code, ask_password=password)
