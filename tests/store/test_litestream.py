from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pysqlite3 import dbapi2

from telecine.core.coordinator.tokens import Scope, Tokens
from telecine.core.errors import NotFoundError
from telecine.store import Store

if TYPE_CHECKING:
    from tests.clocks import HandClock

LITESTREAM = Path(sys.executable).with_name("litestream")
ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "litestream.yml"
SECRET = 64 * "s"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The project's configuration on a port of its own."""
    text = CONFIG.read_text().replace("127.0.0.1:9090", "127.0.0.1:0")
    assert text != CONFIG.read_text()
    copy = tmp_path / "litestream.yml"
    copy.write_text(text)
    return copy


async def run(path: Path, *words: str | Path, replica: str = "replica") -> tuple[int, str]:
    """Run a program beside a database: its status, and what it said."""
    environ = {
        "PATH": f"{LITESTREAM.parent}:{os.environ['PATH']}",
        "TELECINE_DATABASE": str(path),
        "TELECINE_REPLICA_URL": f"file://{path.parent}/{replica}",
    }
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=path.parent,
        env={**os.environ, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode or 0, output.decode()


async def litestream(path: Path, *arguments: str) -> None:
    status, said = await run(path, LITESTREAM, *arguments)
    assert status == 0, said


def runbook(section: str) -> str:
    """What is to be typed, but for what starts the coordinator."""
    text = (ROOT / "docs" / "operations.md").read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
    return text.split("```\n")[1].removesuffix("telecine serve\n")


def ruin(path: Path) -> None:
    path.write_bytes(b"ruined")


def mode(path: Path) -> int | None:
    """Who may do what with a file; None where there is none."""
    return path.stat().st_mode & 0o777 if path.exists() else None


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


async def test_a_restore_as_the_runbook_says_brings_the_database_back_under_a_larger_epoch(
    path: Path, clock: HandClock, config: Path
) -> None:
    async with Store.open(path, clock=clock, replicated=True) as store:
        await store.shelf.note_user(7, "en")
        await litestream(path, "replicate", "-config", str(config), "-once")
    ruin(path)
    for lost in (1, 2):  # a second time, too, and what was lost first is kept
        status, said = await run(path, "sh", "-ec", runbook("Restore"))
        assert status == 0, said
        assert len(list(path.parent.glob("lost-*/telecine.db"))) == lost
        async with Store.open(path, clock=clock) as store:
            assert store.epoch > clock.now_ms() // 1000
    raw = dbapi2.connect(str(path))
    assert raw.execute("SELECT id FROM users").fetchall() == [(7,)]
    raw.close()
    assert mode(path) == 0o600


async def test_a_restore_to_an_earlier_moment_undoes_what_came_after_it(
    path: Path, clock: HandClock, config: Path
) -> None:
    async def issue(store: Store, jti: str) -> str:
        token, _ = await Tokens(SECRET, clock, store.tokens).issue("w", Scope.WORKER, ttl_s=3600, jti=jti)
        return f"Bearer {token}"

    async with Store.open(path, clock=clock, replicated=True) as store:
        revoked_later = await issue(store, "revoked")
        await litestream(path, "replicate", "-config", str(config), "-once")
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        await store.shelf.note_user(7, "en")
        await store.tokens.revoke("revoked")
        issued_later = await issue(store, "issued")
        await litestream(path, "replicate", "-config", str(config), "-once")
    words = runbook("Restore").replace("litestream restore", f"litestream restore -timestamp {moment}")
    status, said = await run(path, "sh", "-ec", words)
    assert status == 0, said
    async with Store.open(path, clock=clock) as store:
        tokens = Tokens(SECRET, clock, store.tokens)
        await tokens.load()
        for header in (revoked_later, issued_later):
            assert tokens.verify(header).subject == "w", "it holds for as long as the secret does"
        assert [token.jti for token in await tokens.issued()] == ["revoked"]
        with pytest.raises(NotFoundError):
            await tokens.revoke("issued")
    raw = dbapi2.connect(str(path))
    assert raw.execute("SELECT id FROM users").fetchall() == []
    raw.close()


async def test_a_restore_from_where_no_replica_is_fails_and_leaves_nothing_to_start_with(
    path: Path, clock: HandClock, config: Path
) -> None:
    async with Store.open(path, clock=clock, replicated=True):
        await litestream(path, "replicate", "-config", str(config), "-once")
    status, said = await run(path, "sh", "-ec", runbook("Restore"), replica="replika")
    assert (status, mode(path)) == (1, None), said
    assert "no matching backup" in said
