"""The same conversation with the real database behind the API."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.core.coordinator.peers import Opened, Stored, done

from telecine.core.captions import Origin
from telecine.core.catalogue import PROBED, VariantDetail
from telecine.core.delivery import Resolved
from telecine.core.leases import VariantState
from telecine.core.operator_protocol import Status, TitlePage, VariantMoved
from telecine.core.protocol import (
    Contents,
    Settled,
    SettleFailed,
    SettleFloodWait,
    SettleReleased,
    SourceReport,
    StoredContent,
    Verdict,
)
from telecine.core.quality import Quality
from telecine.core.reasons import Reason

if TYPE_CHECKING:
    from tests.core.coordinator.conftest import SteeredClock


async def test_film_goes_from_import_to_something_that_can_be_delivered(stored: Stored) -> None:
    await stored.plan("Night Train")
    welcome = await stored.ember.enter()
    assert (welcome.account, len(welcome.channels)) == ("cm-ember", 2)
    lease = await stored.ember.claim()
    assert lease.sources[0].url == "http://files.example/Night Train-1.mp4"
    assert await stored.ember.beat(lease) is Verdict.GO_ON
    assert await stored.ember.settle(lease, done(lease)) == Settled(lease.code, VariantState.DONE)

    detail = await stored.ada.call("GET", f"/v1/variants/{lease.code}", VariantDetail)
    assert [(stored_object.message_id, detail.state) for stored_object in detail.objects] == [(10, VariantState.DONE)]
    resolved = await stored.ada.call("GET", f"/v1/resolve/{lease.code}?bot_id=1", Resolved)
    assert (resolved.title, len(resolved.parts), resolved.parts[0].file) == ("Night Train", 1, None)
    found = await stored.ada.call("GET", "/v1/titles?q=train", TitlePage)
    assert [(title.name, title.available) for title in found.titles] == [("Night Train", 1)]
    status = await stored.ada.call("GET", "/v1/status", Status)
    assert (status.counts.objects, status.counts.variants_by_state.get("done")) == (1, 1)


async def test_lease_is_settled_once_however_often_the_reply_is_lost(stored: Stored) -> None:
    await stored.plan("Night Train")
    await stored.ember.enter()
    lease = await stored.ember.claim("r1")
    assert await stored.ember.claim("r1") == lease
    report = done(lease)
    assert [(await stored.ember.settle(lease, report)).repeated for _ in range(3)] == [False, True, True]
    assert len((await stored.ada.call("GET", f"/v1/variants/{lease.code}", VariantDetail)).objects) == 1


async def test_expired_lease_goes_to_another_worker_and_its_first_holder_is_fenced(
    stored: Stored, clock: SteeredClock
) -> None:
    await stored.plan("Night Train")
    await stored.ember.enter()
    await stored.rora.enter()
    old = await stored.ember.claim()
    await stored.rora.claim_nothing()
    clock.ahead_ms += 61_000
    assert (await stored.store.sweeper.sweep()).expired == 1
    new = await stored.rora.claim()
    assert (new.code, new.lease != old.lease) == (old.code, True)
    assert await stored.ember.beat(old) is Verdict.LOST
    assert await stored.ember.settle_refused(old, done(old)) == "lease_lost"
    assert await stored.rora.settle_refused(old, done(new)) == "lease_lost"
    assert (await stored.rora.settle(new, done(new))).state is VariantState.DONE


async def test_live_lease_is_neither_settled_nor_prolonged_by_another_worker(stored: Stored) -> None:
    await stored.plan("Night Train")
    await stored.ember.enter()
    await stored.rora.enter()
    lease = await stored.ember.claim()
    before = await stored.ada.call("GET", f"/v1/variants/{lease.code}", VariantDetail)
    for outcome in (done(lease), SettleFloodWait(300, "messages.sendMedia"), SettleReleased()):
        assert await stored.rora.settle_refused(lease, outcome) == "lease_lost"
    assert await stored.rora.beat(lease) is Verdict.LOST
    after = await stored.ada.call("GET", f"/v1/variants/{lease.code}", VariantDetail)
    assert (after.state, after.worker, after.objects) == (before.state, "cm-ember", ())
    assert await stored.ember.beat(lease) is Verdict.GO_ON
    assert (await stored.ember.settle(lease, done(lease))).state is VariantState.DONE


async def test_waiting_claim_is_woken_by_an_import(stored: Stored) -> None:
    await stored.ember.enter()
    claiming = asyncio.create_task(stored.ember.claim(wait_s=9))
    status = await stored.ada.call("GET", "/v1/status", Status)
    assert status.counts.variants == 0
    await stored.plan("Night Train")
    assert (await claiming).code.startswith("CM_M")


async def test_one_variant_is_leased_to_one_of_many_who_ask_at_once(stored: Stored) -> None:
    await stored.ember.enter()
    await stored.rora.enter()
    peers = [stored.ember, stored.rora] * 5
    claims = [asyncio.create_task(peer.claim(f"r{n}", wait_s=9)) for n, peer in enumerate(peers)]
    await stored.plan("Night Train", "Day Ferry", "Late Tram")
    finished, waiting = await asyncio.wait(claims, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    while len(finished) < 3:
        more, waiting = await asyncio.wait(waiting, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        finished |= more
    assert len({claim.result().lease for claim in finished}) == len(finished) == 3
    for claim in waiting:
        claim.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_flood_wait_parks_one_account_and_leaves_the_work_to_others(stored: Stored) -> None:
    await stored.plan("Night Train")
    await stored.ember.enter()
    await stored.rora.enter()
    lease = await stored.ember.claim()
    settled = await stored.ember.settle(lease, SettleFloodWait(300, "upload.saveFilePart"))
    assert settled.state is VariantState.READY
    await stored.ember.claim_nothing()
    assert (await stored.rora.claim()).code == lease.code
    accounts = (await stored.ada.call("GET", "/v1/status", Status)).accounts
    assert {account.name: account.parked_s > 200 for account in accounts} == {"cm-ember": True, "cm-rora": False}


async def test_failed_link_is_followed_by_the_next_and_then_by_death(stored: Stored) -> None:
    await stored.plan("Night Train")
    await stored.ember.enter()
    lease = await stored.ember.claim()
    first, second = (source.link_id for source in lease.sources)
    gone = SettleFailed(Reason.GONE, (SourceReport(first, Reason.GONE, "404"),))
    assert (await stored.ember.settle(lease, gone)).state is VariantState.READY
    again = await stored.ember.claim("r2")
    assert [source.link_id for source in again.sources] == [second]
    gone = SettleFailed(Reason.GONE, (SourceReport(second, Reason.GONE, "404"),))
    assert (await stored.ember.settle(again, gone)).state is VariantState.DEAD
    moved = await stored.ada.call("POST", f"/v1/variants/{lease.code}/retry", VariantMoved)
    assert moved.state is VariantState.READY


async def test_measured_link_is_leased_as_what_it_is(stored: Stored) -> None:
    await stored.plan("Night Train")
    await stored.ember.enter()
    lease = await stored.ember.claim()
    first = lease.sources[0]
    report = SourceReport(first.link_id, Reason.WRONG_CONTENT, "854x480", quality=Quality.SD)
    waiting = asyncio.create_task(stored.ember.claim("r2", wait_s=9))
    await stored.ember.settle(lease, SettleFailed(Reason.WRONG_CONTENT, (report,)))
    leases = [await waiting, await stored.ember.claim("r3")]
    assert {one.quality: [source.url for source in one.sources] for one in leases} == {
        Quality.HD: [lease.sources[1].url],
        Quality.SD: [first.url],
    }
    detail = await stored.ada.call("GET", "/v1/variants/CM_M000001_480P", VariantDetail)
    assert [(source.quality, source.evidence) for source in detail.sources] == [(Quality.SD, PROBED)]


async def test_worker_finds_what_its_account_has_stored(stored: Stored) -> None:
    await stored.plan("Night Train")
    await stored.ember.enter()
    await stored.rora.enter(user_id=78)
    lease = await stored.ember.claim()
    report = done(lease)
    (sent,) = report.objects
    held = msgspec.structs.replace(sent, blake3=64 * "e")
    await stored.ember.settle(lease, msgspec.structs.replace(report, objects=(held,)))
    path = f"/v1/contents/{64 * 'e'}"
    found = StoredContent(held.channel_id, 10, 1000, lease.code)
    assert await stored.ember.call("GET", path, Contents) == Contents((found,))
    assert await stored.rora.call("GET", path, Contents) == Contents(())
    assert await stored.ember.call("GET", f"/v1/contents/{64 * 'f'}", Contents) == Contents(())


async def test_worker_reads_what_cm_calls_its_upload(stored: Stored) -> None:
    await stored.plan("Night Train")
    await stored.ember.enter()
    lease = await stored.ember.claim()
    detail = await stored.ember.call("GET", f"/v1/variants/{lease.code}", VariantDetail)
    assert detail.origin == Origin("cm-Night Train")


async def test_cancelled_lease_is_told_so_and_cannot_be_settled_as_done(stored: Stored) -> None:
    await stored.plan("Night Train")
    await stored.ember.enter()
    lease = await stored.ember.claim()
    moved = await stored.ada.call("POST", f"/v1/variants/{lease.code}/cancel", VariantMoved)
    assert moved.state is VariantState.CANCELLED
    assert await stored.ember.beat(lease) is Verdict.CANCEL
    assert await stored.ember.settle_refused(lease, done(lease)) == "lease_lost"


async def test_lease_outlives_a_restart_of_the_coordinator(opened: Opened) -> None:
    async with opened() as before:
        await before.plan("Night Train")
        await before.ember.enter()
        lease = await before.ember.claim()
    async with opened() as after:
        assert await after.ember.beat(lease) is Verdict.GO_ON
        assert (await after.ember.settle(lease, done(lease))).state is VariantState.DONE


async def test_nonsense_from_outside_is_refused_by_name(stored: Stored) -> None:
    await stored.ember.enter()
    assert await stored.ada.refusal("GET", "/v1/variants/NIGHT_TRAIN", status=400) == "input"
    assert await stored.ada.refusal("GET", "/v1/variants/CM_M000099_720P", status=404) == "not_found"
    assert await stored.ada.refusal("GET", "/v1/titles/99", status=404) == "not_found"
    released = {"boot_id": "b1", "outcome": {"type": "released"}}
    assert await stored.ember.refusal("POST", "/v1/leases/1.x/settle", released, status=400) == "input"
    assert await stored.ember.refusal("POST", "/v1/leases/1.1.99/settle", released, status=409) == "lease_lost"
    claim = {"boot_id": "an earlier boot", "request_id": "r1"}
    assert await stored.ember.refusal("POST", "/v1/leases", claim, status=409) == "superseded"
    assert await stored.rora.refusal("POST", "/v1/leases", claim, status=409) == "conflict"
    assert await stored.rora.refusal("POST", "/v1/channels/1/opened", {"telegram_id": 1}, status=403) == "forbidden"


@pytest.mark.parametrize(
    "words",
    ["%00", "%22", "*", "NEAR(a%20b)", "a%20AND", "-a", "%ff", "%ed%a0%80", "%F0%9F%8E%AC", "(" * 200, ":a", "^"],
)
async def test_odd_words_break_no_search(stored: Stored, words: str) -> None:
    for path in (f"/v1/titles?q={words}", f"/v1/variants?after={words[:60]}"):
        async with stored.ada.get(path) as response:
            assert response.status == 200, await response.text()
    for path in (f"/v1/variants/{words}", f"/v1/resolve/{words}?bot_id=1"):
        async with stored.ada.get(path) as response:
            assert response.status == 400, await response.text()


async def test_database_that_can_be_read_and_not_written_is_ready_and_its_refusals_are_counted(stored: Stored) -> None:
    await stored.plan("Night Train")
    await stored.ember.enter()
    place = stored.store.files.path
    elsewhere = place.rename(place.with_name("elsewhere.db"))
    claim = {"boot_id": "b1", "request_id": "r1", "wait_s": 0}
    assert await stored.ember.refusal("POST", "/v1/leases", claim, status=503) == "unavailable"
    async with stored.ada.get("/readyz") as ready:
        assert ready.status == 200
    async with stored.ada.get("/metrics") as metrics:
        assert 'telecine_http_requests_total{call="POST /v1/leases",status="503"} 1' in (await metrics.text())
    elsewhere.rename(place)
    assert (await stored.ember.claim()).code.startswith("CM_M")
