from __future__ import annotations

import asyncio
import dataclasses
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
import pytest
import uvloop
from tests.clocks import JumpingClock
from tests.waiting import until

from telecine.core.coordinator.server import CoordinatorServer
from telecine.core.coordinator.sweeping import SWEEP_PAUSE_S_MIN, sweep_forever
from telecine.core.errors import ConfigError, StoreError, UnavailableError
from telecine.core.leases import Swept

if TYPE_CHECKING:
    from tests.core.coordinator.conftest import Api, Serve


class SweepsInTurn:
    """Answers each sweep with the next of what it was given, then ends the loop. `calls` is what it was asked for."""

    def __init__(self, *answers: Swept | Exception) -> None:
        self.answers = list(answers)
        self.calls: list[str] = []

    async def renew(self) -> None:
        self.calls.append("renew")

    async def sweep(self) -> Swept:
        if not self.answers:
            raise asyncio.CancelledError
        answer = self.answers.pop(0)
        self.calls.append("sweep")
        if isinstance(answer, Exception):
            raise answer
        return answer


async def _pauses(*answers: Swept | Exception) -> list[float]:
    clock = JumpingClock(1000.0)
    with pytest.raises(asyncio.CancelledError):
        await sweep_forever(SweepsInTurn(*answers), clock, 5.0)
    return clock.slept_s


async def test_sweep_comes_back_for_what_is_due_first() -> None:
    assert await _pauses(Swept(0, 0, None), Swept(0, 0, 1_007_500), Swept(0, 0, 9_000_000)) == [5.0, 2.5, 5.0]


async def test_sweep_does_not_spin_on_what_stays_due() -> None:
    assert await _pauses(Swept(1, 0, 900_000), Swept(0, 0, 1_000_000)) == [SWEEP_PAUSE_S_MIN, SWEEP_PAUSE_S_MIN]


async def test_sweep_outlives_a_database_that_is_away() -> None:
    assert await _pauses(UnavailableError("busy"), StoreError("disk full"), Swept(0, 0, None)) == [5.0, 5.0, 5.0]


class PutClock(JumpingClock):
    """Somebody sets the wall clock while the first one sleeps on it, by `put_s`."""

    def __init__(self, put_s: float) -> None:
        super().__init__(1000.0)
        self._put_s = put_s

    def now_ms(self) -> int:
        return super().now_ms() + round(self._put_s * 1000) * bool(self.slept_s)


@pytest.mark.parametrize("put_s", [7200.0, -7200.0, 6.0])
async def test_leases_are_renewed_at_the_start_and_when_the_clock_was_put(put_s: float) -> None:
    sweeper = SweepsInTurn(*[Swept(0, 0, None)] * 3)
    with pytest.raises(asyncio.CancelledError):
        await sweep_forever(sweeper, PutClock(put_s), 5.0)
    assert sweeper.calls == ["renew", "sweep", "renew", "sweep", "sweep"]


@pytest.mark.parametrize("put_s", [0.0, 4.0, -4.0])
async def test_clock_that_is_put_by_less_than_a_beat_leaves_leases_alone(put_s: float) -> None:
    sweeper = SweepsInTurn(*[Swept(0, 0, None)] * 3)
    with pytest.raises(asyncio.CancelledError):
        await sweep_forever(sweeper, PutClock(put_s), 5.0)
    assert sweeper.calls == ["renew", "sweep", "sweep", "sweep"]


async def test_leases_are_renewed_when_the_database_is_back() -> None:
    sweeper = SweepsInTurn(Swept(0, 0, None), StoreError("disk full"), Swept(0, 0, None), Swept(0, 0, None))
    with pytest.raises(asyncio.CancelledError):
        await sweep_forever(sweeper, JumpingClock(1000.0), 5.0)
    assert sweeper.calls == ["renew", "sweep", "sweep", "renew", "sweep", "sweep"]


async def test_leases_that_could_not_be_renewed_are_not_swept() -> None:
    class CannotRenew(SweepsInTurn):
        async def renew(self) -> None:
            await super().renew()
            if len(self.calls) == 1:
                raise UnavailableError("busy")

    sweeper = CannotRenew(Swept(0, 0, None))
    with pytest.raises(asyncio.CancelledError):
        await sweep_forever(sweeper, JumpingClock(1000.0), 5.0)
    assert sweeper.calls == ["renew", "renew", "sweep"]


async def test_only_sweeps_that_moved_something_are_told() -> None:
    told: list[Swept] = []
    moved = [Swept(1, 0, None), Swept(0, 2, None)]
    with pytest.raises(asyncio.CancelledError):
        await sweep_forever(
            SweepsInTurn(moved[0], Swept(0, 0, None), moved[1]), JumpingClock(1000.0), 5.0, on_swept=told.append
        )
    assert told == moved


async def test_fault_in_the_sweep_is_raised_to_whoever_minds_the_server(api: Api) -> None:
    await api.server.stop()
    broken = SweepsInTurn(RuntimeError("no such column"))
    server = CoordinatorServer(dataclasses.replace(api.services, sweeper=broken))
    await server.start("127.0.0.1", 0)
    with pytest.raises(RuntimeError, match="no such column"):
        await server.failed()
    await server.stop()


async def test_token_revoked_elsewhere_is_heeded_while_serving(api: Api) -> None:
    await api.server.stop()
    settings = msgspec.structs.replace(api.services.settings, sweep_interval_s=0.01)
    server = CoordinatorServer(dataclasses.replace(api.services, settings=settings))
    await server.start("127.0.0.1", 0)
    await api.services.tokens._registry.revoke("operator-1")
    async with asyncio.timeout(5):
        while True:
            async with api.client.get(f"{server.url}/v1/status", headers=api.as_operator()) as response:
                if response.status == 401:
                    break
    await server.stop()


async def test_address_that_is_taken_is_a_setting_to_change(api: Api) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match=r"cannot listen on 127\.0\.0\.1"):
            await CoordinatorServer(api.services).start("127.0.0.1", taken.getsockname()[1])


async def test_address_that_can_be_no_name_is_a_setting_to_change(api: Api) -> None:
    with pytest.raises(ConfigError, match="can be no host's name"):
        await CoordinatorServer(api.services).start("main..example", 0)


async def test_stopping_lets_a_running_request_finish(api: Api) -> None:
    await api.queue.put("CM_M000001_720P")
    await api.queue.claiming.acquire()
    claiming = asyncio.create_task(api.claim().__aenter__())
    await api.queue.until(lambda: len(api.queue.heard) == 1)
    stopping = asyncio.create_task(api.server.stop())
    await until(lambda: _is_refused(api.server.url))
    api.queue.claiming.release()
    response = await claiming
    assert response.status == 200
    assert (await response.json())["code"] == "CM_M000001_720P"
    await stopping
    await api.server.stop()  # again: nothing happens


def test_lease_is_served_under_uvloop(serve: Serve) -> None:
    async def claim_one() -> str:
        async with serve() as api:
            await api.queue.put("CM_M000001_720P")
            async with api.claim(wait_s=5) as response:
                return str((await response.json())["code"])

    assert uvloop.run(claim_one()) == "CM_M000001_720P"


def _is_refused(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((parts.hostname, parts.port)) != 0
