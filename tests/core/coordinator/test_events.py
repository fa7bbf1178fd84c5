from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from telecine.core.coordinator.events import FOLLOWERS_MAX, EventKind, Events, QueueSwept, VariantChanged
from telecine.core.errors import UnavailableError
from telecine.core.leases import VariantState

if TYPE_CHECKING:
    from tests.core.coordinator.conftest import Api

CODE = "CM_M000001_720P"


def _swept(number: int) -> QueueSwept:
    return QueueSwept(expired=number, promoted=0)


async def _take(events: Events, count: int, last_id: str | None) -> list[tuple[str, Any]]:
    taken: list[tuple[str, Any]] = []
    with events.follow(last_id) as following:
        async with asyncio.timeout(5):
            async for event in following:
                assert event is not None
                taken.append((event.id, json.loads(event.data)))
                if len(taken) == count:
                    break
    return taken


async def test_follower_that_comes_back_gets_what_it_missed() -> None:
    events = Events("boot")
    for number in range(1, 6):
        events.publish(_swept(number))
    taken = await _take(events, 2, "boot-3")
    assert [(name, data["expired"]) for name, data in taken] == [("boot-4", 4), ("boot-5", 5)]


@pytest.mark.parametrize("last_id", ["boot-1", "earlier-5", "boot-99", "boot-x", "5", "", "boot-" + "9" * 30])
async def test_follower_whose_place_is_gone_is_told_to_look_anew(last_id: str) -> None:
    events = Events("boot", kept_max=2)
    for number in range(1, 6):
        events.publish(_swept(number))
    with events.follow(last_id) as following:
        first = await anext(following)
        events.publish(_swept(6))
        second = await anext(following)
    assert first is not None
    assert second is not None
    assert (first.kind, first.id) == (EventKind.RESET, "boot-5")
    assert (second.kind, second.id) == (EventKind.QUEUE, "boot-6")


async def test_slow_follower_is_told_to_look_anew_instead_of_holding_memory() -> None:
    events = Events("boot", kept_max=3)
    with events.follow(None) as following:
        events.publish(_swept(1))
        assert await anext(following) is not None
        for number in range(2, 50):
            events.publish(_swept(number))
        reset = await anext(following)
    assert reset is not None
    assert (reset.kind, reset.id) == (EventKind.RESET, "boot-49")


async def test_silence_is_filled_and_closing_ends_it() -> None:
    events = Events("boot")
    with events.follow(None, keep_alive_s=0.01) as following:
        assert await anext(following) is None
        ending = asyncio.ensure_future(anext(following, "the end"))
        events.close()
        assert await ending == "the end"


async def test_followers_are_limited_and_make_room_when_they_leave() -> None:
    events = Events("boot")
    for _ in range(2):
        followers = [events.follow(None) for _ in range(FOLLOWERS_MAX)]
        for follower in followers:
            follower.__enter__()
        with pytest.raises(UnavailableError), events.follow(None):
            pass
        for follower in followers:
            follower.__exit__(None, None, None)


# ---- over HTTP -----------------------------------------------------------------------------------


async def _frame(response: Any) -> dict[str, str]:
    """The next event of a stream; comments and the retry advice are passed over."""
    async with asyncio.timeout(5):
        while True:
            text = (await response.content.readuntil(b"\n\n")).decode()
            fields = dict(line.split(": ", 1) for line in text.strip().splitlines() if not line.startswith(":"))
            if "event" in fields:
                return fields


async def test_claim_beat_and_settle_are_told_as_they_happen(api: Api) -> None:
    async with api.get("/v1/events") as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        assert stream.headers["X-Request-ID"]
        await api.queue.put(CODE)
        async with api.claim() as response:
            lease = (await response.json())["lease"]
        leased = await _frame(stream)
        assert leased["event"] == "variant"
        assert json.loads(leased["data"]) == {"code": CODE, "state": "leased", "worker": "cm-ember"}
        beat = {"boot_id": "b1", "leases": [{"lease": lease, "stage": "uploading", "bytes_done": 5}]}
        async with api.post("/v1/leases/beat", beat):
            pass
        progress = await _frame(stream)
        assert progress["event"] == "progress"
        assert json.loads(progress["data"])["leases"][0]["bytes_done"] == 5
        released = {"boot_id": "b1", "outcome": {"type": "released"}}
        async with api.post(f"/v1/leases/{lease}/settle", released):
            pass
        assert json.loads((await _frame(stream))["data"])["state"] == "ready"


async def test_stream_resumes_behind_the_last_event_seen(api: Api) -> None:
    events = api.services.events
    for number in range(1, 4):
        events.publish(VariantChanged(f"CM_M{number:06d}_720P", VariantState.DONE))
    async with api.get("/v1/events", **{"Last-Event-ID": "boot-2"}) as stream:
        frame = await _frame(stream)
    assert (frame["id"], json.loads(frame["data"])["code"]) == ("boot-3", "CM_M000003_720P")


async def test_repeated_settle_is_not_told_twice(api: Api) -> None:
    await api.queue.put(CODE)
    async with api.claim() as response:
        lease = (await response.json())["lease"]
    released = {"boot_id": "b1", "outcome": {"type": "released"}}
    async with api.get("/v1/events") as stream:
        for _ in range(2):
            async with api.post(f"/v1/leases/{lease}/settle", released):
                pass
        api.services.events.publish(_swept(1))
        assert [(await _frame(stream))["event"] for _ in range(2)] == ["variant", "queue"]


async def test_stopping_ends_every_stream(api: Api) -> None:
    async with api.get("/v1/events") as stream:
        async with asyncio.timeout(2):
            await api.server.stop()
        assert (await stream.read()).startswith(b"retry:")


async def test_reader_that_leaves_makes_room(api: Api) -> None:
    for _ in range(FOLLOWERS_MAX + 2):
        stream = await api.get("/v1/events").__aenter__()
        stream.close()
        await api.until(lambda: api.server.connections == 0)


async def test_stream_ends_with_its_token(api: Api) -> None:
    async with api.get("/v1/events") as stream:
        await api.services.tokens.revoke("operator-1")
        api.services.events.publish(_swept(1))
        assert b"event:" not in await stream.read()
