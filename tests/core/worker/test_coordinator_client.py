from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path

import aiohttp
import pytest
from tests.certificates import self_signed
from tests.core.worker.scripted import TOKEN, Coordinator

from telecine.core.clock import SystemClock
from telecine.core.errors import ConfigError, LeaseLostError, NotFoundError, UnavailableError
from telecine.core.protocol import (
    BeatRequest,
    ClaimRequest,
    Hello,
    SettleReleased,
    SettleRequest,
)
from telecine.core.worker import coordinator as client_module
from telecine.core.worker.coordinator import CoordinatorClient

CLAIM = ClaimRequest(boot_id="boot", request_id="r1", wait_s=5.0)
RELEASED = SettleRequest("boot", SettleReleased())


@pytest.fixture
def client(coordinator: Coordinator, web_session: aiohttp.ClientSession) -> CoordinatorClient:
    return CoordinatorClient(web_session, coordinator.url, TOKEN, SystemClock())


async def test_a_worker_introduces_itself_and_learns_its_channels(
    client: CoordinatorClient, coordinator: Coordinator
) -> None:
    welcome = await client.hello(Hello("boot", "1.0", 7, premium=True))
    assert welcome.channels == tuple(coordinator.channels)
    await client.channel_opened(1, 2000000001)
    assert coordinator.channels[0].telegram_id == 2000000001


async def test_a_lost_reply_to_a_claim_is_asked_for_again_under_the_same_request_id(
    client: CoordinatorClient, coordinator: Coordinator
) -> None:
    lease = coordinator.put("CM_M000001_720P")
    coordinator.put("CM_M000002_720P")
    coordinator.lost_replies.append("/leases")
    claimed = await client.claim(CLAIM)
    assert claimed is not None
    assert claimed.lease.lease == lease.lease
    assert [claim.request_id for claim in coordinator.claims] == ["r1", "r1"]


async def test_a_lease_is_counted_from_a_moment_before_it_began(
    client: CoordinatorClient, coordinator: Coordinator
) -> None:
    coordinator.put("CM_M000001_720P", waited_s=1000.0)
    before_s = SystemClock().monotonic_s()
    claimed = await client.claim(CLAIM)
    assert claimed is not None
    assert 0 <= claimed.since_s - before_s - 1000 <= SystemClock().monotonic_s() - before_s


async def test_trouble_of_the_coordinator_is_waited_out(client: CoordinatorClient, coordinator: Coordinator) -> None:
    coordinator.trouble.extend([("/hello", 503), ("/hello", 500), ("/hello", 429)])
    assert (await client.hello(Hello("boot", "1.0", 7, premium=True))).worker == "ember"


async def test_a_coordinator_that_is_away_is_told_of_once(
    web_session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    client = CoordinatorClient(web_session, f"http://127.0.0.1:{port}", TOKEN, SystemClock())
    with caplog.at_level(logging.WARNING), pytest.raises(TimeoutError):
        async with asyncio.timeout(0.6):
            await client.claim(CLAIM)
    assert len([r for r in caplog.records if r.name == client_module.__name__]) == 1


async def test_a_settle_whose_reply_was_lost_is_repeated(client: CoordinatorClient, coordinator: Coordinator) -> None:
    coordinator.put("CM_M000001_720P")
    claimed = await client.claim(CLAIM)
    assert claimed is not None
    lease = claimed.lease
    coordinator.lost_replies.append("/settle")
    settled = await client.settle(lease.lease, RELEASED)
    assert settled.repeated
    assert coordinator.settled[lease.lease] == SettleReleased()


async def test_a_lost_lease_is_an_error_of_its_own(client: CoordinatorClient) -> None:
    with pytest.raises(LeaseLostError):
        await client.settle("1.1.1", RELEASED)


async def test_an_unknown_variant_is_not_found(client: CoordinatorClient) -> None:
    with pytest.raises(NotFoundError):
        await client.variant("CM_M999999_720P")


async def test_a_token_that_does_not_hold_is_the_operators_to_mend(
    coordinator: Coordinator, web_session: aiohttp.ClientSession
) -> None:
    client = CoordinatorClient(web_session, coordinator.url, "stale", SystemClock())
    with pytest.raises(ConfigError, match=r"worker\.token"):
        await client.claim(CLAIM)


@pytest.mark.parametrize("url", ["http://..", f"http://{'a' * 64}", "http://127.0.0.1:99999"])
async def test_an_address_that_nobody_can_have_is_not_asked_for_ever(
    web_session: aiohttp.ClientSession, url: str
) -> None:
    client = CoordinatorClient(web_session, url, TOKEN, SystemClock())
    with pytest.raises(ConfigError, match=r"worker\.coordinator_url: .* is no address that can be asked"):
        await client.claim(CLAIM)


async def test_a_certificate_that_has_run_out_is_an_outage_and_not_the_workers_end(
    web_session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=self_signed(tmp_path))
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        client = CoordinatorClient(web_session, url, TOKEN, SystemClock())
        with pytest.raises(UnavailableError, match=r"the coordinator.s certificate does not hold: .*self-signed"):
            await client.beat(BeatRequest("boot"))


async def test_an_answer_of_another_program_is_named_as_such(
    client: CoordinatorClient, coordinator: Coordinator
) -> None:
    coordinator.put("CM_M000001_720P")
    coordinator.trouble.append(("/leases", 418))
    with pytest.raises(ConfigError, match="trouble"):
        await client.claim(CLAIM)


@pytest.mark.parametrize("status", [501, 502, 507, 520, 522, 530])
async def test_a_proxy_that_does_not_reach_the_coordinator_is_an_outage_from_the_start(
    client: CoordinatorClient, coordinator: Coordinator, status: int
) -> None:
    coordinator.pages.append(("/hello", status))
    assert (await client.hello(Hello("boot", "1.0", 7, premium=True))).worker == "ember"
    coordinator.pages.append(("/beat", status))
    with pytest.raises(UnavailableError, match=f"HTTP status {status}"):
        await client.beat(BeatRequest("boot"))


@pytest.mark.parametrize("status", [200, 302, 403, 404])
async def test_a_page_in_place_of_a_coordinator_that_has_answered_before_is_an_outage(
    client: CoordinatorClient, coordinator: Coordinator, status: int
) -> None:
    await client.hello(Hello("boot", "1.0", 7, premium=True))
    lease = coordinator.put("CM_M000001_720P")
    coordinator.pages.append(("/leases", status))
    claimed = await client.claim(CLAIM)
    assert claimed is not None
    assert claimed.lease.lease == lease.lease


@pytest.mark.parametrize("status", [200, 302, 403, 404])
async def test_a_page_where_no_coordinator_has_answered_yet_is_the_operators_to_mend(
    client: CoordinatorClient, coordinator: Coordinator, status: int
) -> None:
    coordinator.pages.append(("/hello", status))
    with pytest.raises(ConfigError, match=f"HTTP status {status}, and not as a coordinator says it") as raised:
        await client.hello(Hello("boot", "1.0", 7, premium=True))
    assert raised.value.hint == "check worker.coordinator_url"


async def test_a_beat_that_fails_is_not_repeated_by_itself(client: CoordinatorClient, coordinator: Coordinator) -> None:
    coordinator.trouble.append(("/beat", 503))
    with pytest.raises(UnavailableError):
        await client.beat(BeatRequest("boot"))
