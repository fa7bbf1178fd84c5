"""One heartbeat for all leases of a worker, and a verdict for each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack

import aiohttp
import pytest
from tests.core.worker.scripted import TOKEN, Coordinator

from telecine.core.clock import SystemClock
from telecine.core.errors import ConfigError
from telecine.core.protocol import ClaimRequest, Progress, Stage, Verdict
from telecine.core.worker import heartbeat as heartbeat_module
from telecine.core.worker.coordinator import CoordinatorClient
from telecine.core.worker.gate import Gate
from telecine.core.worker.gauge import Gauge
from telecine.core.worker.heartbeat import Heartbeat, Holding
from telecine.core.worker.park import Park
from telecine.core.worker.waiting import ended

TTL_S = 0.9
CLOCK = SystemClock()


class Pulse:
    """A heartbeat that runs beside the test, and leases for it."""

    def __init__(self, coordinator: Coordinator, client: CoordinatorClient, stack: ExitStack) -> None:
        self.gate = Gate()
        self.park = Park(CLOCK)
        self.heartbeat = Heartbeat(
            client, CLOCK, boot_id="boot", ttl_s=coordinator.ttl_s, gate=self.gate, park=self.park
        )
        self.task = asyncio.create_task(self.heartbeat.run())
        self._coordinator = coordinator
        self._client = client
        self._stack = stack

    async def hold(self, code: str) -> tuple[str, Gauge, Holding]:
        """A lease that is beaten for until the test ends."""
        offered = self._coordinator.put(code, "http://media.example/film.mp4")
        claimed = await self._client.claim(ClaimRequest("boot", offered.lease, wait_s=5))
        assert claimed is not None
        gauge = Gauge(claimed.lease, CLOCK)
        return claimed.lease.lease, gauge, self._stack.enter_context(self.heartbeat.hold(claimed, gauge))


@pytest.fixture
async def pulse(coordinator: Coordinator, web_session: aiohttp.ClientSession) -> AsyncIterator[Pulse]:
    coordinator.ttl_s = TTL_S
    client = CoordinatorClient(web_session, coordinator.url, TOKEN, CLOCK)
    with ExitStack() as stack:
        running = Pulse(coordinator, client, stack)
        yield running
        await ended(running.task)


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def test_one_beat_tells_how_far_every_lease_is(pulse: Pulse, coordinator: Coordinator) -> None:
    first, gauge, _ = await pulse.hold("CM_M000001_720P")
    second, _, _ = await pulse.hold("CM_M000002_720P")
    gauge.turn_to(5)
    gauge.enter(Stage.UPLOADING, bytes_total=100)
    gauge.add(30)
    await coordinator.until(lambda: coordinator.beats and len(coordinator.beats[-1].leases) == 2)
    assert coordinator.beats[-1].leases == (
        Progress(first, Stage.UPLOADING, 5, 30, 100),
        Progress(second, Stage.OPENING),
    )


async def test_leases_that_are_beaten_for_live_longer_than_their_time(pulse: Pulse, coordinator: Coordinator) -> None:
    _, _, holding = await pulse.hold("CM_M000001_720P")
    over = asyncio.create_task(holding.over())
    await coordinator.until(lambda: len(coordinator.beats) >= 5)
    assert not over.done()
    await ended(over)


async def test_beats_tell_when_the_account_may_send_again(pulse: Pulse, coordinator: Coordinator) -> None:
    coordinator.park_sends(600)
    await pulse.hold("CM_M000001_720P")
    await coordinator.until(lambda: pulse.park.left_s > 500)
    coordinator.park_sends(0)
    await coordinator.until(lambda: pulse.park.left_s == 0)


@pytest.mark.parametrize("verdict", [Verdict.CANCEL, Verdict.LOST])
async def test_a_verdict_ends_its_own_lease_and_no_other(
    pulse: Pulse, coordinator: Coordinator, verdict: Verdict
) -> None:
    lease, _, holding = await pulse.hold("CM_M000001_720P")
    _, _, other = await pulse.hold("CM_M000002_720P")
    going_on = asyncio.create_task(other.over())
    coordinator.verdicts[lease] = verdict
    async with asyncio.timeout(10):
        assert await holding.over() is verdict
    assert not going_on.done()
    await ended(going_on)


async def test_a_lease_that_the_answer_does_not_speak_of_is_lost(pulse: Pulse, coordinator: Coordinator) -> None:
    lease, _, holding = await pulse.hold("CM_M000001_720P")
    del coordinator.live[lease]
    async with asyncio.timeout(10):
        assert await holding.over() is Verdict.LOST


async def test_each_lease_is_given_up_before_its_own_time_is_over_where_no_beat_gets_through(
    pulse: Pulse, coordinator: Coordinator
) -> None:
    coordinator.trouble.extend([("/beat", 503)] * 500)
    began_s = now_s()
    _, _, short = await pulse.hold("CM_M000001_720P")
    coordinator.ttl_s = 60.0
    _, _, long = await pulse.hold("CM_M000002_720P")
    living = asyncio.create_task(long.over())
    assert await short.over() is Verdict.LOST
    assert now_s() - began_s < TTL_S
    assert not living.done()
    await ended(living)


async def test_a_beat_that_hangs_keeps_no_lease_from_being_given_up_in_time(
    pulse: Pulse, coordinator: Coordinator
) -> None:
    began_s = now_s()
    _, _, holding = await pulse.hold("CM_M000001_720P")
    coordinator.paused.clear()  # takes the call and never answers
    assert await holding.over() is Verdict.LOST
    assert now_s() - began_s < TTL_S
    coordinator.paused.set()


async def test_a_beat_that_is_never_answered_costs_no_lease_while_the_next_one_is(
    pulse: Pulse, coordinator: Coordinator
) -> None:
    coordinator.silences.append("/beat")
    _, _, holding = await pulse.hold("CM_M000001_720P")
    over = asyncio.create_task(holding.over())
    await coordinator.until(lambda: len(coordinator.beats) >= 5)
    assert not over.done()
    await ended(over)


async def test_a_beat_that_fails_once_costs_nothing(pulse: Pulse, coordinator: Coordinator) -> None:
    coordinator.trouble.append(("/beat", 503))
    _, _, holding = await pulse.hold("CM_M000001_720P")
    over = asyncio.create_task(holding.over())
    await coordinator.until(lambda: len(coordinator.beats) >= 5)
    assert not over.done()
    await ended(over)


async def test_long_leases_are_beaten_for_often_enough_to_hear_of_a_cancellation(
    pulse: Pulse, coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat_module, "BEAT_S_MAX", 0.2)
    coordinator.ttl_s = 3600.0
    lease, _, holding = await pulse.hold("CM_M000001_720P")
    coordinator.verdicts[lease] = Verdict.CANCEL
    async with asyncio.timeout(10):
        assert await holding.over() is Verdict.CANCEL


async def test_nothing_is_beaten_for_while_nothing_is_held(
    pulse: Pulse, coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pulse.heartbeat.ask()
    assert [beat.leases for beat in coordinator.beats] == [()]
    _, _, _ = await pulse.hold("CM_M000001_720P")
    await coordinator.until(lambda: len(coordinator.beats) >= 3)
    assert all(beat.leases for beat in coordinator.beats[1:])  # the pause between two of them went by without one


async def test_a_pause_closes_the_gate_until_the_worker_may_go_on(pulse: Pulse, coordinator: Coordinator) -> None:
    coordinator.pause = True
    _, _, holding = await pulse.hold("CM_M000001_720P")
    over = asyncio.create_task(holding.over())
    await pulse.heartbeat.steered.wait()
    assert pulse.heartbeat.paused
    assert not pulse.gate.is_open
    coordinator.pause = False
    pulse.heartbeat.steered.clear()
    async with asyncio.timeout(10):
        await pulse.gate.passed()
    assert pulse.heartbeat.steered.is_set()
    assert not over.done()  # what it has has been kept alive
    await ended(over)


async def test_a_drained_worker_goes_on_asking_when_it_holds_nothing(pulse: Pulse, coordinator: Coordinator) -> None:
    coordinator.drain = True
    await pulse.heartbeat.ask()
    assert pulse.heartbeat.draining
    assert pulse.gate.is_open
    await coordinator.until(lambda: len(coordinator.beats) >= 3)
    coordinator.drain = False
    pulse.heartbeat.steered.clear()
    async with asyncio.timeout(10):
        await pulse.heartbeat.steered.wait()
    assert not pulse.heartbeat.draining


async def test_a_token_that_no_longer_holds_ends_the_heartbeat(pulse: Pulse, coordinator: Coordinator) -> None:
    coordinator.trouble.append(("/beat", 401))
    await pulse.hold("CM_M000001_720P")
    async with asyncio.timeout(10):
        with pytest.raises(ConfigError):
            await pulse.task
