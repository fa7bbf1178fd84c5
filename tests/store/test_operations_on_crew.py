"""Operators look at workers and accounts, drain and disable, park and unpark; and read the history."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from tests.store.conftest import Scene, film, link

from telecine.core.errors import InputError, LeaseLostError, NotFoundError
from telecine.core.events import EventKind
from telecine.core.leases import AttemptOutcome, VariantState
from telecine.core.operator_protocol import Park, WorkerMode
from telecine.core.protocol import (
    BeatRequest,
    Outcome,
    SettleFailed,
    SettleFloodWait,
    SettleReleased,
    SourceReport,
    Verdict,
)
from telecine.core.reasons import Reason
from telecine.store import Store
from telecine.store.sql import QUERIES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.clocks import HandClock

UPLOADS = "upload.saveBigFilePart"
SENDS = "messages.sendMedia"


@pytest.fixture
async def queued(scene: Scene) -> Scene:
    """Films that wait, and two workers with an account each."""
    for worker in ("w", "x"):
        await scene.enrol(worker)
    await scene.imports(*(film(str(n), link(f"l{n}"), link(f"m{n}")) for n in range(1, 5)))
    return scene


async def waiting(scene: Scene) -> asyncio.Task[None]:
    task = asyncio.create_task(scene.store.queue.wait_for_work(3600))
    for _ in range(2):  # it begins to wait, and so does its timer
        await asyncio.sleep(0)
    return task


# ---- workers ---------------------------------------------------------------------------------------


async def test_workers_are_shown_with_what_they_hold(queued: Scene) -> None:
    lease = await queued.lease("w")
    await queued.beat("w", lease)
    queued.clock.advance(3)
    w, x = await queued.store.operations.workers()
    assert [(held.code, held.progress.bytes_done) for held in w.leases] == [(lease.code, 7)]
    assert (w.account, w.version, w.mode, w.seen_ago_s) == ("w", "1.0", WorkerMode.ACTIVE, 3.0)
    assert x.leases == ()


async def test_a_draining_worker_finishes_what_it_has_and_gets_nothing_more(queued: Scene) -> None:
    lease = await queued.lease("w")
    status = await queued.store.operations.set_mode("w", WorkerMode.DRAINING)
    assert (status.mode, len(status.leases)) == (WorkerMode.DRAINING, 1)
    answer = await queued.beat("w", lease)
    assert (answer.drain, answer.leases[0].verdict) == (True, Verdict.GO_ON)
    assert await queued.claim("w") is None
    assert (await queued.done("w", lease)).state is VariantState.DONE
    assert await queued.claim("x") is not None, "others go on"


async def test_a_paused_worker_keeps_what_it_has_and_gets_nothing_more(queued: Scene) -> None:
    lease = await queued.lease("w")
    status = await queued.store.operations.set_mode("w", WorkerMode.PAUSED)
    assert (status.mode, len(status.leases)) == (WorkerMode.PAUSED, 1)
    for _ in range(4):
        queued.clock.advance(50)
        answer = await queued.beat("w", lease)
        assert (answer.pause, answer.drain, answer.leases[0].verdict) == (True, True, Verdict.GO_ON)
        await queued.store.sweeper.sweep()
    assert await queued.claim("w") is None
    assert await queued.claim("x") is not None, "others go on"
    await queued.store.operations.set_mode("w", WorkerMode.ACTIVE)
    answer = await queued.beat("w", lease)
    assert (answer.pause, answer.drain) == (False, False)
    assert (await queued.done("w", lease)).state is VariantState.DONE


async def test_a_paused_worker_that_falls_silent_loses_what_it_has(queued: Scene) -> None:
    lease = await queued.lease("w")
    await queued.store.operations.set_mode("w", WorkerMode.PAUSED)
    queued.clock.advance(61)
    await queued.store.sweeper.sweep()
    assert (await queued.lease("x")).code == lease.code
    assert (await queued.beat("w", lease)).leases[0].verdict is Verdict.LOST


@pytest.mark.parametrize("mode", [mode for mode in WorkerMode if mode is not WorkerMode.PAUSED])
async def test_no_other_mode_pauses(queued: Scene, mode: WorkerMode) -> None:
    await queued.store.operations.set_mode("w", mode)
    assert not (await queued.store.queue.beat("w", BeatRequest("boot-1"))).pause


async def test_a_disabled_worker_loses_what_it_has_and_nothing_is_spent(queued: Scene) -> None:
    lease, other = await queued.lease("w"), await queued.lease("x")
    task = await waiting(queued)
    assert (await queued.store.operations.set_mode("w", WorkerMode.DISABLED)).leases == ()
    await asyncio.wait_for(task, 5)
    detail = await queued.store.catalogue.variant(lease.code)
    assert (detail.state, detail.attempts, detail.expiries) == (VariantState.READY, 0, 0)
    answer = await queued.beat("w", lease)
    assert (answer.drain, answer.leases[0].verdict) == (True, Verdict.LOST)
    with pytest.raises(LeaseLostError):
        await queued.done("w", lease)
    assert await queued.claim("w") is None
    assert (await queued.lease("x")).code == lease.code
    assert (await queued.beat("x", other)).leases[0].verdict is Verdict.GO_ON


async def test_the_history_says_that_an_operator_took_a_lease(queued: Scene) -> None:
    lease = await queued.lease("w")
    await queued.store.operations.set_mode("w", WorkerMode.DISABLED)
    (attempt,) = await queued.store.operations.attempts(code=lease.code)
    assert (attempt.outcome, attempt.detail) == (AttemptOutcome.RELEASED, "an operator disabled the worker")


async def test_a_worker_that_is_let_go_on_is_woken(queued: Scene) -> None:
    await queued.store.operations.set_mode("w", WorkerMode.DISABLED)
    task = await waiting(queued)
    await queued.store.operations.set_mode("w", WorkerMode.ACTIVE)
    await asyncio.wait_for(task, 5)
    assert await queued.claim("w") is not None
    assert not (await queued.store.queue.beat("w", BeatRequest("boot-1"))).drain


async def test_a_mode_outlives_the_worker_s_restart(queued: Scene) -> None:
    await queued.store.operations.set_mode("w", WorkerMode.DRAINING)
    await queued.hello("w", boot="boot-2")
    assert await queued.claim("w", boot="boot-2") is None
    assert [status.mode for status in await queued.store.operations.workers()] == [
        WorkerMode.DRAINING,
        WorkerMode.ACTIVE,
    ]


async def test_a_worker_of_nobody_has_no_mode_and_no_history(queued: Scene) -> None:
    with pytest.raises(NotFoundError, match="no worker nobody"):
        await queued.store.operations.set_mode("nobody", WorkerMode.ACTIVE)
    with pytest.raises(NotFoundError, match="no worker nobody"):
        await queued.store.operations.attempts(worker="nobody")


# ---- accounts --------------------------------------------------------------------------------------


async def test_accounts_are_shown_with_what_they_have(queued: Scene) -> None:
    await queued.enrol("w2", account="w", channels=2)
    await queued.lease("w")
    await queued.lease("w2")
    w, x = await queued.store.operations.accounts()
    assert (w.name, w.premium, w.channels, w.leases) == ("w", True, 2, 2)
    assert (x.channels, x.leases, x.parked_s, x.park_reason) == (1, 0, 0.0, None)


async def test_a_parked_account_claims_nothing_until_its_time_has_come(queued: Scene) -> None:
    status = await queued.store.operations.park("w", Park(60, reason="the phone is lost"))
    assert (status.uploads_parked_s, status.sends_parked_s, status.park_reason) == (60.0, 60.0, "the phone is lost")
    assert await queued.claim("w") is None
    assert await queued.claim("x") is not None
    task = await waiting(queued)
    queued.clock.advance(60)
    await asyncio.wait_for(task, 5)
    assert await queued.claim("w") is not None
    assert [(one.parked_s, one.park_reason) for one in await queued.store.operations.accounts()] == [(0.0, None)] * 2


async def test_parked_messages_let_parts_be_uploaded_ahead(queued: Scene) -> None:
    status = await queued.store.operations.park("w", Park(700, uploads=False))
    assert (status.uploads_parked_s, status.sends_parked_s) == (0.0, 700.0)
    assert await queued.claim("w") is None, "Telegram would drop the parts before"
    task = await waiting(queued)
    queued.clock.advance(100)
    await asyncio.wait_for(task, 5)
    assert (await queued.lease("w")).sends_parked_s == 600.0


async def test_a_park_never_cuts_short_what_telegram_said(queued: Scene) -> None:
    lease = await queued.lease("w")
    await queued.store.queue.settle("w", lease.lease, SettleFloodWait(300, UPLOADS))
    status = await queued.store.operations.park("w", Park(60, reason="ours"))
    assert (status.uploads_parked_s, status.sends_parked_s) == (300.0, 60.0)
    assert status.park_reason is not None
    assert UPLOADS in status.park_reason, "the reason of the longer one"
    status = await queued.store.operations.park("w", Park(600, sends=False, reason="ours"))
    assert (status.uploads_parked_s, status.sends_parked_s, status.park_reason) == (600.0, 60.0, "ours")


async def test_the_reason_that_is_shown_is_that_of_the_longest_park(queued: Scene) -> None:
    async def shown() -> str:
        return str((await queued.store.operations.accounts())[0].park_reason)

    *shorter, last = [await queued.lease("w") for _ in range(4)]
    failed = SourceReport(shorter[2].sources[0].link_id, Reason.TELEGRAM)
    outcomes: tuple[Outcome, ...] = (
        SettleFloodWait(5, SENDS),
        SettleFloodWait(6, UPLOADS),
        SettleFailed(Reason.TELEGRAM, (failed,)),
    )
    await queued.store.operations.park("w", Park(120, uploads=False, reason="the phone is lost"))
    for lease, outcome in zip(shorter, outcomes, strict=True):
        await queued.store.queue.settle("w", lease.lease, outcome)
        assert await shown() == "the phone is lost"
        queued.clock.advance(7)
    await queued.store.queue.settle("w", last.lease, SettleFloodWait(300, SENDS))
    assert SENDS in await shown()


async def test_unparking_ends_every_park_and_the_climb(queued: Scene) -> None:
    for method in (UPLOADS, SENDS):
        lease = await queued.lease("w")
        await queued.store.queue.settle("w", lease.lease, SettleFloodWait(900, method))
        await queued.store.operations.unpark("w")
    failing = await queued.lease("w")
    await queued.fails("w", failing, {failing.sources[0].link_id: Reason.TELEGRAM})
    assert await queued.claim("w") is None
    task = await waiting(queued)
    status = await queued.store.operations.unpark("w")
    assert (status.parked_s, status.park_reason) == (0.0, None)
    await asyncio.wait_for(task, 5)
    assert await queued.claim("w") is not None
    assert queued.sql("SELECT rung FROM accounts WHERE name = 'w'") == [(0,)]


async def test_a_park_of_nothing_is_refused(queued: Scene) -> None:
    with pytest.raises(InputError, match="neither"):
        await queued.store.operations.park("w", Park(60, uploads=False, sends=False))


async def test_a_park_by_an_operator_outlives_a_restart(path: Path, clock: HandClock) -> None:
    async with Store.open(path, clock=clock) as store:
        scene = Scene(store, clock, path)
        await scene.enrol("w")
        await scene.imports(film("1", link("a")))
        await store.operations.park("w", Park(30))
    async with Store.open(path, clock=clock) as store:
        scene = Scene(store, clock, path)
        assert await scene.claim("w") is None
        task = await waiting(scene)
        clock.advance(30)
        await asyncio.wait_for(task, 5)
        assert await scene.claim("w") is not None


async def test_modes_and_parks_are_told(queued: Scene) -> None:
    after = queued.store.events.newest
    await queued.store.operations.set_mode("w", WorkerMode.DRAINING)
    await queued.store.operations.set_mode("w", WorkerMode.DRAINING)  # as it was
    await queued.store.operations.park("w", Park(60))
    await queued.store.operations.unpark("w")
    kinds = [event.kind for event in await queued.store.events.after(after, limit=10)]
    assert kinds == [EventKind.WORKER, EventKind.ACCOUNT, EventKind.ACCOUNT]


# ---- history ---------------------------------------------------------------------------------------


@pytest.fixture
async def history(queued: Scene) -> Scene:
    """Film 1: given back by x, failed at one link and done at the next by w. Film 2: done by x."""
    lease = await queued.lease("x")
    await queued.store.queue.settle("x", lease.lease, SettleReleased())
    lease = await queued.lease("w")
    await queued.fails("w", lease, {lease.sources[0].link_id: Reason.GONE})
    queued.clock.advance(10)
    await queued.done("w", await queued.lease("w"), 1)
    await queued.done("x", await queued.lease("x"), 2)
    return queued


async def test_the_history_is_told_from_the_newest_on(history: Scene) -> None:
    records = await history.store.operations.attempts()
    assert [(one.code[-10:-5], one.worker, one.outcome.value) for one in records] == [
        ("00002", "x", "done"),
        ("00001", "w", "done"),
        ("00001", "w", "failed"),
        ("00001", "x", "released"),
    ]
    failed = records[2]
    assert (failed.reason, failed.detail, failed.bytes_read, failed.fence) == (Reason.GONE, "why", 10, 2)
    assert (failed.account, failed.ago_s, failed.lasted_s) == ("w", 10.0, 0.0)
    assert records[1].plan == "direct"


async def test_the_history_comes_in_pages(history: Scene) -> None:
    whole = await history.store.operations.attempts()
    first = await history.store.operations.attempts(limit=3)
    assert await history.store.operations.attempts(before=first[-1].id, limit=3) == whole[3:]
    assert first == whole[:3]
    assert await history.store.operations.attempts(before=whole[-1].id) == ()


SIFTED: list[tuple[dict[str, Any], list[int]]] = [
    ({"code": "CM_M000001_720P"}, [1, 2, 3]),
    ({"code": "CM_M000001_720P", "worker": "w"}, [1, 2]),
    ({"code": "CM_M000001_720P", "outcome": AttemptOutcome.FAILED}, [2]),
    ({"worker": "x"}, [0, 3]),
    ({"worker": "x", "outcome": AttemptOutcome.DONE}, [0]),
    ({"outcome": AttemptOutcome.DONE}, [0, 1]),
    ({"outcome": AttemptOutcome.RELEASED}, [3]),
    ({"worker": "w", "outcome": AttemptOutcome.RELEASED}, []),
    ({"code": "CM_M000003_720P"}, []),
]


async def test_the_history_is_sifted_by_upload_worker_and_outcome(history: Scene) -> None:
    whole = await history.store.operations.attempts()
    for filters, rows in SIFTED:
        assert await history.store.operations.attempts(**filters) == tuple(whole[row] for row in rows), filters
        for row, following in pairwise(rows):
            page = await history.store.operations.attempts(limit=1, before=whole[row].id, **filters)
            assert page == (whole[following],), filters


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("attempt_ids_of_variant", "USING INDEX upload_attempts_of_lease (variant_id=?"),
        ("attempt_ids_with_outcome", "upload_attempts_by_outcome (outcome=?"),
        ("attempts_by_id", "SEARCH t USING INTEGER PRIMARY KEY"),
    ],
)
async def test_no_part_of_the_history_is_read_that_is_not_asked_for(scene: Scene, query: str, index: str) -> None:
    statement = re.sub(r":\w+", "?", QUERIES[query])
    plan = [row[3] for row in scene.sql(f"EXPLAIN QUERY PLAN {statement}", *[None] * statement.count("?"))]
    assert any(index in step for step in plan), plan
    assert not any(step.startswith("SCAN upload_attempts") for step in plan), plan


async def test_the_history_is_counted_by_its_indexes_alone(history: Scene) -> None:
    told = Counter(one.outcome.value for one in await history.store.operations.attempts())
    counts = await history.store.catalogue.counts()
    assert counts.attempts_by_outcome == told
    assert len(told) > 1
    plan = [row[3] for row in history.sql(f"EXPLAIN QUERY PLAN {QUERIES['count_attempts_by_outcome']}")]
    looks = [step for step in plan if "upload_attempts" in step]
    assert looks
    assert all("COVERING INDEX" in step for step in looks), plan
