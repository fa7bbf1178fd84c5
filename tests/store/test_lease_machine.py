"""A model of the queue in a few lines, and the store beside it: whatever happens, they agree."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from pysqlite3 import dbapi2
from tests.store.conftest import HandClock, Scene, film, link

from telecine.core.errors import ConflictError, LeaseLostError
from telecine.core.leases import Event, VariantState, backoff_s, failure_event, transition
from telecine.core.protocol import Lease, Settled, SettleFloodWait, SettleReleased, Verdict
from telecine.core.reasons import Reason
from telecine.store import Store

TTL_S = 60
BACKOFF_S = (30.0, 300.0)
ROUNDS_MAX = 3
POLICY: dict[str, Any] = {"lease_ttl_s": TTL_S, "retry_backoff_s": BACKOFF_S, "rounds_max": ROUNDS_MAX}
WORKERS: tuple[str, ...] = ("w", "x")
FILMS = 3
LINKS = ("a", "b")


@dataclass
class Target:
    """The model of a variant."""

    state: VariantState = VariantState.READY
    fence: int = 0
    attempts: int = 0
    expiries: int = 0
    rounds: int = 0
    generation: int = 0
    due_ms: int | None = None
    holder: str | None = None
    fates: dict[int, tuple[Reason, int]] = field(default_factory=dict)  # failed links: why, and in which round

    def move(self, event: Event) -> None:
        self.state = transition(self.state, event)
        self.due_ms = self.holder = None

    def triable(self, links: list[int]) -> list[int]:
        untried = [one for one in links if one not in self.fates]
        failed = [(one, *self.fates[one]) for one in links if one in self.fates]
        return untried + [one for one, why, at in failed if why.is_passing and at < self.rounds]


class LeaseMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.stack = AsyncExitStack()
        self.clock = HandClock()
        self.targets = {f"CM_M{n:06d}_720P": Target() for n in range(1, FILMS + 1)}
        self.parked_until_ms: dict[str, int] = dict.fromkeys(WORKERS, 0)
        self.leases: list[tuple[str, Lease]] = []
        self.settled: list[tuple[str, Lease, Any]] = []
        self.cancelled: set[str] = set()
        self.scene: Scene = self.run(self.open())
        self.look = dbapi2.connect(str(self.scene.path))
        self.links: dict[str, list[int]] = {
            code: [n * len(LINKS) + k + 1 for k in range(len(LINKS))] for n, code in enumerate(self.targets)
        }

    async def open(self) -> Scene:
        path = Path(self.folder.name) / "telecine.db"
        opening = Store.open(path, clock=self.clock, **POLICY)
        scene = Scene(await self.stack.enter_async_context(opening), self.clock, path)
        for worker in WORKERS:
            await scene.enrol(worker)
        await scene.imports(*(film(str(n), *(link(f"{n}{k}") for k in LINKS)) for n in range(FILMS)))
        return scene

    def run(self, call: Any) -> Any:
        return self.loop.run_until_complete(call)

    def teardown(self) -> None:
        self.look.close()
        self.run(self.stack.aclose())
        self.loop.close()
        self.folder.cleanup()

    def is_live(self, worker: str, lease: Lease) -> bool:
        target = self.targets[lease.code]
        return target.holder == worker and lease.lease.endswith(f".{target.fence}")

    # ---- what may happen -------------------------------------------------------------------------

    @rule(worker=st.sampled_from(WORKERS))
    def claim(self, worker: str) -> None:
        lease = self.run(self.scene.claim(worker))
        ready = [code for code, target in self.targets.items() if target.state is VariantState.READY]
        if not ready or self.parked_until_ms[worker] > self.clock.ms:
            assert lease is None
            return
        target = self.targets[ready[0]]
        target.move(Event.CLAIM)
        target.fence += 1
        target.attempts += 1
        target.holder, target.due_ms = worker, self.clock.ms + TTL_S * 1000
        assert lease is not None
        assert (lease.code, lease.generation) == (ready[0], target.generation)
        assert lease.lease.endswith(f".{target.fence}")
        assert [source.link_id for source in lease.sources] == target.triable(self.links[ready[0]])
        self.leases.append((worker, lease))

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def beat(self, data: st.DataObject) -> None:
        worker, lease = data.draw(st.sampled_from(self.leases))
        (verdict,) = self.run(self.scene.beat(worker, lease)).leases
        if self.is_live(worker, lease):
            assert verdict.verdict is Verdict.GO_ON
            self.targets[lease.code].due_ms = self.clock.ms + TTL_S * 1000
        else:
            expected = Verdict.CANCEL if lease.lease in self.cancelled else Verdict.LOST
            assert verdict.verdict is expected

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        worker, lease = data.draw(st.sampled_from(self.leases))
        live = self.is_live(worker, lease) and bool(lease.sources)
        if not live:
            self.refused_or_repeated(worker, lease, "done")
            return
        # A message id of its own for every lease: nothing is ever sent twice.
        assert self.run(self.scene.done(worker, lease, len(self.settled) + 1)).state is VariantState.DONE
        self.targets[lease.code].move(Event.DONE)
        self.targets[lease.code].fates.pop(lease.sources[0].link_id, None)
        self.settled.append((worker, lease, "done"))

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), reason=st.sampled_from([Reason.GONE, Reason.NETWORK]), count=st.integers(0, len(LINKS)))
    def fail(self, data: st.DataObject, reason: Reason, count: int) -> None:
        worker, lease = data.draw(st.sampled_from(self.leases))
        if not self.is_live(worker, lease):
            self.refused_or_repeated(worker, lease, "failed")
            return
        target, tried = self.targets[lease.code], [source.link_id for source in lease.sources][:count]
        target.fates |= dict.fromkeys(tried, (reason, target.rounds))
        untried = len(target.triable(self.links[lease.code])) if tried else 0
        passing = sum(why.is_passing and at == target.rounds for why, at in target.fates.values()) if tried else 1
        event = failure_event(untried=untried, passing=passing, rounds=target.rounds + 1, rounds_max=ROUNDS_MAX)
        target.move(event)
        if event is not Event.FAILED_SOURCES_LEFT:
            target.rounds += 1
        if event is Event.FAILED_WORTH_RETRY:
            target.due_ms = self.clock.ms + round(backoff_s(target.rounds, BACKOFF_S) * 1000)
        settled = self.run(self.scene.fails(worker, lease, dict.fromkeys(tried, reason)))
        assert settled.state is target.state
        self.settled.append((worker, lease, "failed"))

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), wait_s=st.sampled_from([0, 45]))
    def give_back(self, data: st.DataObject, wait_s: int) -> None:
        worker, lease = data.draw(st.sampled_from(self.leases))
        outcome = SettleFloodWait(wait_s, "messages.sendMedia") if wait_s else SettleReleased()
        if not self.is_live(worker, lease):
            if wait_s:
                self.late_flood_wait(worker, lease, wait_s)
            else:
                self.refused_or_repeated(worker, lease, "released")
            return
        target = self.targets[lease.code]
        settled = self.run(self.scene.store.queue.settle(worker, lease.lease, outcome))
        if not lease.sources:
            target.move(Event.FAILED_NOTHING_LEFT)
        else:
            target.move(Event.RELEASED)
            target.attempts -= 1
        assert settled.state is target.state
        self.park(worker, wait_s)
        self.settled.append((worker, lease, "released"))

    def late_flood_wait(self, worker: str, lease: Lease, wait_s: int) -> None:
        """Of a lease that has ended: it parks the account unless the lease had been reported before."""
        outcome = SettleFloodWait(wait_s, "messages.sendMedia")
        settled = self.run(self.scene.store.queue.settle(worker, lease.lease, outcome))
        assert (settled.repeated, settled.state) == (True, self.targets[lease.code].state)
        if not any(who == worker and earlier.lease == lease.lease for who, earlier, _ in self.settled):
            self.park(worker, wait_s)
            self.settled.append((worker, lease, "released"))

    def park(self, worker: str, wait_s: float) -> None:
        self.parked_until_ms[worker] = max(self.parked_until_ms[worker], self.clock.ms + round(wait_s * 1000))

    def refused_or_repeated(self, worker: str, lease: Lease, kind: str) -> None:
        earlier = [how for who, settled, how in self.settled if who == worker and settled.lease == lease.lease]
        known = "done" in earlier if kind == "done" else bool(earlier) or lease.lease in self.cancelled
        if known:
            settled = self.run(self.settle(kind, worker, lease))
            assert (settled.repeated, settled.state) == (True, self.targets[lease.code].state)
        elif lease.sources or kind != "done":
            with pytest.raises(LeaseLostError):
                self.run(self.settle(kind, worker, lease))

    async def settle(self, kind: str, worker: str, lease: Lease) -> Settled:
        match kind:
            case "done":
                return await self.scene.done(worker, lease, 10_000 + len(self.settled))
            case "failed":
                return await self.scene.fails(worker, lease, {})
            case _:
                return await self.scene.store.queue.settle(worker, lease.lease, SettleReleased())

    @rule(seconds=st.sampled_from([1, 29, 45, 60, 300]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule()
    def sweep(self) -> None:
        expired = promoted = 0
        for target in self.targets.values():
            if target.due_ms is None or target.due_ms > self.clock.ms:
                continue
            if target.state is VariantState.LEASED:
                target.expiries += 1
                expired += 1
                target.move(Event.EXPIRED)
            else:
                promoted += 1
                target.move(Event.DUE)
        swept = self.run(self.scene.store.sweeper.sweep())
        dues = [target.due_ms for target in self.targets.values() if target.due_ms is not None]
        assert (swept.expired, swept.promoted, swept.next_due_ms) == (expired, promoted, min(dues, default=None))

    @rule(data=st.data(), event=st.sampled_from([Event.CANCEL, Event.REQUEUE]))
    def operator(self, data: st.DataObject, event: Event) -> None:
        code = data.draw(st.sampled_from(sorted(self.targets)))
        target = self.targets[code]
        call = self.scene.store.operations.cancel if event is Event.CANCEL else self.scene.store.operations.requeue
        before = target.state
        try:
            transition(before, event)
        except ConflictError:
            with pytest.raises(ConflictError):
                self.run(call(code))
            return
        if event is Event.CANCEL and before is VariantState.LEASED:
            held = [lease for who, lease in self.leases if self.is_live(who, lease)]
            self.cancelled |= {lease.lease for lease in held if lease.code == code}
        target.move(event)
        if event is Event.REQUEUE:
            target.generation += before is VariantState.DONE
            target.rounds = 0
            target.fates = {}
        assert self.run(call(code)) is target.state

    @rule(worker=st.sampled_from(WORKERS))
    def reboot(self, worker: str) -> None:
        self.run(self.scene.hello(worker, boot="boot-2"))
        self.run(self.scene.hello(worker, boot="boot-1"))
        for target in self.targets.values():
            if target.holder == worker:
                target.expiries += 1
                target.move(Event.EXPIRED)

    # ---- what always holds -----------------------------------------------------------------------

    @invariant()
    def store_and_model_agree(self) -> None:
        rows = self.look.execute(
            "SELECT code, state, fence, attempts, expiries, rounds, generation, due_at_ms"
            " FROM upload_variants ORDER BY id"
        )
        assert rows.fetchall() == [
            (code, t.state, t.fence, t.attempts, t.expiries, t.rounds, t.generation, t.due_ms)
            for code, t in self.targets.items()
        ]


LeaseMachine.TestCase.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestLeaseMachine = LeaseMachine.TestCase
