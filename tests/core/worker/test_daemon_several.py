"""Several leases at once: each has its own end, and the account's troubles are met once."""

from __future__ import annotations

import logging
from collections import Counter

import msgspec
import pytest
from tests.core.worker.conftest import (
    ACCOUNT,
    CODE,
    HeldSource,
    Plant,
    eventually,
    stored_files,
    until_state,
)
from tests.core.worker.scripted import Coordinator

from telecine.core.emulator.faults import Flood, Line, RpcFailure
from telecine.core.emulator.server import Emulator
from telecine.core.errors import ConfigError
from telecine.core.protocol import (
    ChannelRef,
    Lease,
    SettleDone,
    SettleFailed,
    SettleFloodWait,
    SettleReleased,
    Stage,
    Verdict,
)
from telecine.core.reasons import Reason
from telecine.core.worker.board import WorkerState
from telecine.core.worker.sources.spool import SpoolFullError

OTHER = "CM_M000002_240P"


@pytest.fixture
def plant(plant: Plant) -> Plant:
    plant.settings = msgspec.structs.replace(plant.settings, jobs=2)
    return plant


def at(coordinator: Coordinator, lease: Lease, *stages: Stage) -> bool:
    """Whether a beat has told that a lease is in one of `stages`."""
    told = [progress for beat in coordinator.beats for progress in beat.leases]
    return any(progress.lease == lease.lease and progress.stage in stages for progress in told)


# ---- side by side --------------------------------------------------------------------------------


async def test_one_is_sent_while_another_waits_at_its_source(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str, held: HeldSource
) -> None:
    plant.start()
    waiting_one = coordinator.put(CODE, held.url)
    await held.asked()
    for number in range(2, 5):
        lease = coordinator.put(f"CM_M00000{number}_240P", url)
        assert isinstance(await coordinator.settlement(lease), SettleDone)
    assert waiting_one.lease in coordinator.live
    assert len(stored_files(emulator)) == 3


async def test_no_more_is_claimed_than_there_are_hands(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, held: HeldSource
) -> None:
    coordinator.ttl_s = 0.6
    plant.start()
    leases = [coordinator.put(f"CM_M00000{number}_240P", held.url) for number in (1, 2, 3)]
    await held.asked(2)
    await coordinator.until(lambda: sum(len(beat.leases) == 2 for beat in coordinator.beats) >= 3)
    assert len(coordinator.claims) == 2
    assert set(coordinator.live) == {lease.lease for lease in leases[:2]}
    coordinator.verdicts[leases[0].lease] = Verdict.CANCEL
    await coordinator.until(lambda: leases[2].lease in coordinator.live)


async def test_one_that_ends_is_reported_while_a_claim_is_under_way(
    plant: Plant, coordinator: Coordinator, url: str
) -> None:
    plant.start()
    lease = coordinator.put(CODE, url)
    await coordinator.until(lambda: len(coordinator.claims) >= 2)  # and the second is not answered
    assert isinstance(await coordinator.settlement(lease), SettleDone)
    assert len(coordinator.claims) == 2


async def test_two_leases_that_name_the_same_planned_channel_make_one(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    coordinator.channels = []
    plant.start()
    await coordinator.until(lambda: coordinator.claims)
    coordinator.channels = [ChannelRef(3, "CM_C000003")]
    emulator.faults.set_line(ACCOUNT, Line(latency_s=0.05))
    leases = [coordinator.put(code, url) for code in (CODE, OTHER)]
    for lease in leases:
        assert isinstance(await coordinator.settlement(lease), SettleDone)
    assert len(emulator.world.channels.all()) == 1


# ---- the end of one ------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", [Verdict.CANCEL, Verdict.LOST])
async def test_the_end_of_one_leaves_the_other_alone(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, held: HeldSource, verdict: Verdict
) -> None:
    coordinator.ttl_s = 0.6
    plant.start()
    first, second = coordinator.put(CODE, held.url), coordinator.put(OTHER, held.url)
    await held.asked(2)
    coordinator.verdicts[first.lease] = verdict
    await coordinator.until(lambda: len(coordinator.claims) >= 3)  # a hand is free
    assert coordinator.settled.get(first.lease) == (SettleReleased() if verdict is Verdict.CANCEL else None)
    beats = len(coordinator.beats)
    await coordinator.until(lambda: len(coordinator.beats) >= beats + 2)
    assert [told.lease for told in coordinator.beats[-1].leases] == [second.lease]


async def test_a_fault_of_ours_in_one_job_fails_that_one_alone(
    plant: Plant, coordinator: Coordinator, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan(*_: object) -> None:
        monkeypatch.undo()
        raise ZeroDivisionError

    monkeypatch.setattr("telecine.core.plans.plan", plan)
    plant.start()
    leases = [coordinator.put(code, url) for code in (CODE, OTHER)]
    outcomes = [await coordinator.settlement(lease) for lease in leases]
    [failed] = [outcome for outcome in outcomes if isinstance(outcome, SettleFailed)]
    assert len([outcome for outcome in outcomes if isinstance(outcome, SettleDone)]) == 1
    assert (failed.reason, failed.detail) == (Reason.INTERNAL, "ZeroDivisionError")


async def test_a_fault_of_ours_at_one_link_leaves_it_to_a_later_round(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("telecine.core.plans.plan", plan)
    plant.start()
    gone, faulty, untried = f"{emulator.media_url}/none.mp4", url, url
    lease = coordinator.put(CODE, gone, faulty, untried)
    outcome = await coordinator.settlement(lease)
    assert isinstance(outcome, SettleFailed)
    told = [(report.link_id, report.reason) for report in outcome.sources]
    assert told == [(lease.sources[0].link_id, Reason.GONE), (lease.sources[1].link_id, Reason.INTERNAL)]


async def test_what_does_not_fit_on_the_disk_is_given_back_with_what_it_needs(
    plant: Plant, coordinator: Coordinator, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan(*_: object) -> None:
        monkeypatch.undo()
        raise SpoolFullError(5_000_000_000, 1_000)

    monkeypatch.setattr("telecine.core.plans.plan", plan)
    plant.settings = msgspec.structs.replace(plant.settings, spool_bytes_max=1_000)
    plant.start()
    lease = coordinator.put(CODE, url)
    assert await coordinator.settlement(lease) == SettleReleased(disk_bytes=5_000_000_000)
    assert {claim.disk_free_bytes for claim in coordinator.claims} == {1_000}


# ---- what is the account's -----------------------------------------------------------------------


async def test_a_long_wait_for_parts_sends_every_upload_home_and_claims_anew(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str, held: HeldSource
) -> None:
    plant.start()
    other = coordinator.put(OTHER, held.url)
    await held.asked()
    claims = len(coordinator.claims)
    emulator.faults.plan(Flood(method="upload.saveFilePart", seconds=900))
    flooded = coordinator.put(CODE, url)
    assert await coordinator.settlement(flooded) == SettleFloodWait(900, "upload.saveFilePart")
    assert await coordinator.settlement(other) == SettleReleased()  # without a request of its own to Telegram
    await coordinator.until(lambda: len(coordinator.claims) > claims)  # the coordinator knows when to go on
    assert isinstance(await coordinator.settlement(coordinator.put(CODE, url)), SettleDone)


async def test_a_long_wait_for_messages_holds_back_those_of_the_others_too(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str, held: HeldSource
) -> None:
    coordinator.ttl_s = 1.2
    plant.start()
    other = coordinator.put(OTHER, held.url)
    await held.asked()
    emulator.faults.plan(Flood(method="messages.sendMedia", seconds=600))
    flooded = coordinator.put(CODE, url)
    assert await coordinator.settlement(flooded) == SettleFloodWait(600, "messages.sendMedia")
    sends = emulator.world.stats.requests["messages.sendMedia"]
    held.go.set()
    await coordinator.until(lambda: at(coordinator, other, Stage.SENDING))
    beats = len(coordinator.beats)
    await coordinator.until(lambda: len(coordinator.beats) >= beats + 2)
    assert emulator.world.stats.requests["messages.sendMedia"] == sends
    assert other.lease in coordinator.live  # its parts are up, its message waits


async def test_a_telegram_that_goes_away_is_waited_for_once(
    plant: Plant,
    coordinator: Coordinator,
    emulator: Emulator,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("telecine.core.worker.telegram.account.CONNECT_RETRIES", 0)
    monkeypatch.setattr("telecine.core.worker.telegram.lean.CONNECT_RETRIES", 0)
    monkeypatch.setattr("telecine.core.worker.telegram.engine.PART_TRIES_MAX", 2)
    plant.start()
    await coordinator.until(lambda: coordinator.claims)
    host, port = emulator.mtproto_address
    await emulator.mtproto.stop()
    with caplog.at_level(logging.WARNING, "telecine.core.worker.patience"):
        leases = [coordinator.put(code, url) for code in (CODE, OTHER)]
        for lease in leases:
            assert await coordinator.settlement(lease) == SettleReleased()
        await emulator.mtproto.start(host, port)
        await coordinator.until(lambda: len(coordinator.claims) >= 3)
    pauses = [
        float(str(record.args[1]))
        for record in caplog.records
        if isinstance(record.args, tuple) and "%g s" in record.msg
    ]
    assert pauses == sorted(set(pauses))  # one row of growing pauses, not one for each job
    for code in (CODE, OTHER):
        assert isinstance(await coordinator.settlement(coordinator.put(code, url)), SettleDone)
    assert len(stored_files(emulator)) == 2


async def test_an_account_that_is_signed_out_gives_everything_back_and_ends_the_worker(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str, held: HeldSource
) -> None:
    daemon = plant.start()
    other = coordinator.put(OTHER, held.url)
    await held.asked()
    emulator.faults.plan(RpcFailure(method="upload.saveFilePart", code=401, name="AUTH_KEY_UNREGISTERED", count=50))
    lease = coordinator.put(CODE, url)
    with pytest.raises(ConfigError, match=r"ember\.session"):
        await daemon.task
    assert coordinator.settled == {lease.lease: SettleReleased(), other.lease: SettleReleased()}


async def test_closing_what_one_job_left_open_does_not_touch_what_another_has_just_sent(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str, held: HeldSource
) -> None:
    """A message that is in the journal but not settled yet belongs to its job, not to the mending of another's."""
    plant.start()
    lease = coordinator.put(OTHER, url)
    await eventually(emulator, lambda: emulator.world.stats.requests["upload.saveFilePart"])
    coordinator.trouble.extend([("/settle", 503)] * 6)
    await eventually(emulator, lambda: stored_files(emulator))
    coordinator.channels = [ChannelRef(9, "CM_C000009")]
    emulator.faults.plan(RpcFailure(method="channels.createChannel", code=400, name="CHANNELS_TOO_MUCH", count=1))
    coordinator.put(CODE, url)
    outcome = await coordinator.settlement(lease)
    assert isinstance(outcome, SettleDone)
    assert outcome.objects[0].message_id in [stored.message_id for stored in stored_files(emulator)]


# ---- operators -----------------------------------------------------------------------------------


async def test_a_pause_lets_everything_stand_still_and_keeps_the_leases(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    coordinator.ttl_s = 1.2
    with caplog.at_level(logging.INFO, "telecine.core.worker"):
        daemon = await plant.start_slow()
        coordinator.pause = True
        lease = coordinator.put(CODE, url)
        await coordinator.until(lambda: at(coordinator, lease, *Stage))
        await until_state(daemon, WorkerState.PAUSED)
        claims = len(coordinator.claims)
        second = coordinator.put(OTHER, url)
        beats = len(coordinator.beats)
        await coordinator.until(lambda: len(coordinator.beats) >= beats + 4)  # more than the lease's time
        assert emulator.world.stats.requests["messages.sendMedia"] == 0
        assert (set(coordinator.live), len(coordinator.claims)) == ({lease.lease}, claims)
        coordinator.pause = False
        assert isinstance(await coordinator.settlement(lease), SettleDone)
        assert isinstance(await coordinator.settlement(second), SettleDone)
    assert caplog.text.count("is paused") == 1
    assert caplog.text.count("claims again") == 1


async def test_a_drain_ends_the_claim_that_is_under_way_and_finishes_what_is_held(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str, held: HeldSource
) -> None:
    coordinator.ttl_s = 0.9
    daemon = plant.start()
    lease = coordinator.put(CODE, held.url)
    await held.asked()
    await coordinator.until(lambda: len(coordinator.claims) == 2)
    coordinator.drain = True
    await until_state(daemon, WorkerState.DRAINING)
    coordinator.put(OTHER, url)
    held.go.set()
    assert isinstance(await coordinator.settlement(lease), SettleDone)
    await coordinator.until(lambda: sum(not beat.leases for beat in coordinator.beats) >= 2)
    assert len(coordinator.claims) == 2
    assert coordinator.live == {}


async def test_a_lease_on_its_way_when_a_drain_ended_the_claim_is_worked_on_by_who_goes_on(
    plant: Plant, coordinator: Coordinator, url: str, held: HeldSource
) -> None:
    coordinator.ttl_s = 0.9
    daemon = plant.start()
    coordinator.put(CODE, held.url)
    await held.asked()
    await coordinator.until(lambda: len(coordinator.claims) == 2)
    coordinator.silences.append("/leases")
    lease = coordinator.put(OTHER, url)
    await coordinator.until(lambda: lease.lease in coordinator.live)
    coordinator.drain = True
    await until_state(daemon, WorkerState.DRAINING)
    coordinator.drain = False
    assert isinstance(await coordinator.settlement(lease), SettleDone)


# ---- the end -------------------------------------------------------------------------------------


async def test_a_worker_that_stops_finishes_one_and_gives_the_other_back(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str, held: HeldSource
) -> None:
    plant.settings = msgspec.structs.replace(plant.settings, shutdown_grace_s=4.0)
    daemon = plant.start()
    never = coordinator.put(OTHER, held.url)
    await held.asked()
    emulator.faults.set_line(ACCOUNT, Line(latency_s=0.1))
    nearly = coordinator.put(CODE, url)
    await eventually(emulator, lambda: emulator.world.stats.requests["upload.saveFilePart"])
    await daemon.end()
    assert isinstance(coordinator.settled[nearly.lease], SettleDone)
    assert coordinator.settled[never.lease] == SettleReleased()
    assert len(stored_files(emulator)) == 1


async def test_killed_with_two_at_hand_the_next_start_leaves_each_once(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    daemon = await plant.start_slow()
    leases = [coordinator.put(code, url) for code in (CODE, OTHER)]
    await eventually(emulator, lambda: emulator.world.stats.requests["messages.sendMedia"])
    await plant.kill(daemon)
    plant.start()
    await coordinator.until(lambda: len(coordinator.hellos) >= 2)
    for lease in leases:
        if lease.lease not in coordinator.settled:
            again = coordinator.put(lease.code, url)
            assert isinstance(await coordinator.settlement(again), SettleDone)
    assert Counter(stored.code for stored in stored_files(emulator)) == {CODE: 1, OTHER: 1}


# ---- what the worker knows of itself -------------------------------------------------------------


async def test_the_board_shows_what_is_at_hand_and_what_came_of_it(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str, held: HeldSource
) -> None:
    daemon = plant.start()
    assert daemon.worker.board.view().state is WorkerState.STARTING
    coordinator.put(OTHER, held.url)
    await held.asked()
    for code in (CODE, "CM_M000003_240P"):
        await coordinator.settlement(coordinator.put(code, url if code == CODE else f"{emulator.media_url}/none.mp4"))
    await coordinator.until(lambda: len(coordinator.claims) >= 4)
    view = daemon.worker.board.view()
    assert (view.state, view.done, view.failed, view.given_back) == (WorkerState.WORKING, 1, 1, 0)
    (job,) = view.jobs
    assert (job.code, job.host) == (OTHER, "127.0.0.1")
    assert view.bytes_done > 0
    await daemon.end()
    assert daemon.worker.board.view().given_back == 1
