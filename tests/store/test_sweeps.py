from __future__ import annotations

import pytest
from tests.store.conftest import Scene, film, link

from telecine.core.leases import Swept, VariantState
from telecine.core.reasons import Reason
from telecine.store import sweeps


async def test_an_empty_queue_is_never_due(scene: Scene) -> None:
    assert await scene.store.sweeper.sweep() == Swept(0, 0, None)


async def test_an_expired_lease_is_taken_back_once(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")), film("2", link("b")))
    first = await scene.lease("w")
    scene.clock.advance(30)
    second = await scene.lease("w")
    assert await scene.store.sweeper.sweep() == Swept(0, 0, scene.clock.ms + 30_000)
    scene.clock.advance(30)
    assert await scene.store.sweeper.sweep() == Swept(1, 0, scene.clock.ms + 30_000)
    assert await scene.store.sweeper.sweep() == Swept(0, 0, scene.clock.ms + 30_000)
    expired = await scene.store.catalogue.variant(first.code)
    assert (expired.state, expired.expiries, expired.attempts, expired.worker) == (VariantState.READY, 1, 1, None)
    assert (await scene.store.catalogue.variant(second.code)).state is VariantState.LEASED
    assert scene.sql("SELECT outcome, started_at_ms, finished_at_ms FROM upload_attempts") == [
        ("expired", scene.clock.ms - 60_000, scene.clock.ms)
    ]


async def test_a_delay_ends_when_it_is_due(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")))
    lease = await scene.lease("w")
    await scene.fails("w", lease, {1: Reason.RATE_LIMITED})
    assert await scene.store.sweeper.sweep() == Swept(0, 0, scene.clock.ms + 30_000)
    scene.clock.advance(30)
    assert await scene.store.sweeper.sweep() == Swept(0, 1, None)
    assert (await scene.lease("w")).code == lease.code


async def test_a_sweep_takes_back_any_number(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "ROWS_MAX", 5)
    count = 2 * sweeps.ROWS_MAX + 1
    await scene.enrol("w")
    await scene.imports(*(film(str(n), link(str(n))) for n in range(count)))
    for _ in range(count):
        await scene.lease("w")
    scene.clock.advance(60)
    assert await scene.store.sweeper.sweep() == Swept(count, 0, None)


async def test_where_a_lease_stood_when_it_expired_is_kept(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")))
    await scene.beat("w", await scene.lease("w"))
    scene.clock.advance(60)
    await scene.store.sweeper.sweep()
    assert scene.sql("SELECT link_id, stage FROM upload_attempts") == [(1, "uploading")]


# ---- leases that could not be beaten -------------------------------------------------------------


async def test_what_was_finished_while_nobody_could_be_told_is_settled_afterwards(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")))
    lease = await scene.lease("w")
    scene.clock.advance(3600)  # the coordinator is away
    await scene.store.sweeper.renew()
    assert await scene.store.sweeper.sweep() == Swept(0, 0, scene.clock.ms + 60_000)
    await scene.done("w", lease)
    assert (await scene.store.catalogue.variant(lease.code)).state is VariantState.DONE


async def test_a_lease_that_is_not_beaten_after_all_were_renewed_says_nothing_against_its_variant(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")))
    lease = await scene.lease("w")
    await scene.store.sweeper.renew()
    scene.clock.advance(60)
    assert (await scene.store.sweeper.sweep()).expired == 1
    given_back = await scene.store.catalogue.variant(lease.code)
    assert (given_back.state, given_back.expiries, given_back.attempts) == (VariantState.READY, 0, 0)
    assert scene.sql("SELECT outcome, detail FROM upload_attempts") == [
        ("expired", "not beaten since the coordinator or its database was away, or its clock was put")
    ]


async def test_a_lease_that_was_beaten_after_all_were_renewed_counts_when_it_runs_out(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")))
    lease = await scene.lease("w")
    await scene.store.sweeper.renew()
    scene.clock.advance(1)
    await scene.beat("w", lease)
    scene.clock.advance(60)
    await scene.store.sweeper.sweep()
    assert (await scene.store.catalogue.variant(lease.code)).expiries == 1


async def test_a_clock_that_was_put_back_does_not_keep_the_leases_of_who_is_gone(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")))
    await scene.lease("w")
    scene.clock.advance(-7200)
    await scene.store.sweeper.renew()
    scene.clock.advance(60)
    assert (await scene.store.sweeper.sweep()).expired == 1
