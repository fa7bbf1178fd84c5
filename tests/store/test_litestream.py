from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pysqlite3 import dbapi2

from telecine.store import Store

if TYPE_CHECKING:
    from tests.clocks import HandClock

LITESTREAM = Path(sys.executable).with_name("litestream")
CONFIG = Path(__file__).parents[2] / "litestream.yml"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The project's configuration on a port of its own."""
    text = CONFIG.read_text().replace("127.0.0.1:9090", "127.0.0.1:0")
    assert text != CONFIG.read_text()
    copy = tmp_path / "litestream.yml"
    copy.write_text(text)
    return copy


async def litestream(path: Path, *arguments: str) -> None:
    environ = {"TELECINE_DATABASE": str(path), "TELECINE_REPLICA_URL": f"file://{path.parent}/replica"}
    process = await asyncio.create_subprocess_exec(
        LITESTREAM,
        *arguments,
        env={**os.environ, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, output.decode()


async def test_a_replicated_database_comes_back(path: Path, clock: HandClock, config: Path) -> None:
    async with Store.open(path, clock=clock, replicated=True) as store:
        for user_id in range(3):
            await store.shelf.note_user(user_id, "en")
            await litestream(path, "replicate", "-config", str(config), "-once")
    restored = path.with_name("restored.db")
    check = ("-integrity-check", "full", "-o", str(restored))
    await litestream(path, "restore", "-config", str(config), *check, str(path))
    raw = dbapi2.connect(str(restored))
    assert raw.execute("SELECT id FROM users").fetchall() == [(0,), (1,), (2,)]
    raw.close()
    async with Store.open(restored, clock=clock) as store:
        assert (await store.catalogue.counts()).titles == 0, "what Litestream adds to a database does not disturb"
