"""Whatever happens to the queue, whoever waits for work is woken as soon as there is some for it."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import settings
from hypothesis.stateful import invariant, run_state_machine_as_test
from tests.store.test_lease_machine import FAST, POLICY, PREMIUM, WORKERS, LeaseMachine

from telecine.core.protocol import ClaimRequest

WAIT_S = 10**6


class WakeupMachine(LeaseMachine):
    """The model says who may be given what. What a worker could not be given before the last call has woken it."""

    policy = msgspec.structs.replace(POLICY, host_leases_max=None)

    def __init__(self) -> None:
        super().__init__()
        self.offered: set[tuple[str, int]] = set()
        self.waiting: asyncio.Task[None] | None = None

    def teardown(self) -> None:
        if self.waiting is not None:
            self.waiting.cancel()
        super().teardown()

    @invariant()
    def what_is_offered_now_and_was_not_before_wakes_who_waits(self) -> None:
        offered = {(worker, target) for worker in WORKERS for target in self.offers(worker)}
        if self.waiting is not None:
            self.run(turns())
            assert self.waiting.done() or offered <= self.offered
            self.waiting.cancel()
        self.offered = offered
        self.waiting = self.loop.create_task(self.scene.store.queue.wait_for_work(WAIT_S))
        self.run(turns())

    def offers(self, worker: str) -> list[int]:
        """To one that has much disk free and may send the largest files."""
        who = self.model.workers[worker]
        request = ClaimRequest(who.boot_id, "of-one-who-waits", disk_free_bytes=20, file_bytes_max=PREMIUM)
        return [target.id for target in self.model.offers(who, request)]


class WakeupWithLimitsMachine(WakeupMachine):
    """Every host is limited: an end of a lease lets another begin."""

    policy = msgspec.structs.replace(POLICY, host_leases_max=1)


async def turns() -> None:
    """Let everybody do what there is to do now."""
    for _ in range(5):
        await asyncio.sleep(0)


WakeupMachine.TestCase.settings = WakeupWithLimitsMachine.TestCase.settings = settings(FAST, max_examples=20)
TestWakeupMachine = WakeupMachine.TestCase
TestWakeupWithLimitsMachine = WakeupWithLimitsMachine.TestCase


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("machine", [WakeupMachine, WakeupWithLimitsMachine])
def test_nobody_sleeps_through_work_over_thousands_of_steps(machine: type[WakeupMachine]) -> None:
    run_state_machine_as_test(machine, settings=settings(FAST, max_examples=100, stateful_step_count=200))
