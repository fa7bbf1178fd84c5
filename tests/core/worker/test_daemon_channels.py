"""Storage channels that come and go while a worker runs."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from tests.core.worker.conftest import ACCOUNT, CODE, Plant, eventually, stored_files
from tests.core.worker.scripted import BOT_USERNAME, Coordinator

from telecine.core.emulator.faults import Flood, Line, RpcFailure
from telecine.core.emulator.server import Emulator
from telecine.core.emulator.telegram.entities import Channel
from telecine.core.protocol import ChannelRef, SettleDone, SettleFloodWait, SettleReleased
from telecine.core.worker.daemon import journal_file
from telecine.core.worker.journal import Journal

PLANNED = ChannelRef(3, "CM_C000003")
Loss = Callable[[Emulator, str], None]


def channel_titled(emulator: Emulator, title: str) -> Channel:
    (found,) = (channel for channel in emulator.world.channels.all() if channel.title == title)
    return found


def ban(emulator: Emulator, title: str) -> None:
    channel = channel_titled(emulator, title)
    emulator.world.channels.ban(channel, channel.creator_id)


def delete(emulator: Emulator, title: str) -> None:
    channel = channel_titled(emulator, title)
    emulator.world.channels.delete(channel, channel.creator_id)


def titles_of_files(emulator: Emulator) -> list[str]:
    found = [emulator.world.channels.find(stored.channel_id) for stored in stored_files(emulator)]
    return [channel.title for channel in found if channel is not None]


# ---- planned -------------------------------------------------------------------------------------


async def test_the_first_lease_ever_brings_its_channel(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    coordinator.channels = []
    plant.start()
    await coordinator.until(lambda: coordinator.claims)
    assert emulator.world.channels.all() == []
    coordinator.channels = [PLANNED]
    outcome = await coordinator.settlement(coordinator.put(CODE, url))
    assert isinstance(outcome, SettleDone)
    channel = channel_titled(emulator, PLANNED.title)
    assert [ref.telegram_id for ref in coordinator.channels] == [channel.id]
    assert outcome.objects[0].channel_id == channel.id
    assert [bot.username for bot in emulator.world.channels.admin_bots(channel)] == [BOT_USERNAME]


@pytest.mark.parametrize("told_at_hello", [True, False], ids=["told at hello", "told with the lease"])
async def test_a_channel_made_right_before_a_crash_is_found_and_not_made_again(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str, told_at_hello: bool
) -> None:
    coordinator.channels = []
    daemon = plant.start()
    await coordinator.until(lambda: coordinator.claims)
    coordinator.channels = [PLANNED]
    coordinator.put(CODE, url)
    coordinator.trouble.extend([("/opened", 503)] * 100)
    await eventually(emulator, emulator.world.channels.all)
    await daemon.kill()
    coordinator.trouble.clear()
    if not told_at_hello:
        coordinator.channels = []
    plant.start()
    await coordinator.until(lambda: len(coordinator.claims) >= 2)
    coordinator.channels = coordinator.channels or [PLANNED]
    assert isinstance(await coordinator.settlement(coordinator.put(CODE, url)), SettleDone)
    channel = channel_titled(emulator, PLANNED.title)  # there is one
    assert [ref.telegram_id for ref in coordinator.channels] == [channel.id]


async def test_a_wait_before_a_channel_can_be_made_parks_the_account(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    plant.start()
    await coordinator.until(lambda: coordinator.claims)
    coordinator.channels = [PLANNED]
    emulator.faults.plan(Flood(method="channels.createChannel", seconds=600))
    outcome = await coordinator.settlement(coordinator.put(CODE, url))
    assert outcome == SettleFloodWait(600, "channels.createChannel")


async def test_an_account_that_may_make_no_more_channels_gives_leases_back_less_and_less_often(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    plant.start()
    await coordinator.until(lambda: coordinator.claims)
    coordinator.channels = [PLANNED]
    emulator.faults.plan(RpcFailure(method="channels.createChannel", code=400, name="CHANNELS_TOO_MUCH", count=2))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert await coordinator.settlement(coordinator.put(CODE, url)) == SettleReleased()
        assert isinstance(await coordinator.settlement(coordinator.put(CODE, url)), SettleDone)
    pauses = [record.args[1] for record in caplog.records if isinstance(record.args, tuple) and "%g s" in record.msg]
    assert pauses == [0.1, 0.2]
    assert coordinator.lost == []


# ---- lost ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("loss", "name"), [(ban, "CHANNEL_PRIVATE"), (delete, "CHANNEL_INVALID")])
async def test_a_channel_lost_while_the_worker_runs_costs_no_upload(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str, loss: Loss, name: str
) -> None:
    plant.start()
    await coordinator.until(lambda: coordinator.claims)
    loss(emulator, "CM_C000001")
    assert await coordinator.settlement(coordinator.put(CODE, url)) == SettleReleased()
    ((channel_id, detail),) = coordinator.lost
    assert channel_id == 1
    assert name in detail
    assert emulator.world.stats.requests["upload.saveFilePart"] == 0
    assert emulator.sources.count("clip.mp4").requests == 0
    assert isinstance(await coordinator.settlement(coordinator.put(CODE, url)), SettleDone)
    assert titles_of_files(emulator) == ["CM_C000002"]


async def test_after_the_loss_of_the_only_channel_the_next_lease_brings_another(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    coordinator.channels = coordinator.channels[:1]
    plant.start()
    await coordinator.until(lambda: coordinator.claims)
    ban(emulator, "CM_C000001")
    assert await coordinator.settlement(coordinator.put(CODE, url)) == SettleReleased()
    coordinator.channels = [PLANNED]
    assert isinstance(await coordinator.settlement(coordinator.put(CODE, url)), SettleDone)
    assert titles_of_files(emulator) == [PLANNED.title]


@pytest.mark.parametrize("name", ["CHAT_WRITE_FORBIDDEN", "CHANNEL_PRIVATE"])
async def test_a_channel_that_takes_no_posts_is_lost_at_the_first_refusal_and_no_links_fault(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str, name: str
) -> None:
    daemon = plant.start()
    emulator.faults.plan(RpcFailure(method="messages.sendMedia", code=403, name=name))
    assert await coordinator.settlement(coordinator.put(CODE, url, url)) == SettleReleased()
    assert coordinator.lost == [(1, f"Telegram refuses messages.sendMedia: {name}")]
    assert emulator.world.stats.requests["messages.sendMedia"] == 1
    assert isinstance(await coordinator.settlement(coordinator.put(CODE, url)), SettleDone)
    assert titles_of_files(emulator) == ["CM_C000002"]
    await daemon.end()
    with Journal(journal_file(plant.settings)) as journal:
        assert journal.open_leases() == ()


async def test_a_banned_spammer_is_not_a_lost_channel(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    plant.start()
    emulator.faults.plan(RpcFailure(method="messages.sendMedia", code=400, name="USER_BANNED_IN_CHANNEL"))
    await coordinator.settlement(coordinator.put(CODE, url))
    assert coordinator.lost == []


async def test_a_loss_is_told_to_a_coordinator_that_was_away_and_then_the_lease_is_given_back(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    plant.start()
    await coordinator.until(lambda: coordinator.claims)
    ban(emulator, "CM_C000001")
    coordinator.trouble.extend([("/lost", 503)] * 2)
    assert await coordinator.settlement(coordinator.put(CODE, url)) == SettleReleased()
    assert [channel_id for channel_id, _ in coordinator.lost] == [1]


@pytest.mark.parametrize("loss", [ban, delete])
async def test_a_channel_lost_between_two_runs_is_reported_at_the_start_and_not_made_anew(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str, loss: Loss
) -> None:
    daemon = plant.start()
    await coordinator.until(lambda: coordinator.claims)
    await daemon.end()
    loss(emulator, "CM_C000001")
    plant.start()
    assert isinstance(await coordinator.settlement(coordinator.put(CODE, url)), SettleDone)
    assert [channel_id for channel_id, _ in coordinator.lost] == [1]
    assert titles_of_files(emulator) == ["CM_C000002"]
    assert [channel.title for channel in emulator.world.channels.all()].count("CM_C000001") == (loss is ban)


@pytest.mark.parametrize("loss", [ban, delete])
async def test_a_message_in_a_channel_that_is_lost_keeps_no_worker_from_its_work(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str, loss: Loss
) -> None:
    daemon = await plant.start_slow()
    lease = coordinator.put(CODE, url)
    await eventually(emulator, lambda: emulator.world.stats.requests["upload.saveFilePart"])
    coordinator.paused.clear()
    await eventually(emulator, lambda: stored_files(emulator))
    await plant.kill(daemon)
    loss(emulator, "CM_C000001")
    coordinator.lose(lease)
    coordinator.paused.set()
    emulator.faults.set_line(ACCOUNT, Line())
    second = plant.start()
    assert isinstance(await coordinator.settlement(coordinator.put("CM_M000002_240P", url)), SettleDone)
    await second.end()
    with Journal(journal_file(plant.settings)) as journal:
        assert journal.open_leases() == ()
