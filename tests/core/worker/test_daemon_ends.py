"""How a worker ends, and what the next start makes of it: a channel holds each part once, come what may."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

import msgspec
import pytest
from tests.core.worker.conftest import ACCOUNT, CLIP, CODE, Plant, eventually, stall, stored_files
from tests.core.worker.scripted import Coordinator

from telecine.core.emulator.faults import Disconnect, Flood, Line, LostReply, RpcFailure
from telecine.core.emulator.server import Emulator
from telecine.core.errors import ConfigError
from telecine.core.protocol import SettleDone, SettleReleased, Verdict
from telecine.core.worker.daemon import journal_file
from telecine.core.worker.journal import Journal

# ---- ending in order -----------------------------------------------------------------------------


async def test_an_idle_worker_stops_at_once(plant: Plant, coordinator: Coordinator) -> None:
    daemon = plant.start()
    await coordinator.until(lambda: coordinator.claims)
    await daemon.end()


async def test_what_is_nearly_done_is_finished_before_the_end(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    plant.settings = msgspec.structs.replace(plant.settings, shutdown_grace_s=15.0)
    daemon = await plant.start_slow()
    lease = coordinator.put(CODE, url)
    await eventually(emulator, lambda: emulator.world.stats.requests["upload.saveFilePart"])
    await daemon.end()
    assert isinstance(coordinator.settled[lease.lease], SettleDone)


async def test_what_takes_longer_than_the_grace_is_given_back(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    stall(emulator)
    daemon = plant.start()
    lease = coordinator.put(CODE, url)
    await eventually(emulator, lambda: emulator.sources.count(CLIP.name).requests)
    await daemon.end()
    assert coordinator.settled[lease.lease] == SettleReleased()
    assert stored_files(emulator) == []


async def test_the_end_does_not_wait_for_a_coordinator_that_is_away(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telecine.core.worker.tenure.SETTLE_PATIENCE_S", 0.3)
    daemon = await plant.start_slow()
    coordinator.put(CODE, url)
    await eventually(emulator, lambda: emulator.world.stats.requests["messages.sendMedia"])
    coordinator.paused.clear()
    await eventually(emulator, lambda: stored_files(emulator))
    await daemon.end()
    coordinator.paused.set()
    with Journal(journal_file(plant.settings)) as journal:
        assert len(journal.open_leases()) == 1  # for the next start to report


async def test_a_coordinator_that_is_away_at_the_start_is_waited_for(
    plant: Plant, coordinator: Coordinator, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    coordinator.trouble.extend([("/hello", 503)] * 3)
    with caplog.at_level(logging.WARNING):
        plant.start()
        assert isinstance(await coordinator.settlement(coordinator.put(CODE, url)), SettleDone)
    assert len([record for record in caplog.records if "trying again" in record.getMessage()]) == 1


async def test_a_coordinator_that_is_away_in_mid_upload_is_told_when_it_is_back(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    coordinator.ttl_s = 1.2
    await plant.start_slow()
    lease = coordinator.put(CODE, url)
    coordinator.trouble.extend([("/beat", 503), ("/settle", 503), ("/settle", 503)])
    outcome = await coordinator.settlement(lease)
    assert not coordinator.trouble
    assert isinstance(outcome, SettleDone)
    (stored,) = stored_files(emulator)
    assert outcome.objects[0].message_id == stored.message_id


async def test_a_draining_worker_claims_nothing_until_told_otherwise(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    coordinator.ttl_s = 0.6
    coordinator.drain = True
    plant.start()
    stall(emulator)
    lease = coordinator.put(CODE, url)
    await coordinator.until(lambda: any(beat.leases for beat in coordinator.beats))
    coordinator.verdicts[lease.lease] = Verdict.CANCEL
    await coordinator.settlement(lease)
    idle = coordinator.put("CM_M000002_240P", f"{emulator.media_url}/none.mp4")
    await coordinator.until(lambda: sum(not beat.leases for beat in coordinator.beats) >= 2)
    assert idle.lease not in coordinator.settled
    coordinator.drain = False
    await coordinator.settlement(idle)


async def test_a_long_wait_before_the_channels_are_open_is_sat_out(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    plant.settings = msgspec.structs.replace(plant.settings, flood_wait_in_place_s=0)
    emulator.faults.plan(Flood(method="channels.createChannel", seconds=1))
    plant.start()
    assert isinstance(await coordinator.settlement(coordinator.put(CODE, url)), SettleDone)


async def test_a_telegram_that_goes_away_gives_the_lease_back_and_is_waited_for(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telecine.core.worker.telegram.account.CONNECT_RETRIES", 0)
    monkeypatch.setattr("telecine.core.worker.telegram.lean.CONNECT_RETRIES", 0)
    monkeypatch.setattr("telecine.core.worker.telegram.engine.PART_TRIES_MAX", 2)
    plant.start()
    await coordinator.until(lambda: coordinator.claims)
    host, port = emulator.mtproto_address
    await emulator.mtproto.stop()
    lease = coordinator.put(CODE, url)
    assert await coordinator.settlement(lease) == SettleReleased()
    await emulator.mtproto.start(host, port)
    assert isinstance(await coordinator.settlement(coordinator.put(CODE, url)), SettleDone)


async def test_a_telegram_that_goes_away_at_the_message_gives_the_lease_back_when_it_is_there_again(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telecine.core.worker.telegram.account.CONNECT_RETRIES", 0)
    monkeypatch.setattr("telecine.core.worker.telegram.sending.BACKOFF_S", 0.01)
    plant.start()
    await coordinator.until(lambda: coordinator.claims)
    emulator.faults.plan(Disconnect(method="messages.sendMedia", count=1))
    lease = coordinator.put(CODE, url)
    assert await coordinator.settlement(lease) == SettleReleased()
    assert stored_files(emulator) == []
    assert isinstance(await coordinator.settlement(coordinator.put(CODE, url)), SettleDone)


# ---- what only the operator can mend -------------------------------------------------------------


async def test_a_second_worker_on_the_session_is_refused(plant: Plant, coordinator: Coordinator) -> None:
    plant.start()
    await coordinator.until(lambda: coordinator.claims)
    with pytest.raises(ConfigError, match=r"ember\.session: another process"):
        await plant.start().task


async def test_a_token_that_does_not_hold_ends_the_worker(plant: Plant) -> None:
    plant.settings = msgspec.structs.replace(plant.settings, token="stale")
    with pytest.raises(ConfigError, match=r"worker\.token"):
        await plant.start().task


async def test_an_account_that_is_signed_out_ends_the_worker_and_gives_the_lease_back(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    daemon = plant.start()
    emulator.faults.plan(RpcFailure(method="upload.saveFilePart", code=401, name="AUTH_KEY_UNREGISTERED", count=50))
    lease = coordinator.put(CODE, url)
    with pytest.raises(ConfigError, match=r"ember\.session"):
        await daemon.task
    assert coordinator.settled[lease.lease] == SettleReleased()


# ---- ending in the middle ------------------------------------------------------------------------


async def test_killed_during_the_upload_nothing_is_left_in_the_channel(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    daemon = await plant.start_slow()
    coordinator.put(CODE, url)
    await eventually(emulator, lambda: emulator.world.stats.requests["upload.saveFilePart"])
    await plant.kill(daemon)
    plant.start()
    assert isinstance(await coordinator.settlement(coordinator.put(CODE, url)), SettleDone)
    assert len(stored_files(emulator)) == 1


async def test_killed_while_the_message_is_on_its_way_it_is_settled_under_its_old_lease(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    emulator.faults.plan(LostReply(method="messages.sendMedia"))
    daemon = plant.start()
    lease = coordinator.put(CODE, url)
    await eventually(emulator, lambda: stored_files(emulator))
    await daemon.kill()
    plant.start()
    outcome = await coordinator.settlement(lease)
    (stored,) = stored_files(emulator)
    assert isinstance(outcome, SettleDone)
    assert outcome.objects[0].message_id == stored.message_id
    assert outcome.sources[0].reason is None


async def test_killed_between_sending_and_settling_the_next_start_settles(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    daemon = await plant.start_slow()
    lease = coordinator.put(CODE, url)
    await eventually(emulator, lambda: emulator.world.stats.requests["upload.saveFilePart"])
    coordinator.paused.clear()
    await eventually(emulator, lambda: stored_files(emulator))
    await plant.kill(daemon)
    coordinator.paused.set()
    plant.start()
    assert isinstance(await coordinator.settlement(lease), SettleDone)
    assert len(stored_files(emulator)) == 1


async def test_a_message_whose_lease_was_lost_meanwhile_is_taken_out_of_the_channel(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    daemon = await plant.start_slow()
    lease = coordinator.put(CODE, url)
    await eventually(emulator, lambda: emulator.world.stats.requests["upload.saveFilePart"])
    coordinator.paused.clear()
    await eventually(emulator, lambda: stored_files(emulator))
    await plant.kill(daemon)
    coordinator.lose(lease)
    coordinator.paused.set()
    plant.start()
    await eventually(emulator, lambda: not stored_files(emulator))
    again = coordinator.put(CODE, url)  # the same generation: Telegram still remembers the random id
    outcome = await coordinator.settlement(again)
    assert isinstance(outcome, SettleDone)
    (stored,) = stored_files(emulator)
    assert outcome.objects[0].message_id == stored.message_id
    assert lease.lease not in coordinator.settled


async def test_a_message_that_telegram_does_not_let_go_of_keeps_no_worker_from_its_work(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    daemon = await plant.start_slow()
    lease = coordinator.put(CODE, url)
    await eventually(emulator, lambda: emulator.world.stats.requests["upload.saveFilePart"])
    coordinator.paused.clear()
    await eventually(emulator, lambda: stored_files(emulator))
    await plant.kill(daemon)
    coordinator.lose(lease)
    coordinator.paused.set()
    emulator.faults.plan(RpcFailure(method="channels.deleteMessages", code=403, name="MESSAGE_DELETE_FORBIDDEN"))
    plant.start()
    other = coordinator.put("CM_M000002_240P", url)
    assert isinstance(await coordinator.settlement(other), SettleDone)
    assert "MESSAGE_DELETE_FORBIDDEN" in caplog.text
    # the next time
    await eventually(
        emulator, lambda: [stored.code for stored in stored_files(emulator)] == [other.code]
    )  # the next time


async def test_an_account_signed_out_between_two_runs_is_told_how_to_get_back(
    plant: Plant, coordinator: Coordinator, emulator: Emulator
) -> None:
    emulator.faults.plan(RpcFailure(method="messages.getDialogs", code=401, name="SESSION_REVOKED", count=20))
    with pytest.raises(ConfigError, match=r"ember\.session") as caught:
        await plant.start().task
    assert "telecine login" in (caught.value.hint or "")


async def test_a_settle_that_was_heard_but_not_answered_keeps_its_message(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    daemon = plant.start()
    lease = coordinator.put(CODE, url)
    coordinator.lost_replies.append("/settle")
    await coordinator.settlement(lease)
    await daemon.kill()
    next_one = plant.start()
    await coordinator.until(lambda: len(coordinator.hellos) >= 2)
    assert len(stored_files(emulator)) == 1
    await next_one.end()
    with Journal(journal_file(plant.settings)) as journal:
        assert journal.open_leases() == ()


async def test_a_lease_lost_while_settling_takes_its_message_back(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    await plant.start_slow()
    lease = coordinator.put(CODE, url)
    await eventually(emulator, lambda: emulator.world.stats.requests["upload.saveFilePart"])
    coordinator.lose(lease)
    await eventually(emulator, lambda: emulator.world.stats.requests["messages.sendMedia"])
    await coordinator.until(lambda: len(coordinator.claims) >= 2)
    assert stored_files(emulator) == []


@pytest.mark.parametrize("method", ["upload.saveFilePart", "messages.sendMedia", "channels.getMessages"])
async def test_sigkill_at_any_request_leaves_one_message_in_the_end(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str, method: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _WORKER,
        msgspec.json.encode(plant.settings, enc_hook=str).decode(),
        msgspec.json.encode(plant.telegram, enc_hook=str).decode(),
    )
    await plant.slow_down()
    before = emulator.world.stats.requests[method]
    lease = coordinator.put(CODE, url)
    await eventually(emulator, lambda: emulator.world.stats.requests[method] > before)
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    emulator.faults.set_line(ACCOUNT, Line())
    plant.start()
    await coordinator.until(lambda: len(coordinator.hellos) >= 2)
    if lease.lease not in coordinator.settled:
        lease = coordinator.put(CODE, url)
    outcome = await coordinator.settlement(lease)
    assert isinstance(outcome, SettleDone)
    (stored,) = stored_files(emulator)
    assert outcome.objects[0].message_id == stored.message_id


_WORKER = """
import asyncio, sys
from pathlib import Path
import msgspec, uvloop
from telecine.core.config import TelegramSettings, WorkerSettings
from telecine.core.worker.daemon import Worker
path = lambda kind, value: Path(value)
worker = msgspec.json.decode(sys.argv[1], type=WorkerSettings, dec_hook=path)
telegram = msgspec.json.decode(sys.argv[2], type=TelegramSettings, dec_hook=path)
async def main(): await Worker(worker, telegram).run(asyncio.Event())
uvloop.run(main())
"""
