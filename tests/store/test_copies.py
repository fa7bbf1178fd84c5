"""Second copies: planned when the original is done, with another account."""

from __future__ import annotations

import asyncio
import re

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.conftest import Scene, episode, film, link, series, uploaded

from telecine.core.errors import ConflictError
from telecine.core.events import VariantChanged
from telecine.core.leases import LinkFate, VariantState
from telecine.core.operator_protocol import WorkerMode
from telecine.core.plans import file_bytes_max
from telecine.core.protocol import Lease, SettleFailed, SourceReport
from telecine.core.quality import Quality
from telecine.core.reasons import Reason
from telecine.store import copies
from telecine.store.sql import QUERIES

CODE, COPY, AS_SD = "CM_M000001_720P", "CM_M000001_720P_C02", "CM_M000001_480P"


def variants(scene: Scene) -> list[tuple[object, ...]]:
    return scene.sql(
        "SELECT v.code, v.state, a.name FROM upload_variants v LEFT JOIN accounts a ON a.id = v.account_id"
        " ORDER BY v.id"
    )


async def links(scene: Scene, code: str) -> list[tuple[str, LinkFate]]:
    return [(source.cm_id, source.fate) for source in (await scene.store.catalogue.variant(code)).sources]


async def state(scene: Scene, code: str) -> VariantState:
    return (await scene.store.catalogue.variant(code)).state


# ---- planning ------------------------------------------------------------------------------------


async def test_what_is_done_of_a_chosen_title_is_queued_for_another_account(held: Scene) -> None:
    await held.store.sweeper.sweep()
    assert variants(held) == [(CODE, "done", None), (COPY, "ready", "v")]
    assert await links(held, COPY) == [("b", LinkFate.UNTRIED), ("a", LinkFate.UNTRIED)], "what worked goes first"
    assert await held.claim("w") is None, "the account of the original does not get the copy"
    lease = await held.lease("v")
    assert (lease.code, [source.url[-5:] for source in lease.sources]) == (COPY, ["b.mkv", "a.mkv"])


async def test_a_copy_that_is_queued_is_told_of(held: Scene) -> None:
    before = held.store.events.newest
    await held.store.sweeper.sweep()
    [told] = await held.store.events.after(before, limit=9)
    assert msgspec.json.decode(told.data, type=VariantChanged) == VariantChanged(COPY, VariantState.READY)


async def test_a_copy_is_queued_once(copied: Scene) -> None:
    for code, move in ((COPY, copied.store.operations.withdraw), (COPY, copied.store.operations.requeue)):
        await move(code)
        await copied.store.sweeper.sweep()
    assert [code for code, *_ in variants(copied)] == [CODE, COPY]


async def test_only_what_is_done_of_chosen_titles_is_copied(scene: Scene) -> None:
    for worker in ("w", "v"):
        await scene.enrol(worker)
    await scene.imports(film("1", link("a")), film("2", link("b"), link("c", Quality.SD)))
    await scene.store.operations.set_copies(2, 2)
    for _ in range(2):
        await scene.done("w", await scene.lease("w"))
    await scene.store.sweeper.sweep()
    assert [code for code, *_ in variants(scene) if str(code).endswith("C02")] == ["CM_M000002_720P_C02"]


async def test_a_copy_wakes_who_waits_for_work(held: Scene) -> None:
    waiting = asyncio.create_task(held.store.queue.wait_for_work(3600.0))
    await asyncio.sleep(0)  # let it begin to wait
    await held.store.sweeper.sweep()
    await waiting


async def test_copies_wait_until_there_is_another_account(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.enrol("w2", account="w")
    await scene.imports(film("1", link("a")))
    await scene.done("w", await scene.lease("w"))
    await scene.store.operations.set_copies(1, 2)
    await scene.store.sweeper.sweep()
    assert len(variants(scene)) == 1
    await scene.enrol("v")
    await scene.store.sweeper.sweep()
    assert variants(scene)[1] == (COPY, "ready", "v")


@pytest.mark.parametrize("mode", [WorkerMode.DRAINING, WorkerMode.DISABLED])
async def test_an_account_whose_workers_may_not_claim_gets_no_copy(held: Scene, mode: WorkerMode) -> None:
    await held.store.operations.set_mode("v", mode)
    await held.store.sweeper.sweep()
    assert len(variants(held)) == 1


async def test_an_account_whose_workers_are_silent_gets_no_copy(held: Scene) -> None:
    held.clock.advance(copies.SEEN_WITHIN_S + 1)
    await held.store.sweeper.sweep()
    assert len(variants(held)) == 1


async def test_a_file_that_is_too_large_for_an_account_is_not_left_to_it(held: Scene) -> None:
    held.sql("UPDATE telegram_objects SET size_bytes = ?", file_bytes_max(premium=False) + 1)
    held.sql("UPDATE accounts SET premium = 0 WHERE name = 'v'")
    await held.store.sweeper.sweep()
    assert len(variants(held)) == 1
    await held.enrol("u")
    await held.store.sweeper.sweep()
    assert variants(held)[1] == (COPY, "ready", "u")


async def test_copies_are_spread_over_the_accounts(scene: Scene) -> None:
    for worker in ("w", "v", "u"):
        await scene.enrol(worker)
    await scene.imports(series("1", *(episode(str(n), 1, n, link(f"l{n}")) for n in range(1, 7))))
    for _ in range(6):
        await scene.done("w", await scene.lease("w"))
    await scene.store.operations.set_copies(1, 2)
    await scene.store.sweeper.sweep()
    accounts = [account for code, _, account in variants(scene) if str(code).endswith("C02")]
    assert sorted(map(str, accounts)) == ["u", "u", "u", "v", "v", "v"]


async def test_of_two_accounts_the_one_that_holds_less_gets_the_copy(held: Scene) -> None:
    await held.imports(film("2", link("c")))
    await held.done("v", await held.lease("v"), 21)
    await held.enrol("u", channels=1)
    await held.store.sweeper.sweep()
    assert variants(held)[-1] == (COPY, "ready", "u")


async def test_what_was_too_large_once_is_copied_by_the_size_it_has_now(held: Scene) -> None:
    held.sql("UPDATE accounts SET premium = 0 WHERE name = 'v'")
    held.sql("UPDATE telegram_objects SET size_bytes = ?", file_bytes_max(premium=False) + 1)
    await held.store.operations.requeue(CODE)
    await held.done("w", await held.lease("w"), 12)
    held.sql("UPDATE telegram_objects SET size_bytes = ? WHERE message_id = 12", file_bytes_max(premium=False))
    await held.store.sweeper.sweep()
    assert variants(held)[1] == (COPY, "ready", "v")


async def test_every_original_is_looked_at_in_whatever_order_its_title_came_to_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "BATCH_ROWS", 2)
    for worker in ("w", "v"):
        await scene.enrol(worker)
    await scene.imports(film("1", link("a")), film("2", link("b"), link("c", Quality.SD)), film("3", link("f")))
    await scene.imports(film("1", link("a"), link("d", Quality.SD), link("e", Quality.FULL_HD)))
    for title in (1, 2, 3):
        await scene.store.operations.set_copies(title, 2)
    for _ in range(6):
        await scene.done("w", await scene.lease("w"))
    for copies_then in (2, 4, 6):
        await scene.store.sweeper.sweep()
        assert len(variants(scene)) == 6 + copies_then


async def test_every_original_is_looked_at_batch_by_batch(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "BATCH_ROWS", 2)
    for worker in ("w", "v"):
        await scene.enrol(worker)
    await scene.imports(
        film("1", link("a")),
        series("2", *(episode(str(n), 1, n, link(str(n))) for n in range(4))),
        film("3", link("b")),
    )
    for title in (1, 2):
        await scene.store.operations.set_copies(title, 2)
    for _ in range(6):
        await scene.done("w", await scene.lease("w"))
    seen = []
    for _ in range(3):
        await scene.store.sweeper.sweep()
        seen.append(len(variants(scene)) - 6)
    assert seen == [2, 4, 5]
    await scene.store.operations.set_copies(3, 2)
    for _ in range(3):
        await scene.store.sweeper.sweep()
    assert len(variants(scene)) == 12, "behind the last it begins anew"


async def test_what_has_no_link_any_more_is_not_copied_until_it_has_one(scene: Scene) -> None:
    for worker in ("w", "v"):
        await scene.enrol(worker)
    await scene.imports(film("1", link("a")))
    lease = await scene.lease("w")
    adopted = msgspec.structs.replace(uploaded(lease, 11), sources=())  # sent before, by whichever link
    await scene.store.queue.settle("w", lease.lease, adopted)
    await scene.imports(film("1", link("a", Quality.SD)))
    await scene.store.operations.set_copies(1, 2)
    await scene.store.sweeper.sweep()
    assert [code for code, *_ in variants(scene)] == [CODE, "CM_M000001_480P"]
    await scene.imports(film("1", link("a", Quality.SD), link("b")))
    await scene.store.sweeper.sweep()
    assert variants(scene)[2] == (COPY, "ready", "v")
    await scene.store.operations.prioritise(COPY, 0)
    assert [source.url for source in (await scene.lease("v")).sources] == ["http://b.example/b.mkv"]


async def test_a_copy_goes_elsewhere_when_its_original_comes_to_its_account(copied: Scene) -> None:
    await copied.store.operations.requeue(CODE)
    await copied.done("v", await copied.lease("v"), 22)
    await copied.store.sweeper.sweep()
    assert variants(copied) == [(CODE, "done", None), (COPY, "ready", "w")]
    await copied.done("w", await copied.lease("w"), 12)
    await copied.store.sweeper.sweep()
    assert variants(copied) == [(CODE, "done", None), (COPY, "done", "w")]


async def test_a_copy_stays_while_there_is_nowhere_else_to_go(copied: Scene) -> None:
    await copied.store.operations.requeue(CODE)
    await copied.done("v", await copied.lease("v"), 22)
    await copied.store.operations.set_mode("w", WorkerMode.DRAINING)
    await copied.store.sweeper.sweep()
    assert variants(copied) == [(CODE, "done", None), (COPY, "done", "v")]


async def test_a_copy_that_turns_out_too_large_for_its_account_goes_to_a_larger_one(held: Scene) -> None:
    held.sql("UPDATE accounts SET premium = 0 WHERE name = 'v'")
    await held.store.sweeper.sweep()
    lease, size_bytes = await held.lease("v"), file_bytes_max(premium=False) + 1
    reports = tuple(SourceReport(one.link_id, Reason.TOO_LARGE, size_bytes=size_bytes) for one in lease.sources)
    await held.store.queue.settle("v", lease.lease, SettleFailed(Reason.TOO_LARGE, reports))
    await held.store.sweeper.sweep()
    assert variants(held)[1] == (COPY, "ready", "v"), "there is no larger account"
    await held.enrol("u")
    await held.store.sweeper.sweep()
    assert variants(held)[1] == (COPY, "ready", "u")


async def test_a_copy_is_not_pinned_to_the_account_of_its_original(held: Scene) -> None:
    await held.store.sweeper.sweep()
    with pytest.raises(ConflictError):
        await held.store.operations.pin(COPY, "w")


async def test_a_sweep_reads_nothing_where_no_copies_are_wanted(scene: Scene) -> None:
    query = re.sub(r":\w+", "1", QUERIES["originals_to_copy"])
    steps = [str(step[3]) for step in scene.sql(f"EXPLAIN QUERY PLAN {query}")]
    assert "titles_copied" in steps[0], steps
    assert all(step.startswith("SEARCH") for step in steps), steps


# ---- imports -------------------------------------------------------------------------------------


async def test_an_import_that_changes_nothing_leaves_copies_alone(copied: Scene) -> None:
    before = copied.sql("SELECT * FROM upload_variants"), copied.sql("SELECT * FROM variant_sources")
    copied.clock.advance(10)
    counts = await copied.imports(film("1", link("a"), link("b")))
    assert (counts.variants, counts.variants_new) == (1, 0)
    assert (copied.sql("SELECT * FROM upload_variants"), copied.sql("SELECT * FROM variant_sources")) == before


async def test_a_copy_gains_the_links_that_its_original_gains(held: Scene) -> None:
    await held.store.sweeper.sweep()
    await held.imports(film("1", link("a"), link("b"), link("c")))
    assert [cm_id for cm_id, _ in await links(held, COPY)] == ["b", "a", "c"]
    assert [cm_id for cm_id, _ in await links(held, CODE)] == ["a", "b", "c"]


async def test_a_new_link_brings_back_a_copy_that_had_run_out_of_links(held: Scene) -> None:
    await held.store.sweeper.sweep()
    lease = await held.lease("v")
    await held.fails("v", lease, {source.link_id: Reason.GONE for source in lease.sources})
    assert await state(held, COPY) is VariantState.DEAD
    await held.imports(film("1", link("a"), link("b"), link("c")))
    assert await state(held, COPY) is VariantState.READY
    assert [source.url[-5:] for source in (await held.lease("v")).sources] == ["c.mkv"]


async def test_a_link_that_moves_away_leaves_the_copy_as_well(held: Scene) -> None:
    await held.store.sweeper.sweep()
    await held.imports(film("1", link("a", Quality.SD), link("b")))
    assert await links(held, CODE) == [("b", LinkFate.USED)]
    assert await links(held, COPY) == [("b", LinkFate.UNTRIED)]


async def test_a_link_that_a_copy_was_made_of_stays_with_it(held: Scene) -> None:
    await held.store.sweeper.sweep()
    lease = await held.lease("v")
    await held.fails("v", lease, {lease.sources[0].link_id: Reason.GONE})
    await held.done("v", await held.lease("v"), 21)
    await held.imports(film("1", link("a", Quality.SD), link("b")))
    assert await links(held, COPY) == [("b", LinkFate.FAILED), ("a", LinkFate.USED)]
    counts = await held.store.catalogue.counts()
    assert (counts.links, counts.links_planned) == (2, 2)


async def test_the_links_of_a_copy_that_is_being_uploaded_change_at_a_later_import(held: Scene) -> None:
    await held.store.sweeper.sweep()
    lease: Lease = await held.lease("v")
    changed = film("1", link("a", Quality.SD), link("b"), link("c"))
    await held.imports(changed)
    assert [cm_id for cm_id, _ in await links(held, COPY)] == ["b", "a"]
    await held.fails("v", lease, {lease.sources[0].link_id: Reason.GONE})
    await held.imports(changed)
    assert [cm_id for cm_id, _ in await links(held, COPY)] == ["b", "c"]


async def test_a_copy_waits_for_the_host_that_its_next_link_has_moved_to(held: Scene) -> None:
    await held.store.sweeper.sweep()
    await held.imports(film("1", link("a"), link("b", url="http://moved.example/b.mkv")))
    [(host,)] = held.sql("SELECT h.name FROM upload_variants v JOIN hosts h ON h.id = v.host_id WHERE v.code = ?", COPY)
    assert host == "moved.example"


async def test_a_copy_that_was_being_uploaded_waits_where_the_link_points_that_it_gained_since(held: Scene) -> None:
    await held.store.sweeper.sweep()
    lease = await held.lease("v")
    changed = film("1", link("a", Quality.SD), link("b"), link("c"))
    await held.imports(changed)
    await held.fails("v", lease, {lease.sources[0].link_id: Reason.GONE})
    await held.imports(changed)
    [(host,)] = held.sql("SELECT h.name FROM upload_variants v JOIN hosts h ON h.id = v.host_id WHERE v.code = ?", COPY)
    assert host == "c.example"


listings = st.dictionaries(st.sampled_from("bcde"), st.sampled_from([Quality.HD, Quality.SD]))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(listings, min_size=1, max_size=5))
async def test_whatever_is_listed_a_copy_has_the_links_of_its_original(
    held: Scene, listed: list[dict[str, Quality]]
) -> None:
    await held.store.sweeper.sweep()
    for listing in listed:
        await held.imports(film("1", link("a"), *(link(cm_id, quality) for cm_id, quality in listing.items())))
        assert {cm_id for cm_id, _ in await links(held, COPY)} == {cm_id for cm_id, _ in await links(held, CODE)}
        counts = await held.store.catalogue.counts()
        assert counts.links_planned == counts.links
