"""What a worker waits for on somebody's word: parked messages, long waits, an operator who drains or disables it."""

from __future__ import annotations

import logging
from time import monotonic

import pytest
from tests.core.worker.conftest import CODE, Plant, eventually, stall, stored_files
from tests.core.worker.scripted import Coordinator

from telecine.core.emulator.faults import Flood, FloodName
from telecine.core.emulator.server import Emulator
from telecine.core.emulator.sources.faults import SourceFault, SourceFaultKind
from telecine.core.protocol import (
    ChannelRef,
    SettleDone,
    SettleFailed,
    SettleFloodWait,
    SettleReleased,
    Stage,
    Verdict,
)
from telecine.core.reasons import Reason

PARKED_S = 0.7


def sent(emulator: Emulator) -> int:
    return emulator.world.stats.requests["messages.sendMedia"]


def uploaded(emulator: Emulator) -> int:
    return emulator.world.stats.requests["upload.saveFilePart"]


def stages(coordinator: Coordinator) -> set[Stage]:
    return {progress.stage for beat in coordinator.beats for progress in beat.leases}


# ---- messages that are parked --------------------------------------------------------------------


async def test_while_messages_are_parked_parts_go_up_and_the_lease_is_beaten_and_can_be_cancelled(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    coordinator.ttl_s = 1.2
    plant.start()
    lease = coordinator.put(CODE, url, sends_parked_s=600)
    await coordinator.until(
        lambda: any(told.stage is Stage.SENDING for beat in coordinator.beats for told in beat.leases)
    )
    assert uploaded(emulator)
    coordinator.verdicts[lease.lease] = Verdict.CANCEL
    assert await coordinator.settlement(lease) == SettleReleased()
    assert sent(emulator) == 0


async def test_a_message_goes_out_when_the_time_is_over(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    plant.start()
    await coordinator.until(lambda: coordinator.claims)
    offered_at_s = monotonic()
    lease = coordinator.put(CODE, url, sends_parked_s=PARKED_S)
    assert isinstance(await coordinator.settlement(lease), SettleDone)
    assert monotonic() - offered_at_s >= PARKED_S
    assert len(stored_files(emulator)) == 1


async def test_an_operator_who_unparks_the_account_is_heard_by_who_waits_to_send(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    coordinator.ttl_s = 1.2
    daemon = plant.start()
    lease = coordinator.put(CODE, url, sends_parked_s=600)
    await coordinator.until(lambda: Stage.SENDING in stages(coordinator))
    assert daemon.worker.board.view().parked_for == "messages"
    coordinator.park_sends(0)
    assert isinstance(await coordinator.settlement(lease), SettleDone)
    assert daemon.worker.board.view().parked_s == 0


async def test_who_waits_to_send_gives_the_lease_back_at_the_end(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    daemon = plant.start()
    lease = coordinator.put(CODE, url, sends_parked_s=600)
    await eventually(emulator, lambda: uploaded(emulator))
    await daemon.end()
    assert coordinator.settled[lease.lease] == SettleReleased()


async def test_no_channel_is_made_while_messages_are_parked(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    coordinator.ttl_s = 1.2
    coordinator.channels = []
    plant.start()
    await coordinator.until(lambda: coordinator.claims)
    coordinator.channels = [ChannelRef(3, "CM_C000003")]
    parked = coordinator.put(CODE, url, sends_parked_s=600)
    await coordinator.until(lambda: any(beat.leases for beat in coordinator.beats))
    assert emulator.world.channels.all() == []
    coordinator.verdicts[parked.lease] = Verdict.CANCEL
    assert await coordinator.settlement(parked) == SettleReleased()
    assert isinstance(await coordinator.settlement(coordinator.put(CODE, url, sends_parked_s=0.2)), SettleDone)


# ---- waits and what they are about ---------------------------------------------------------------


@pytest.mark.parametrize("name", [FloodName.FLOOD_WAIT, FloodName.FLOOD_PREMIUM_WAIT])
async def test_a_wait_for_uploads_is_told_as_one(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str, name: FloodName
) -> None:
    plant.start()
    emulator.faults.plan(Flood(method="upload.saveFilePart", seconds=900, name=name))
    outcome = await coordinator.settlement(coordinator.put(CODE, url))
    assert outcome == SettleFloodWait(900, "upload.saveFilePart")
    assert sent(emulator) == 0


async def test_links_that_failed_before_a_wait_are_reported_with_it(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    plant.start()
    emulator.faults.plan(Flood(method="messages.sendMedia", seconds=900))
    outcome = await coordinator.settlement(coordinator.put(CODE, f"{emulator.media_url}/none.mp4", url))
    assert isinstance(outcome, SettleFloodWait)
    assert [report.reason for report in outcome.sources] == [Reason.GONE]


# ---- what links are reported with ----------------------------------------------------------------


async def test_a_report_tells_how_large_the_file_is_and_when_its_host_may_be_asked_again(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    plant.start()
    emulator.sources.set_faults("busy.mp4", [SourceFault(kind=SourceFaultKind.RATE_LIMITED, retry_after_s=70)])
    outcome = await coordinator.settlement(coordinator.put(CODE, f"{emulator.media_url}/busy.mp4", url))
    assert isinstance(outcome, SettleDone)
    busy, used = outcome.sources
    assert (busy.reason, busy.retry_after_s, busy.size_bytes) == (Reason.RATE_LIMITED, 70, None)
    assert (used.reason, used.retry_after_s, used.size_bytes) == (None, None, outcome.objects[0].size_bytes)


async def test_what_is_too_large_is_reported_as_larger_than_the_account_may_send(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telecine.core.plans.file_bytes_max", lambda *, premium: 9_000)
    plant.start()
    declared = await coordinator.settlement(coordinator.put(CODE, url))
    emulator.sources.set_faults("clip.mp4", [SourceFault(kind=SourceFaultKind.NO_LENGTH)])
    unknown = await coordinator.settlement(coordinator.put(CODE, url))
    assert isinstance(declared, SettleFailed)
    assert isinstance(unknown, SettleFailed)
    assert [report.reason for report in declared.sources + unknown.sources] == [Reason.TOO_LARGE] * 2
    assert (declared.sources[0].size_bytes or 0) > 10_000
    assert unknown.sources[0].size_bytes == 9_001


# ---- operators -----------------------------------------------------------------------------------


async def test_an_idle_worker_hears_that_it_drains_says_so_once_and_goes_on_when_told(
    plant: Plant,
    coordinator: Coordinator,
    emulator: Emulator,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("telecine.core.worker.daemon.CLAIM_WAIT_MAX_S", 0.1)
    coordinator.ttl_s = 1.2
    coordinator.drain = True
    with caplog.at_level(logging.INFO, "telecine.core.worker"):
        plant.start()
        await coordinator.until(lambda: len(coordinator.beats) >= 4)
        claims = len(coordinator.claims)
        lease = coordinator.put(CODE, url)
        await coordinator.until(lambda: len(coordinator.beats) >= 6)
        assert (claims, len(coordinator.claims)) == (1, 1)
        coordinator.drain = False
        assert isinstance(await coordinator.settlement(lease), SettleDone)
    assert caplog.text.count("drains") == 1
    assert caplog.text.count("claims again") == 1


async def test_a_worker_disabled_in_mid_upload_stops_and_goes_on_beating(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    coordinator.ttl_s = 1.2
    stall(emulator)
    with caplog.at_level(logging.WARNING, "telecine.core.worker"):
        plant.start()
        lease = coordinator.put(CODE, url)
        await coordinator.until(lambda: any(beat.leases for beat in coordinator.beats))
        coordinator.lose(lease)
        coordinator.drain = True
        await coordinator.until(lambda: sum(not beat.leases for beat in coordinator.beats) >= 3)
    assert lease.lease not in coordinator.settled
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1
    assert stored_files(emulator) == []
    emulator.sources.set_faults("clip.mp4", [])
    coordinator.drain = False
    assert isinstance(await coordinator.settlement(coordinator.put(CODE, url)), SettleDone)


async def test_a_worker_disabled_while_it_sends_takes_its_message_back(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    coordinator.ttl_s = 1.2
    await plant.start_slow()
    lease = coordinator.put(CODE, url)
    await eventually(emulator, lambda: sent(emulator))
    coordinator.lose(lease)
    coordinator.drain = True
    await coordinator.until(lambda: sum(not beat.leases for beat in coordinator.beats) >= 2)
    assert stored_files(emulator) == []
    assert lease.lease not in coordinator.settled
