"""A film that is larger than its account may send: several messages that count as one."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from tests.core.worker.conftest import ACCOUNT, CLIP, CODE, Plant, eventually, stored_files
from tests.core.worker.scripted import Coordinator

from telecine.core.emulator.faults import Flood, Line
from telecine.core.emulator.media.files import generate
from telecine.core.emulator.server import Emulator
from telecine.core.protocol import Outcome, SettleDone, SettleFloodWait

LONG = msgspec.structs.replace(CLIP, name="long.mp4", seconds=5.0, noise=60, video_bytes=2_400_000)
LIMIT_BYTES = 1024**2


@pytest.fixture
def plant(plant: Plant) -> Plant:
    plant.settings = msgspec.structs.replace(plant.settings, file_bytes_max=LIMIT_BYTES)
    return plant


@pytest.fixture
async def url(emulator: Emulator) -> str:
    assert emulator.settings.media_dir is not None
    await asyncio.to_thread(generate, LONG, emulator.settings.media_dir)
    return f"{emulator.media_url}/{LONG.name}"


def codes_of(emulator: Emulator) -> list[str]:
    return sorted(stored.code or "" for stored in stored_files(emulator))


def whole(outcome: Outcome, emulator: Emulator) -> None:
    """All parts are in the channel, each once, and the report names them in order."""
    assert isinstance(outcome, SettleDone)
    count = len(outcome.objects)
    assert count >= 3
    assert [(sent.part_no, sent.part_count) for sent in outcome.objects] == [(n, count) for n in range(1, count + 1)]
    names = [f"{CODE}_P{number:02}OF{count:02}" for number in range(1, count + 1)]
    assert codes_of(emulator) == names
    ids = {stored.code: stored.message_id for stored in stored_files(emulator)}
    assert [sent.message_id for sent in outcome.objects] == [ids[name] for name in names]
    assert max(sent.size_bytes for sent in outcome.objects) <= LIMIT_BYTES


async def test_a_film_over_the_limit_arrives_in_parts(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    plant.start()
    whole(await coordinator.settlement(coordinator.put(CODE, url)), emulator)


async def test_killed_between_two_parts_the_first_is_taken_out_and_all_are_sent_anew(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    daemon = await plant.start_slow()
    lease = coordinator.put(CODE, url)
    await eventually(emulator, lambda: stored_files(emulator))
    await plant.kill(daemon)
    assert len(stored_files(emulator)) == 1
    plant.start()
    await coordinator.until(lambda: len(coordinator.hellos) >= 2)
    assert stored_files(emulator) == []
    assert lease.lease not in coordinator.settled
    whole(await coordinator.settlement(coordinator.put(CODE, url)), emulator)


async def test_killed_after_the_last_part_all_are_settled_under_the_old_lease(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    daemon = plant.start()
    await coordinator.until(lambda: coordinator.claims)
    coordinator.trouble.extend([("/settle", 503)] * 1000)
    lease = coordinator.put(CODE, url)
    await coordinator.until(lambda: len(coordinator.trouble) < 1000)
    await daemon.kill()
    sends = emulator.world.stats.requests["messages.sendMedia"]
    coordinator.trouble.clear()
    plant.start()
    whole(await coordinator.settlement(lease), emulator)
    assert emulator.world.stats.requests["messages.sendMedia"] == sends


async def test_a_wait_between_two_parts_leaves_none_behind(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    await plant.start_slow()
    lease = coordinator.put(CODE, url)
    await eventually(emulator, lambda: stored_files(emulator))
    emulator.faults.plan(Flood(method="messages.sendMedia", seconds=900))
    assert await coordinator.settlement(lease) == SettleFloodWait(900, "messages.sendMedia")
    assert stored_files(emulator) == []
    emulator.faults.set_line(ACCOUNT, Line())
    whole(await coordinator.settlement(coordinator.put(CODE, url, sends_parked_s=0)), emulator)
