"""A post that the bot has seen is kept, or shown again: whenever the process dies."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, nullcontext
from pathlib import Path

import pytest
from pysqlite3 import dbapi2
from tests.bot.conftest import BOT_ID, FILM, PATIENCE_S, TOKEN
from tests.bot.emulated import emulated, logged, running

from telecine.bot.service import TelecineBot
from telecine.core.clock import SystemClock
from telecine.core.config import BotSettings, TelegramSettings
from telecine.store import Store

PROGRAM = """
import asyncio, os, sys
from pathlib import Path
from tests.bot.test_bot_crash import bot_on
from telecine.core.clock import SystemClock
from telecine.store import Store
from telecine.store.shelf import SqliteShelf

path, url, die = Path(sys.argv[1]), *sys.argv[2:]
save = SqliteShelf.save_bot_file

async def told_save(self, file):
    os.write(1, b"saving\\n")
    await save(self, file)
    if die == "kept":
        os._exit(9)

SqliteShelf.save_bot_file = told_save

async def main():
    async with Store.open(path, clock=SystemClock()) as store:
        os.write(1, b"open\\n")
        await asyncio.to_thread(sys.stdin.readline)
        await bot_on(store, url).run()

asyncio.run(main())
"""
PROGRAM_START_S = 30.0
BUSY, KEPT = "busy", "kept"  # when it dies: while it waits for the database, or between the commit and the confirmation


def bot_on(store: Store, url: str) -> TelecineBot:
    return TelecineBot(
        TelegramSettings(api_id=1, api_hash="0" * 32, bot_token=TOKEN, bot_api_url=url),
        BotSettings(),
        catalogue=store.catalogue,
        shelf=store.shelf,
        requeue=store.operations,
        clock=SystemClock(),
    )


@asynccontextmanager
async def program(path: Path, url: str, die: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, str(path), url, die),
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@contextmanager
def busy(path: Path) -> Iterator[None]:
    """Somebody else holds the database."""
    raw = dbapi2.connect(str(path), isolation_level=None)
    raw.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        raw.close()


async def die_while_saving(path: Path, url: str, die: str) -> None:
    """Run the bot until it dies over a post."""
    async with program(path, url, die) as process, asyncio.timeout(PROGRAM_START_S):
        assert process.stdin is not None
        assert process.stdout is not None
        assert await process.stdout.readline() == b"open\n"
        with busy(path) if die == BUSY else nullcontext():
            process.stdin.write(b"go\n")
            assert await process.stdout.readline() == b"saving\n"
            if die == BUSY:
                process.kill()
            await process.wait()


@pytest.mark.parametrize("die", [BUSY, KEPT])
async def test_a_post_outlives_the_process_that_was_keeping_it(tmp_path: Path, die: str) -> None:
    path = tmp_path / "telecine.db"
    async with emulated() as telegram:
        post = telegram.upload(FILM)
        await die_while_saving(path, telegram.url, die)
        assert telegram.bot.updates[-1].message is not None, "what may not have been kept is not confirmed"

        async with Store.open(path, clock=SystemClock()) as store:
            assert (await store.catalogue.counts()).bot_files == (die == KEPT)
            with logged("kept the file_id") as kept:
                async with running(bot_on(store, telegram.url)):
                    await asyncio.wait_for(kept.wait(), PATIENCE_S)
            assert (await store.catalogue.counts()).bot_files == 1
            with closing(dbapi2.connect(str(path))) as raw:
                (row,) = raw.execute("SELECT bot_id, channel_telegram_id, message_id FROM bot_files").fetchall()
            assert row == (BOT_ID, post.channel_id, post.post_id)
        assert telegram.bot.updates == []
