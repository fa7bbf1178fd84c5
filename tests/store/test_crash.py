"""What is left when the process dies: everything that was answered, nothing that was half done."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.store.conftest import Scene

from telecine.store import Store

if TYPE_CHECKING:
    from tests.clocks import HandClock

PROGRAM = """
import asyncio, os, sys
from pathlib import Path
from telecine.core.clock import SystemClock
from telecine.core.protocol import ClaimRequest, Hello, ObjectReport, SettleDone, SourceReport
from telecine.store import Store
from telecine.store.transaction import Transaction
from tests.store.conftest import film, link

path, die_at = Path(sys.argv[1]), int(sys.argv[2])
steps = 0
look, make, change, tell = Transaction._run, Transaction._make, Transaction.change, Transaction.tell

def step():
    global steps
    steps += 1
    if steps == die_at:
        os._exit(9)  # in the writer's thread, in the middle of a transaction

def counted(call):
    def counting(self, *args):
        step()
        answer = call(self, *args)
        step()
        return answer
    return counting

async def upload(store, n, desks):
  async with desks:
    lease = await store.queue.claim("w", ClaimRequest("b", f"r{n}"))
    sent = ObjectReport(1, 1, 501, 100 + n, 1, "0" * 64)
    used = SourceReport(lease.sources[0].link_id, None)
    settled = await store.queue.settle("w", lease.lease, SettleDone((sent,), (used,), "direct"))
    os.write(1, f"{settled.code}\\n".encode())

async def main():
    async with Store.open(path, clock=SystemClock()) as store:
        await store.queue.hello("w", "a", Hello("b", "1", 1, True), channels_wanted=1)
        await store.queue.channel_opened("w", 1, 501)
        run = await store.intake.begin_import()
        await store.intake.import_titles(run.id, [film(str(n), link(str(n))) for n in range(20)])
        Transaction._run, Transaction._make = counted(look), counted(make)
        Transaction.change, Transaction.tell = counted(change), counted(tell)
        desks = asyncio.Semaphore(3)
        await asyncio.gather(*(upload(store, n, desks) for n in range(20)))

asyncio.run(main())
"""


async def run_until_death(path: Path, die_at: int) -> tuple[int, list[str]]:
    """The program's exit status and the codes it was told are done."""
    root = Path(__file__).parents[2]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, str(path), str(die_at), cwd=root, stdout=subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode or 0, output.decode().split()


@pytest.mark.parametrize("die_at", [1, 30, 111, 207, 304, 419, 100_000])
async def test_what_was_answered_survives_and_what_was_not_is_whole_or_absent(
    path: Path, clock: HandClock, die_at: int
) -> None:
    status, answered = await run_until_death(path, die_at)
    assert status == (9 if die_at < 100_000 else 0)
    async with Store.open(path, clock=clock) as store:
        scene = Scene(store, clock, path)
        counts = await store.catalogue.counts()
        done = {variant.code for variant in await store.catalogue.variants() if variant.state == "done"}
        assert set(answered) <= done
        assert counts.objects == counts.links_by_fate.get("used", 0) == counts.attempts == len(done)
        assert scene.sql("PRAGMA integrity_check") == [("ok",)]
        assert scene.sql("SELECT sum(messages) FROM channels") == [(len(done),)]
        told = scene.sql("SELECT data ->> 'code' FROM events WHERE kind = 'variant'")
        assert sorted(code for (code,) in told) == sorted(done), "what happened is told, and nothing else"
    assert len(answered) == 20 or die_at < 100_000
    assert answered or die_at < 40, "some were answered before"
