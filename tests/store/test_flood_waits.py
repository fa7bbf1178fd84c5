"""What it means for an account, and for what it uploads, that Telegram makes it wait."""

from __future__ import annotations

import pytest
from tests.store.conftest import Scene, film, link

from telecine.core.errors import LeaseLostError
from telecine.core.leases import VariantState
from telecine.core.protocol import (
    SettleFloodWait,
)

CODE = "CM_M000001_720P"


@pytest.mark.parametrize("request_name", ["upload.saveBigFilePart", "messages.sendMedia"])
async def test_a_flood_wait_parks_the_account_and_gives_the_attempt_back(queued: Scene, request_name: str) -> None:
    await queued.enrol("x")
    lease = await queued.lease("w")
    settled = await queued.store.queue.settle("w", lease.lease, SettleFloodWait(4000.0, request_name))
    assert settled.state is VariantState.READY
    assert (await queued.store.catalogue.variant(CODE)).attempts == 0
    assert await queued.claim("w") is None
    parked = {status.name: status for status in await queued.store.operations.accounts()}
    assert (parked["w"].parked_s, parked["x"].parked_s) == (4000.0, 0.0)
    assert request_name in (parked["w"].park_reason or "")
    queued.clock.advance(4000)
    assert (await queued.store.operations.accounts())[0].park_reason is None
    assert await queued.claim("w") is not None


async def test_parts_are_uploaded_while_messages_wait(queued: Scene) -> None:
    await queued.store.queue.settle("w", (await queued.lease("w")).lease, SettleFloodWait(40.0, "messages.sendMedia"))
    queued.clock.advance(10)
    assert (await queued.lease("w")).sends_parked_s == 30.0


async def test_nothing_is_uploaded_while_uploads_wait(queued: Scene) -> None:
    lease = await queued.lease("w")
    await queued.store.queue.settle("w", lease.lease, SettleFloodWait(40.0, "upload.saveBigFilePart"))
    assert await queued.claim("w") is None
    (status,) = await queued.store.operations.accounts()
    assert (status.uploads_parked_s, status.sends_parked_s) == (40.0, 0.0)


async def test_a_parked_account_does_not_hold_up_another(queued: Scene) -> None:
    await queued.enrol("x")
    lease = await queued.lease("w")
    await queued.store.queue.settle("w", lease.lease, SettleFloodWait(3600.0, "messages.sendMedia"))
    assert (await queued.lease("x")).code == CODE


@pytest.mark.parametrize("end", ["cancelled", "expired", "restarted"])
async def test_a_flood_wait_reported_too_late_parks_the_account_once(queued: Scene, end: str) -> None:
    lease = await queued.lease("w")
    match end:
        case "cancelled":
            await queued.store.operations.cancel(CODE)
        case "expired":
            queued.clock.advance(60)
            await queued.store.sweeper.sweep()
        case _:
            await queued.hello("w", boot="boot-2")
    state = (await queued.store.catalogue.variant(CODE)).state
    for _ in range(2):  # the repeat comes ten seconds later and does not make the wait longer
        settled = await queued.store.queue.settle("w", lease.lease, SettleFloodWait(40.0, "messages.sendMedia"))
        assert (settled.state, settled.repeated) == (state, True)
        queued.clock.advance(10)
    assert (await queued.store.operations.accounts())[0].parked_s == 20.0
    assert queued.sql("SELECT outcome FROM upload_attempts ORDER BY id") == [(end,), ("flood_wait",)]
    [late, _] = await queued.store.operations.attempts(code=CODE)
    assert (late.worker, late.account, late.detail) == ("w", "w", "wait 40 s before messages.sendMedia")


async def test_a_flood_wait_of_a_lease_that_was_never_the_workers_parks_nobody(queued: Scene) -> None:
    await queued.enrol("x")
    lease = await queued.lease("w")
    with pytest.raises(LeaseLostError):
        await queued.store.queue.settle("x", lease.lease, SettleFloodWait(40.0, "messages.sendMedia"))
    assert {status.parked_s for status in await queued.store.operations.accounts()} == {0.0}


async def test_a_shorter_flood_wait_does_not_shorten_a_longer_one(queued: Scene) -> None:
    await queued.imports(film("2", link("z")))
    first, second = await queued.lease("w"), await queued.lease("w")
    await queued.store.queue.settle("w", first.lease, SettleFloodWait(40.0, "messages.sendMedia"))
    await queued.store.queue.settle("w", second.lease, SettleFloodWait(5.0, "messages.sendMedia"))
    assert (await queued.store.operations.accounts())[0].parked_s == 40.0
