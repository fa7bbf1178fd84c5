from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import pytest
from tests.waiting import until

from telecine.core.errors import ConflictError, UnavailableError
from telecine.core.protocol import LEASES_PER_BEAT_MAX, SettleReleased

if TYPE_CHECKING:
    from tests.core.coordinator.conftest import Api

CODE = "CM_M000001_720P"
RELEASED = {"boot_id": "b1", "outcome": {"type": "released"}}


async def test_ready_variant_is_leased_with_its_channel_and_links(api: Api) -> None:
    await api.queue.put(CODE)
    async with api.claim() as response:
        assert response.status == 200
        lease = await response.json()
    assert lease["code"] == CODE
    assert lease["channel"] == {"id": 1, "title": "CM_C000001", "telegram_id": 4242}
    assert [source["link_id"] for source in lease["sources"]] == [7]


async def test_empty_queue_answers_204_at_once_or_after_the_wait(api: Api) -> None:
    for wait_s in (0.0, 0.05):
        async with api.claim(wait_s=wait_s) as response:
            assert response.status == 204
            assert await response.read() == b""


async def test_waiting_claim_is_woken_by_an_insert(api: Api) -> None:
    async def claim() -> int:
        async with api.claim(wait_s=9) as response:
            return int(response.status)

    claiming = asyncio.create_task(claim())
    await api.queue.until(lambda: api.queue.waiting == 1)
    await api.queue.put(CODE)
    assert await claiming == 200


async def test_repeated_request_id_gets_the_same_lease(api: Api) -> None:
    await api.queue.put(CODE)
    await api.queue.put("CM_M000002_720P")
    leases = []
    for request_id in ("r1", "r1", "r2"):
        async with api.claim(request_id) as response:
            leases.append((await response.json())["lease"])
    assert leases[0] == leases[1] != leases[2]


async def test_client_that_goes_while_waiting_leaves_no_lease(api: Api) -> None:
    claiming = asyncio.create_task(api.claim(wait_s=9).__aenter__())
    await api.queue.until(lambda: api.queue.waiting == 1)
    claiming.cancel()
    await asyncio.gather(claiming, return_exceptions=True)
    await until(lambda: not api.queue.waiting)
    await api.queue.put(CODE)
    assert api.queue.leased == {}
    async with api.claim("r2") as response:
        assert response.status == 200


async def test_lease_committed_for_a_client_that_is_gone_is_given_back(api: Api) -> None:
    await api.queue.put(CODE)
    await api.queue.claiming.acquire()
    claiming = asyncio.create_task(api.claim(wait_s=9).__aenter__())
    await api.queue.until(lambda: len(api.queue.heard) == 1)
    claiming.cancel()
    await asyncio.gather(claiming, return_exceptions=True)
    await until(lambda: not api.server.connections)
    api.queue.claiming.release()
    await api.queue.until(lambda: api.queue.settled)
    assert api.queue.leased == {}
    assert [outcome for _, outcome in api.queue.settled.values()] == [SettleReleased()]


async def test_repeat_of_a_lost_request_keeps_the_lease_that_was_committed_for_it(api: Api) -> None:
    await api.queue.put(CODE)
    await api.queue.claiming.acquire()
    lost = asyncio.create_task(api.claim("r1", wait_s=9).__aenter__())
    await api.queue.until(lambda: len(api.queue.heard) == 1)
    lost.cancel()
    await asyncio.gather(lost, return_exceptions=True)
    await api.queue.until(lambda: len(api.queue.heard) == 2)  # the coordinator asks what became of it
    repeat = asyncio.create_task(api.claim("r1", wait_s=9).__aenter__())
    await api.queue.until(lambda: len(api.queue.heard) == 3)
    api.queue.claiming.release()
    response = await repeat
    lease = (await response.json())["lease"]
    assert list(api.queue.leased) == [lease]
    assert api.queue.settled == {}


async def test_stopping_answers_waiting_claims_at_once_without_work(api: Api) -> None:
    claims = [asyncio.create_task(api.claim(f"r{n}", wait_s=30).__aenter__()) for n in range(3)]
    await api.queue.until(lambda: api.queue.waiting == 3)
    async with asyncio.timeout(2):
        await api.server.stop()
    assert [(await claim).status for claim in claims] == [204, 204, 204]
    with pytest.raises(aiohttp.ClientConnectionError):
        await api.claim().__aenter__()


async def test_claim_of_an_earlier_boot_is_a_conflict(api: Api) -> None:
    api.queue.error = ConflictError("boot b1 is not the latest")
    async with api.claim() as response:
        assert response.status == 409
        assert (await response.json())["type"] == "urn:telecine:problem:conflict"


async def test_database_that_does_not_answer_is_503_with_a_time_to_come_back(api: Api) -> None:
    api.queue.error = UnavailableError("the database is busy")
    async with api.claim() as response:
        assert response.status == 503
        assert response.headers["Retry-After"] == "2"


async def test_beat_tells_lost_leases_from_held_ones(api: Api) -> None:
    await api.queue.put(CODE)
    async with api.claim() as response:
        lease = (await response.json())["lease"]
    told = [{"lease": lease, "stage": "uploading", "bytes_done": 5}, {"lease": "1.9.9", "stage": "opening"}]
    async with api.post("/v1/leases/beat", {"boot_id": "b1", "leases": told}) as response:
        answer = await response.json()
    assert [verdict["verdict"] for verdict in answer["leases"]] == ["go_on", "lost"]
    assert answer["drain"] is False


async def test_beat_of_more_leases_than_a_worker_can_hold_is_refused(api: Api) -> None:
    for leases, status in ((LEASES_PER_BEAT_MAX, 200), (LEASES_PER_BEAT_MAX + 1, 400)):
        told = [{"lease": f"1.9.{number}", "stage": "opening"} for number in range(leases)]
        async with api.post("/v1/leases/beat", {"boot_id": "b1", "leases": told}) as response:
            assert response.status == status
            problem = await response.json()
    assert problem["field"] == "leases"


async def test_settled_lease_settles_again_as_repeated(api: Api) -> None:
    await api.queue.put(CODE)
    async with api.claim() as response:
        lease = (await response.json())["lease"]
    answers = []
    for _ in range(2):
        async with api.post(f"/v1/leases/{lease}/settle", RELEASED) as response:
            assert response.status == 200
            answers.append(await response.json())
    assert [answer["repeated"] for answer in answers] == [False, True]


async def test_lost_lease_is_fenced_with_409(api: Api) -> None:
    async with api.post("/v1/leases/1.1.99/settle", RELEASED) as response:
        assert response.status == 409
        assert (await response.json())["type"] == "urn:telecine:problem:lease_lost"


async def test_hello_answers_with_account_channels_and_bot(api: Api) -> None:
    hello = {"boot_id": "b1", "version": "0.1.0", "telegram_user_id": 77, "premium": True}
    async with api.post("/v1/workers/hello", hello) as response:
        welcome = await response.json()
    assert (welcome["worker"], welcome["account"], welcome["bot_username"]) == ("cm-ember", "cm-ember", "telecine_bot")
    assert welcome["lease_ttl_s"] == 60.0
    assert [channel["title"] for channel in welcome["channels"]] == ["CM_C000001"]


async def test_opened_channel_is_noted_and_an_unknown_one_is_404(api: Api) -> None:
    for channel, status in ((1, 204), (2, 404)):
        async with api.post(f"/v1/channels/{channel}/opened", {"telegram_id": 4242}) as response:
            assert response.status == status
    assert api.queue.heard == [("cm-ember", 1, 4242)]
