"""The stream of events over real sockets."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from tests.waiting import until

from telecine.core.coordinator.events import EVENTS_KEPT_MAX, FOLLOWERS_MAX
from telecine.core.errors import StoreError
from telecine.core.events import QueueSwept, VariantChanged
from telecine.core.leases import VariantState

if TYPE_CHECKING:
    from tests.core.coordinator.conftest import Api

CODE = "CM_M000001_720P"
SWEPT = QueueSwept(1, 0)
MORE_THAN_MEMORY_HOLDS = [SWEPT] * (EVENTS_KEPT_MAX + 10)


async def frame(stream: Any) -> dict[str, str]:
    """The next event of a stream; comments and the opening are passed over."""
    async with asyncio.timeout(5):
        while True:
            text = (await stream.content.readuntil(b"\n\n")).decode()
            fields = dict(line.split(": ", 1) for line in text.strip().splitlines() if not line.startswith(":"))
            if "event" in fields:
                return fields


async def opening(stream: Any) -> str:
    async with asyncio.timeout(5):
        text: bytes = await stream.content.readuntil(b"\n\n")
        return text.decode()


async def test_leases_and_progress_are_told_as_they_happen_and_carry_no_id(api: Api) -> None:
    async with api.get("/v1/events") as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        assert stream.headers["X-Request-ID"]
        await opening(stream)
        await api.queue.put(CODE)
        async with api.claim() as response:
            lease = (await response.json())["lease"]
        leased = await frame(stream)
        assert leased["event"] == "variant"
        assert json.loads(leased["data"]) == {"code": CODE, "state": "leased", "worker": "cm-ember"}
        beat = {"boot_id": "b1", "leases": [{"lease": lease, "stage": "uploading", "bytes_done": 5}]}
        async with api.post("/v1/leases/beat", beat):
            pass
        progress = await frame(stream)
        assert progress["event"] == "progress"
        assert json.loads(progress["data"])["leases"][0]["bytes_done"] == 5
        assert "id" not in leased.keys() | progress.keys()


async def test_nothing_is_told_of_leases_that_are_lost(api: Api) -> None:
    await api.queue.put(CODE)
    async with api.claim() as response:
        lease = (await response.json())["lease"]
    lost, held = {"lease": "1.9.9", "stage": "sending"}, {"lease": lease, "stage": "opening"}
    async with api.get("/v1/events") as stream:
        await opening(stream)
        for leases in ([lost], [lost, held]):
            async with api.post("/v1/leases/beat", {"boot_id": "b1", "leases": leases}) as response:
                assert (await response.json())["leases"][0]["verdict"] == "lost"
        progress = await frame(stream)
        assert [told["lease"] for told in json.loads(progress["data"])["leases"]] == [lease]


async def test_a_stream_opens_with_the_id_to_come_back_with(api: Api) -> None:
    api.log.record(SWEPT, SWEPT)
    async with api.get("/v1/events") as stream:
        assert await opening(stream) == "id: 1-2\nretry: 2000\n\n"
    api.log.record(VariantChanged(CODE, VariantState.DONE))
    async with api.get("/v1/events", **{"Last-Event-ID": "1-2"}) as stream:
        assert await opening(stream) == "retry: 2000\n\n"
        told = await frame(stream)
    assert (told["id"], told["event"], json.loads(told["data"])["code"]) == ("1-3", "variant", CODE)


async def test_what_was_pruned_meanwhile_is_told_by_a_reset(api: Api) -> None:
    api.log.record(*MORE_THAN_MEMORY_HOLDS)
    api.log.pruned, newest = 3, api.log.newest
    async with api.get("/v1/events", **{"Last-Event-ID": "1-2"}) as stream:
        assert await frame(stream) == {"id": f"1-{newest}", "event": "reset", "data": "{}"}
        api.log.record(SWEPT)
        assert (await frame(stream))["id"] == f"1-{newest + 1}"


async def test_only_the_kinds_that_are_asked_for_are_told(api: Api) -> None:
    api.log.record(SWEPT, VariantChanged(CODE, VariantState.DONE), SWEPT)
    async with api.get("/v1/events?kinds=variant,import", **{"Last-Event-ID": "1-0"}) as stream:
        assert (await frame(stream))["id"] == "1-2"
        api.log.record(SWEPT, VariantChanged(CODE, VariantState.READY))
        assert (await frame(stream))["id"] == "1-5"
    async with api.get("/v1/events?kinds=variant", **{"Last-Event-ID": "0-0"}) as stream:
        assert (await frame(stream))["event"] == "reset"


@pytest.mark.parametrize("kinds", ["variant,", "nonsense", "variant, queue", "x" * 300])
async def test_kinds_that_do_not_exist_are_refused(api: Api, kinds: str) -> None:
    async with api.get(f"/v1/events?kinds={kinds}") as response:
        problem = await response.json()
        assert (response.status, problem["field"]) == (400, "kinds")


async def test_a_log_that_cannot_be_read_ends_the_stream_and_not_the_coordinator(api: Api) -> None:
    api.log.record(*MORE_THAN_MEMORY_HOLDS)
    api.log.error = StoreError("the database is away")
    async with api.get("/v1/events", **{"Last-Event-ID": "1-0"}) as stream:
        with pytest.raises(aiohttp.ClientPayloadError):
            await stream.read()
    api.log.error = None
    async with api.get("/v1/events", **{"Last-Event-ID": "1-0"}) as stream:
        assert (await frame(stream))["id"] == "1-1"


async def test_stopping_ends_every_stream(api: Api) -> None:
    async with api.get("/v1/events") as stream:
        async with asyncio.timeout(2):
            await api.server.stop()
        assert (await stream.read()).startswith(b"id: 1-0\nretry:")


async def test_reader_that_leaves_makes_room(api: Api) -> None:
    for _ in range(FOLLOWERS_MAX + 2):
        stream = await api.get("/v1/events").__aenter__()
        stream.close()
        await until(lambda: api.server.connections == 0)


async def test_stream_ends_with_its_token(api: Api) -> None:
    async with api.get("/v1/events") as stream:
        await api.services.tokens.revoke("operator-1")
        api.log.record(SWEPT)
        assert b"event:" not in await stream.read()
