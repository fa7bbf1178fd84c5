"""The model of the queue and the store side by side: whatever happens, they agree."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from pysqlite3 import dbapi2
from tests.clocks import HandClock
from tests.store.conftest import Scene
from tests.store.queue_rows import ACCOUNTS_NOW, CHANNELS, HISTORY, LINKS, TARGETS
from tests.store.queue_stock import ACCOUNTS, FILMS, listed, stocked_model
from tests.store.queue_things import Account, Host, Target, Worker

from telecine.core.backoff import Ladder
from telecine.core.errors import TelecineError
from telecine.core.leases import FINISHED, LeaseToken
from telecine.core.operator_protocol import ChannelState, Park, WorkerMode
from telecine.core.plans import file_bytes_max
from telecine.core.policy import QueuePolicy
from telecine.core.protocol import (
    BeatRequest,
    ClaimRequest,
    Lease,
    ObjectReport,
    Outcome,
    Progress,
    SettleDone,
    SettleFailed,
    SettleFloodWait,
    SettleReleased,
    SourceReport,
    Stage,
)
from telecine.core.reasons import Reason
from telecine.store import Store
from telecine.store.epoch import write_epoch

T = TypeVar("T")

POLICY = QueuePolicy(
    lease_ttl_s=60.0,
    rounds=Ladder((30.0, 300.0)),
    rounds_max=3,
    hosts=Ladder((5.0, 40.0)),  # the first pause is waited for, the second is evaded
    accounts=Ladder((60.0, 600.0)),
    host_leases_max=3,
    channel_messages_max=4,
    channels_per_account_max=6,
    sends_ahead_s_max=100.0,
)
WORKERS = sorted(ACCOUNTS)
PLAIN, PREMIUM = file_bytes_max(premium=False), file_bytes_max(premium=True)

workers = st.sampled_from(WORKERS)
films = st.integers(1, len(FILMS))
hosts = st.sampled_from(["a.example", "b.example", "c.example"])
accounts = st.sampled_from(sorted(set(ACCOUNTS.values())))
reasons = st.sampled_from(Reason)
requests = st.sampled_from(["upload.saveBigFilePart", "messages.sendMedia"])
seconds = st.sampled_from([1, 4, 29, 45, 61, 300, 700])


class LeaseMachine(RuleBasedStateMachine):
    """Every rule is one call, made to both. Every host is limited."""

    policy = POLICY

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "telecine.db"
        self.clock = HandClock()
        self.leases: list[tuple[str, Lease]] = []
        self.requests: list[tuple[str, ClaimRequest]] = []
        self.messages = 0
        logging.getLogger("telecine.store").setLevel(logging.ERROR)
        self.scene = self.run(self.open())
        self.model = stocked_model(self.clock, self.policy)
        self.run(self.stock())
        self.look = dbapi2.connect(str(self.path), isolation_level=None)

    def run(self, call: Awaitable[T]) -> T:
        return self.loop.run_until_complete(call)

    async def open(self) -> Scene:
        self.stack = AsyncExitStack()
        opening = Store.open(self.path, clock=self.clock, policy=self.policy)
        return Scene(await self.stack.enter_async_context(opening), self.clock, self.path)

    async def stock(self) -> None:
        for worker, account in ACCOUNTS.items():
            await self.scene.enrol(worker, account=account)
        await self.scene.imports(*map(listed, self.model.targets))

    def teardown(self) -> None:
        logging.getLogger("telecine.store").setLevel(logging.NOTSET)
        self.look.close()
        self.run(self.stack.aclose())
        self.loop.close()
        self.folder.cleanup()

    def both(self, modelled: Callable[[], T], call: Awaitable[T]) -> T | None:
        """What both answer; None where both refuse, for the same reason."""
        try:
            expected = modelled()
        except TelecineError as refusal:
            with pytest.raises(type(refusal)):
                self.run(call)
            return None
        assert self.run(call) == expected
        return expected

    def both_change(self, modelled: Callable[[], object], call: Awaitable[object]) -> None:
        """Both do it; what the answer says is in the database, too."""
        modelled()
        self.run(call)

    def target(self, number: int) -> Target:
        return self.model.targets[number - 1]

    # ---- workers ---------------------------------------------------------------------------------

    @rule(
        worker=workers,
        file_bytes_max=st.sampled_from([PLAIN, PREMIUM]),
        disk_free_bytes=st.sampled_from([0, 10]),
        boot=st.sampled_from([None] * 5 + ["boot-2"]),
    )
    def claim(self, worker: str, file_bytes_max: int, disk_free_bytes: int, boot: str | None) -> None:
        boot_id = boot or self.model.workers[worker].boot_id
        request = ClaimRequest(
            boot_id, f"r{len(self.requests)}", disk_free_bytes=disk_free_bytes, file_bytes_max=file_bytes_max
        )
        self.requests.append((worker, request))
        self.claimed(worker, request)

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def claim_again(self, data: st.DataObject) -> None:
        worker, request = data.draw(st.sampled_from(self.requests[-4:]))
        self.claimed(worker, request)

    def claimed(self, worker: str, request: ClaimRequest) -> None:
        lease = self.both(lambda: self.model.claim(worker, request), self.scene.store.queue.claim(worker, request))
        if lease is not None:
            assert lease.sources, "every lease has a link to try"
            self.leases.append((worker, lease))

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), boot=st.sampled_from(["boot-1", "boot-1", "boot-2"]))
    def beat(self, data: st.DataObject, boot: str) -> None:
        worker, _ = data.draw(st.sampled_from(self.leases))
        held = [lease for who, lease in self.leases[-6:] if who == worker]
        request = BeatRequest(boot, tuple(Progress(lease.lease, Stage.UPLOADING) for lease in held))
        self.both(lambda: self.model.beat(worker, request), self.scene.store.queue.beat(worker, request))

    @rule(worker=workers, boot=st.sampled_from(["boot-1", "boot-2"]))
    def hello(self, worker: str, boot: str) -> None:
        self.both(lambda: self.model.hello(worker, boot), self.scene.hello(worker, account=ACCOUNTS[worker], boot=boot))

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def a_channel_is_lost(self, data: st.DataObject) -> None:
        worker, lease = data.draw(st.sampled_from(self.leases))
        number = lease.channel.id
        self.both(
            lambda: self.model.channel_lost(number),
            self.scene.store.queue.channel_lost(worker, number, "CHANNEL_PRIVATE"),
        )

    # ---- settlements -----------------------------------------------------------------------------

    @rule(data=st.data(), failures=st.integers(0, 2), parts=st.integers(1, 2), adopted=st.booleans())
    def done(self, data: st.DataObject, failures: int, parts: int, adopted: bool) -> None:
        worker, lease = self.a_lease(data)
        self.open_channel(worker, lease)
        telegram_id = data.draw(st.sampled_from([500 + lease.channel.id] * 3 + [501, 502]))
        *failed, used = lease.sources[: failures + 1]
        sources = (*(self.report(data, one.link_id) for one in failed), SourceReport(used.link_id, None))
        objects = tuple(self.sent(part, parts, telegram_id) for part in range(1, parts + 1))
        self.settle(worker, lease, SettleDone(objects, () if adopted else sources, "direct"))

    @rule(data=st.data(), count=st.integers(0, 3), reason=reasons)
    def failed(self, data: st.DataObject, count: int, reason: Reason) -> None:
        worker, lease = self.a_lease(data)
        self.settle(worker, lease, SettleFailed(reason, self.reports(data, lease, count)))

    @rule(data=st.data(), count=st.integers(0, 2), wait_s=st.sampled_from([8.0, 90.0, 400.0]), request=requests)
    def flood_wait(self, data: st.DataObject, count: int, wait_s: float, request: str) -> None:
        worker, lease = self.a_lease(data)
        self.settle(worker, lease, SettleFloodWait(wait_s, request, self.reports(data, lease, count)))

    @rule(data=st.data(), count=st.integers(0, 3), disk_bytes=st.sampled_from([0, 0, 10, 20]))
    def released(self, data: st.DataObject, count: int, disk_bytes: int) -> None:
        worker, lease = self.a_lease(data)
        self.settle(worker, lease, SettleReleased(self.reports(data, lease, count), disk_bytes))

    @rule(data=st.data(), worker=workers)
    def released_by_anyone(self, data: st.DataObject, worker: str) -> None:
        _, lease = self.a_lease(data)
        self.settle(worker, lease, SettleReleased())

    def a_lease(self, data: st.DataObject) -> tuple[str, Lease]:
        """One that is held, nearly always; where there is none, as many as it takes are claimed."""
        for worker in (*data.draw(st.permutations(WORKERS)), None):
            held = [(who, lease) for who, lease in self.leases if self.is_held(who, lease)]
            if held:
                return data.draw(st.sampled_from(held * 2 + self.leases[-2:]))
            if worker is not None:
                self.claim(worker, PREMIUM, 10, None)
        return data.draw(st.sampled_from(self.leases)) if self.leases else self.anew(data)

    def anew(self, data: st.DataObject) -> tuple[str, Lease]:
        """Operators clear the way for one more lease."""
        worker = data.draw(workers)
        account = self.model.workers[worker].account.name
        self.set_mode(worker, WorkerMode.ACTIVE)
        self.unpark(account)
        for host in self.model.hosts:
            self.unpark_host(host.name)
            self.limit_host(host.name, None)
        film = data.draw(films)
        self.pin(film, None)
        self.requeue(film)
        self.claim(worker, PREMIUM, 10, None)
        assume(self.leases)  # unless its account has had all the channels that it may
        return self.leases[-1]

    def is_held(self, worker: str, lease: Lease) -> bool:
        token = LeaseToken.parse(lease.lease)
        return self.model.targets[token.variant_id - 1].is_held_by(self.model.workers[worker], token.fence)

    def settle(self, worker: str, lease: Lease, outcome: Outcome) -> None:
        self.both(
            lambda: self.model.settle(worker, lease.lease, outcome),
            self.scene.store.queue.settle(worker, lease.lease, outcome),
        )

    def open_channel(self, worker: str, lease: Lease) -> None:
        number = lease.channel.id
        self.both(
            lambda: self.model.channel_opened(number, 500 + number),
            self.scene.store.queue.channel_opened(worker, number, 500 + number),
        )

    def reports(self, data: st.DataObject, lease: Lease, count: int) -> tuple[SourceReport, ...]:
        return tuple(self.report(data, source.link_id) for source in lease.sources[:count])

    def report(self, data: st.DataObject, link_id: int) -> SourceReport:
        reason = data.draw(reasons)
        size_bytes = data.draw(st.sampled_from([None, PREMIUM - 1, PREMIUM, PREMIUM + 1]))
        retry_after_s = data.draw(st.sampled_from([None, None, 3.0, 80.0]))
        return SourceReport(link_id, reason, "why", size_bytes=size_bytes, retry_after_s=retry_after_s)

    def sent(self, part: int, parts: int, telegram_id: int) -> ObjectReport:
        self.messages += 1
        return ObjectReport(part, parts, telegram_id, self.messages, 1 << 20, "0" * 64)

    # ---- time ------------------------------------------------------------------------------------

    @rule(seconds=seconds)
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(seconds=st.sampled_from([0, 0, 5, 40, 61]))
    def sweep(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.both(self.model.sweep, self.scene.store.sweeper.sweep())

    @rule(away_s=st.sampled_from([0, 30, 61]), restored=st.booleans())
    def reopen(self, away_s: int, restored: bool) -> None:
        self.run(self.stack.aclose())
        self.clock.advance(away_s)
        self.model.reopen(restored=restored)
        if restored:
            write_epoch(self.path, self.model.epoch)
        self.scene = self.run(self.open())
        self.renew()

    @rule()
    def renew(self) -> None:
        self.model.renew()
        self.run(self.scene.store.sweeper.renew())

    # ---- imports ---------------------------------------------------------------------------------

    @rule(data=st.data(), film=films, host=hosts)
    def a_link_is_replaced(self, data: st.DataObject, film: int, host: str) -> None:
        target = self.target(film)
        one = data.draw(st.sampled_from(target.links))
        self.model.replace(target, one, self.model.host(host))
        self.run(self.scene.imports(listed(target)))

    # ---- operators -------------------------------------------------------------------------------

    @rule(film=films)
    def cancel(self, film: int) -> None:
        target = self.target(film)
        self.both(lambda: self.model.cancel(target), self.scene.store.operations.cancel(target.code))

    @rule(film=films)
    def requeue(self, film: int) -> None:
        target = self.target(film)
        self.both(lambda: self.model.requeue(target), self.scene.store.operations.requeue(target.code))

    @rule(film=films)
    def withdraw(self, film: int) -> None:
        target = self.target(film)
        self.both(lambda: self.model.withdraw(target), self.scene.store.operations.withdraw(target.code))

    @rule(film=films, priority=st.integers(0, 9))
    def prioritise(self, film: int, priority: int) -> None:
        target = self.target(film)
        target.priority = priority
        assert self.run(self.scene.store.operations.prioritise(target.code, priority)) is target.state

    @rule(film=films, account=st.none() | accounts)
    def pin(self, film: int, account: str | None) -> None:
        target = self.target(film)
        target.pinned = None if account is None else self.model.account(account)
        assert self.run(self.scene.store.operations.pin(target.code, account)) is target.state

    @rule(worker=workers, mode=st.sampled_from(WorkerMode))
    def set_mode(self, worker: str, mode: WorkerMode) -> None:
        self.both_change(lambda: self.model.set_mode(worker, mode), self.scene.store.operations.set_mode(worker, mode))

    @rule(account=accounts, uploads=st.booleans(), seconds=st.sampled_from([20.0, 200.0]))
    def park(self, account: str, uploads: bool, seconds: float) -> None:
        park = Park(seconds, uploads=uploads, sends=not uploads)
        self.both_change(
            lambda: self.model.park(self.model.account(account), park), self.scene.store.operations.park(account, park)
        )

    @rule(account=accounts)
    def unpark(self, account: str) -> None:
        self.both_change(
            lambda: self.model.unpark(self.model.account(account)), self.scene.store.operations.unpark(account)
        )

    @rule(host=hosts, leases_max=st.sampled_from([None, 0, 1, 2]))
    def limit_host(self, host: str, leases_max: int | None) -> None:
        self.model.host(host).leases_max = leases_max
        self.run(self.scene.store.operations.limit_host(host, leases_max))

    @rule(host=hosts)
    def unpark_host(self, host: str) -> None:
        self.both_change(
            lambda: self.model.unpark_host(self.model.host(host)),
            self.scene.store.operations.unpark_host(host),
        )

    @rule(account=accounts)
    def plan_channel(self, account: str) -> None:
        async def plan() -> int:
            return (await self.scene.store.operations.plan_channel(account)).id

        self.both(lambda: self.model.plan_channel(self.model.account(account)), plan())

    @rule(data=st.data())
    def retire_channel(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(1, len(self.model.channels)))
        self.both_change(lambda: self.model.retire_channel(number), self.scene.store.operations.retire_channel(number))

    # ---- what always holds -----------------------------------------------------------------------

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self.look.execute(statement).fetchall()
        return found

    @invariant()
    def the_targets_agree(self) -> None:
        assert self.rows(TARGETS) == [
            (
                t.code, t.state, t.priority, name(t.pinned), name(t.host), t.needs_bytes, t.needs_disk_bytes,
                t.channel and t.channel.id, t.generation, t.fence, t.attempts, t.silent_ends, t.rounds,
                t.due_at_ms, name(t.worker), t.request_id, t.state in FINISHED,
            )
            for t in self.model.targets
        ]  # fmt: skip

    @invariant()
    def the_links_agree(self) -> None:
        assert self.rows(LINKS) == [
            (
                one.id, target.id, one.position, one.fate, one.reason, one.may_pass, one.failed_round, one.needs_bytes,
                one.replaced_fence,
            )
            for target in self.model.targets
            for one in target.links
        ]  # fmt: skip

    @invariant()
    def hosts_accounts_and_channels_agree(self) -> None:
        model = self.model
        assert self.rows("SELECT name, rung, parked_until_ms, leases_max FROM hosts ORDER BY name") == [
            (host.name, host.rung, host.parked_until_ms, host.leases_max) for host in model.hosts
        ]
        assert self.rows(ACCOUNTS_NOW) == [
            (one.name, one.rung, one.uploads_parked_until_ms, one.sends_parked_until_ms) for one in model.accounts
        ]
        assert self.rows(CHANNELS) == [
            (one.id, one.account.name, one.telegram_id, one.messages, one.retired and RETIRED_BECAUSE[one.retired])
            for one in model.channels
        ]

    @invariant()
    def every_lease_but_the_one_under_way_has_its_end_in_the_history(self) -> None:
        assert sorted(self.rows(HISTORY)) == sorted(self.model.history)
        ends = dict(self.rows("SELECT variant_id, count(DISTINCT fence) FROM upload_attempts GROUP BY variant_id"))
        for target in self.model.targets:
            assert ends.get(target.id, 0) == target.fence - (target.worker is not None)
            assert 0 <= target.attempts <= target.fence


RETIRED_BECAUSE = {ChannelState.FULL: "full", ChannelState.LOST: "lost", ChannelState.RETIRED: "operator"}


def name(thing: Account | Host | Worker | None) -> str | None:
    return None if thing is None else thing.name


class OpenHandedMachine(LeaseMachine):
    """Hosts are limited one by one: a lease has the links of several."""

    policy = msgspec.structs.replace(POLICY, host_leases_max=None)


FAST = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
LeaseMachine.TestCase.settings = OpenHandedMachine.TestCase.settings = FAST
TestLeaseMachine = LeaseMachine.TestCase
TestOpenHandedMachine = OpenHandedMachine.TestCase


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("machine", [LeaseMachine, OpenHandedMachine])
def test_model_and_store_agree_over_thousands_of_steps(machine: type[LeaseMachine]) -> None:
    run_state_machine_as_test(machine, settings=settings(FAST, max_examples=100, stateful_step_count=200))
