"""Films that cannot be read as their host sends them: the index is behind the film, and the host has no ranges."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from tests.core.worker.conftest import CLIP, CODE, Daemon, stored_files
from tests.core.worker.scripted import Coordinator

from telecine.core.config import TelegramSettings, WorkerSettings
from telecine.core.emulator.media.files import generate
from telecine.core.emulator.server import Emulator
from telecine.core.emulator.sources.faults import SourceFault, SourceFaultKind
from telecine.core.protocol import SettleDone, SettleReleased
from telecine.core.reasons import Reason

NAME = "last.mp4"
FILM = msgspec.structs.replace(CLIP, name=NAME, moov_first=False, noise=50, video_bytes=1_500_000)


@pytest.fixture
async def url(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("telecine.core.worker.sources.streamed.SKIPPED_BYTES_MAX", 256 * 1024)
    assert emulator.settings.media_dir is not None
    await asyncio.to_thread(generate, FILM, emulator.settings.media_dir)
    emulator.sources.set_faults(NAME, [SourceFault(kind=SourceFaultKind.NO_RANGES)])
    return f"{emulator.media_url}/{NAME}"


async def test_it_is_copied_to_the_disk_once_and_muxed_from_there(
    coordinator: Coordinator, emulator: Emulator, url: str, worker_settings: WorkerSettings, telegram: TelegramSettings
) -> None:
    daemon = Daemon(worker_settings, telegram)
    outcome = await coordinator.settlement(coordinator.put(CODE, url))
    assert isinstance(outcome, SettleDone), outcome
    assert outcome.plan == "remux"
    (stored,) = stored_files(emulator)
    assert stored.content.index(b"moov") < stored.content.index(b"mdat")
    assert emulator.sources.count(NAME).requests <= 3  # the head, the survey, the copy
    assert list(worker_settings.session.with_suffix(".spool").iterdir()) == []
    await daemon.kill()


async def test_without_the_disk_for_it_the_lease_is_given_back_and_says_how_much_it_takes(
    coordinator: Coordinator, emulator: Emulator, url: str, worker_settings: WorkerSettings, telegram: TelegramSettings
) -> None:
    daemon = Daemon(msgspec.structs.replace(worker_settings, spool_bytes_max=100_000), telegram)
    outcome = await coordinator.settlement(coordinator.put(CODE, url))
    assert isinstance(outcome, SettleReleased), outcome
    assert outcome.disk_bytes == emulator.settings.media_dir.joinpath(NAME).stat().st_size  # type: ignore[union-attr]
    assert stored_files(emulator) == []
    await daemon.kill()


async def test_without_the_disk_for_it_another_link_is_tried(
    coordinator: Coordinator, emulator: Emulator, url: str, worker_settings: WorkerSettings, telegram: TelegramSettings
) -> None:
    assert emulator.settings.media_dir is not None
    await asyncio.to_thread(generate, CLIP, emulator.settings.media_dir)
    daemon = Daemon(msgspec.structs.replace(worker_settings, spool_bytes_max=0), telegram)
    lease = coordinator.put(CODE, url, f"{emulator.media_url}/{CLIP.name}")
    outcome = await coordinator.settlement(lease)
    assert isinstance(outcome, SettleDone), outcome
    assert [(report.link_id, report.reason) for report in outcome.sources] == [(lease.sources[1].link_id, None)]
    await daemon.kill()


async def test_where_no_other_link_works_the_disk_is_asked_for_and_the_failures_are_told(
    coordinator: Coordinator, emulator: Emulator, url: str, worker_settings: WorkerSettings, telegram: TelegramSettings
) -> None:
    daemon = Daemon(msgspec.structs.replace(worker_settings, spool_bytes_max=0), telegram)
    lease = coordinator.put(CODE, url, f"{emulator.media_url}/none.mp4")
    outcome = await coordinator.settlement(lease)
    assert isinstance(outcome, SettleReleased), outcome
    assert outcome.disk_bytes > 0
    assert [(report.link_id, report.reason) for report in outcome.sources] == [(lease.sources[1].link_id, Reason.GONE)]
    await daemon.kill()
