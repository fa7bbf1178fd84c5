"""What is recorded with each change, and that nothing else is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.store.conftest import POLICY, Scene, film, link

from telecine.core.errors import ConflictError, LeaseLostError
from telecine.core.events import Recorded
from telecine.core.protocol import ObjectReport, SettleDone, SettleFloodWait, SettleReleased, SourceReport
from telecine.core.reasons import Reason
from telecine.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.clocks import HandClock

CODE = "CM_M000001_720P"


class Ear:
    """Listens to a store, and remembers what it heard since it was asked last."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._heard: list[Recorded] = []
        self._numbers: list[int] = []
        store.events.listen(self._hear)

    def _hear(self, recorded: Sequence[Recorded]) -> None:
        self._heard += recorded
        self._numbers += [one.number for one in recorded]

    def news(self) -> list[tuple[str, dict[str, Any]]]:
        heard, self._heard = self._heard, []
        return [(one.kind.value, msgspec.json.decode(one.data)) for one in heard]

    async def heard_all(self) -> bool:
        """Whether each event of the log was announced once, in its order."""
        recorded = await self._store.events.after(0, limit=1000)
        return [one.number for one in recorded][-len(self._numbers) :] == self._numbers


@pytest.fixture
async def queued(scene: Scene) -> Scene:
    """A worker, and two films with two links each."""
    await scene.enrol("w")
    await scene.imports(
        film("m1", link("a"), link("b")), film("m2", link("c", url="http://a.example/c.mkv"), link("d"))
    )
    return scene


@pytest.fixture
def ear(queued: Scene) -> Ear:
    return Ear(queued.store)


def variant(state: str, worker: str | None = "w", code: str = CODE) -> tuple[str, dict[str, Any]]:
    return "variant", {"code": code, "state": state, "worker": worker}


async def test_each_settle_tells_one_event(queued: Scene, ear: Ear) -> None:
    await queued.store.queue.settle("w", (await queued.lease("w")).lease, SettleReleased())
    assert ear.news() == [variant("ready")]
    await queued.done("w", await queued.lease("w"))
    assert ear.news() == [variant("done")]
    assert await ear.heard_all()


async def test_claims_and_beats_are_not_recorded(queued: Scene, ear: Ear) -> None:
    newest = queued.store.events.newest
    await queued.beat("w", await queued.lease("w"))
    assert ear.news() == []
    assert queued.store.events.newest == newest


async def test_a_repeated_settle_is_not_told_twice(queued: Scene, ear: Ear) -> None:
    lease = await queued.lease("w")
    for _ in range(2):
        await queued.done("w", lease)
    assert ear.news() == [variant("done")]


async def test_a_settle_that_is_refused_tells_nothing(queued: Scene, ear: Ear) -> None:
    first = await queued.lease("w")
    await queued.done("w", first, 10)
    ear.news()
    second, newest = await queued.lease("w"), queued.store.events.newest
    with pytest.raises(ConflictError):
        await queued.done("w", second, 10)  # the message of another upload: found late, after the links are noted
    await queued.store.operations.cancel(second.code)
    with pytest.raises(LeaseLostError):
        await queued.done("w", second, 11)
    assert ear.news() == [variant("cancelled", None, second.code)]
    assert queued.store.events.newest == newest + 1, "what was rolled back took no number"


async def test_a_flood_wait_tells_of_the_account_and_of_the_upload(queued: Scene, ear: Ear) -> None:
    lease = await queued.lease("w")
    await queued.store.queue.settle("w", lease.lease, SettleFloodWait(30.0, "messages.sendMedia"))
    (kind, account), settled = ear.news()
    until_ms = queued.clock.now_ms() + 30_000
    assert (kind, settled) == ("account", variant("ready"))
    assert (account["account"], account["sends_parked_until_ms"]) == ("w", until_ms)
    assert "messages.sendMedia" in account["reason"]


async def test_a_flood_wait_that_is_reported_late_tells_of_the_account_alone(queued: Scene, ear: Ear) -> None:
    lease = await queued.lease("w")
    await queued.store.operations.cancel(lease.code)
    ear.news()
    for _ in range(2):
        await queued.store.queue.settle("w", lease.lease, SettleFloodWait(30.0, "messages.sendMedia"))
    assert [kind for kind, _ in ear.news()] == ["account"]


async def test_a_host_that_fails_is_told_once_while_it_is_parked(queued: Scene, ear: Ear) -> None:
    first, second = await queued.lease("w"), await queued.lease("w")
    await queued.fails("w", first, {first.sources[0].link_id: Reason.RATE_LIMITED})
    (kind, host), _ = ear.news()
    assert (kind, host["host"], host["rung"], host["reason"]) == ("host", "a.example", 1, "rate_limited")
    assert host["parked_until_ms"] > queued.clock.now_ms()
    await queued.fails("w", second, {second.sources[0].link_id: Reason.RATE_LIMITED})
    assert [kind for kind, _ in ear.news()] == ["variant"]


async def test_a_sweep_is_told_as_one_event(queued: Scene, ear: Ear) -> None:
    for _ in range(2):
        await queued.lease("w")
    queued.clock.advance(61)
    await queued.store.sweeper.sweep()
    assert ear.news() == [("queue", {"expired": 2, "promoted": 0})]
    await queued.store.sweeper.sweep()
    assert ear.news() == [], "nothing moved"


async def test_leases_of_an_earlier_boot_are_told_as_they_are_taken_back(queued: Scene, ear: Ear) -> None:
    lease = await queued.lease("w")
    await queued.hello("w", boot="boot-2")
    assert ear.news() == [variant("ready", code=lease.code)]
    await queued.hello("w", boot="boot-2")
    assert ear.news() == []


async def test_channels_are_told_when_they_are_planned_opened_and_full(path: Path, clock: HandClock) -> None:
    policy = msgspec.structs.replace(POLICY, channel_messages_max=2)
    async with Store.open(path, clock=clock, policy=policy) as store:
        scene, ear = Scene(store, clock, path), Ear(store)
        await scene.enrol("w")
        told = [(kind, data["title"], data["state"]) for kind, data in ear.news()]
        assert told == [("channel", "CM_C000001", "planned"), ("channel", "CM_C000001", "open")]
        await scene.imports(film("m1", link("a")))
        lease = await scene.lease("w")
        parts = tuple(ObjectReport(n, 2, 501, n, 1, "0" * 64, None) for n in (1, 2))
        used = SourceReport(lease.sources[0].link_id, None)
        ear.news()
        await store.queue.settle("w", lease.lease, SettleDone(parts, (used,), "split"))
        settled, (kind, channel) = ear.news()
        assert (kind, channel["state"], settled) == ("channel", "full", variant("done"))


async def test_a_channel_that_a_claim_plans_is_told_once(queued: Scene, ear: Ear) -> None:
    await queued.store.operations.retire_channel(1)
    ear.news()
    leases = [await queued.lease("w") for _ in range(2)]
    assert {lease.channel.title for lease in leases} == {"CM_C000002"}
    planned = {"id": 2, "title": "CM_C000002", "account": "w", "state": "planned"}
    assert ear.news() == [("channel", planned)]


async def test_imports_are_told_when_they_begin_and_end_even_if_cut_off(scene: Scene) -> None:
    ear = Ear(scene.store)
    first = await scene.store.intake.begin_import()
    second = await scene.store.intake.begin_import()  # the first was cut off by a crash
    await scene.store.intake.finish_import(second.id, rejected=2)
    told = [(data["id"], data["state"]) for kind, data in ear.news() if kind == "import"]
    assert told == [(first.id, "running"), (first.id, "failed"), (second.id, "running"), (second.id, "done")]


async def test_numbers_go_on_after_a_restart(path: Path, clock: HandClock) -> None:
    async with Store.open(path, clock=clock) as store:
        run = await store.intake.begin_import()
        newest = store.events.newest
    async with Store.open(path, clock=clock) as store:
        assert store.events.newest == newest
        await store.intake.finish_import(run.id, rejected=0)
        assert [one.number for one in await store.events.after(newest, limit=10)] == [newest + 1]
        assert store.events.newest == newest + 1


async def test_the_log_is_read_in_pages(queued: Scene) -> None:
    newest = queued.store.events.newest
    assert newest > 2
    numbers: list[int] = []
    while page := await queued.store.events.after(numbers[-1] if numbers else 0, limit=2):
        assert len(page) <= 2
        numbers += [one.number for one in page]
    assert numbers == list(range(1, newest + 1))
