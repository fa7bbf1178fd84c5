"""The whole worker: sources over HTTP, the coordination API over HTTP, Telegram over MTProto."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from tests.core.worker.conftest import ACCOUNT, CLIP, CODE, Daemon, stored_files
from tests.core.worker.scripted import Coordinator

from telecine.core.config import TelegramSettings, WorkerSettings
from telecine.core.emulator.faults import Flood, Line, LostReply, MissingPart, RpcFailure
from telecine.core.emulator.media.files import generate, truncate_copy
from telecine.core.emulator.media.pictures import pictures
from telecine.core.emulator.media.specs import AudioCodec, Container, MediaSpec, VideoCodec
from telecine.core.emulator.server import Emulator
from telecine.core.emulator.sources.faults import SourceFault, SourceFaultKind
from telecine.core.plans import file_bytes_max
from telecine.core.protocol import (
    SettleDone,
    SettleFailed,
    SettleFloodWait,
    SettleReleased,
    Stage,
    Verdict,
)
from telecine.core.quality import Quality
from telecine.core.reasons import Reason


@pytest.fixture
async def daemon(worker_settings: WorkerSettings, telegram: TelegramSettings) -> AsyncIterator[Daemon]:
    running = Daemon(worker_settings, telegram)
    yield running
    await running.kill()


@pytest.fixture
def media(emulator: Emulator) -> Path:
    assert emulator.settings.media_dir is not None
    return emulator.settings.media_dir


MOOV_LAST = msgspec.structs.replace(CLIP, name="last.mp4", moov_first=False)
MKV = msgspec.structs.replace(CLIP, name="clip.mkv", container=Container.MKV, b_frames=2, audio_codec=None)
WEBM = msgspec.structs.replace(
    CLIP, name="clip.webm", container=Container.WEBM, video_codec=VideoCodec.VP8, audio_codec=AudioCodec.OPUS
)


async def _make(spec: MediaSpec, folder: Path) -> Path:
    return await asyncio.to_thread(generate, spec, folder)


def _reasons(outcome: object) -> list[Reason | None]:
    assert isinstance(outcome, SettleDone | SettleFailed | SettleFloodWait | SettleReleased)
    return [report.reason for report in outcome.sources]


async def test_a_streamable_mp4_arrives_byte_for_byte(
    daemon: Daemon, coordinator: Coordinator, emulator: Emulator, media: Path
) -> None:
    clip = await _make(CLIP, media)
    lease = coordinator.put(CODE, f"{emulator.media_url}/{clip.name}", quality=Quality.TINY, runtime_s=1)
    outcome = await coordinator.settlement(lease)
    assert isinstance(outcome, SettleDone)
    assert outcome.plan == "direct"
    (stored,) = stored_files(emulator)
    assert stored.content == clip.read_bytes()
    assert (stored.code, stored.file_name) == (CODE, f"{CODE}.mp4")
    (sent,) = outcome.objects
    assert (sent.channel_id, sent.message_id) == (stored.channel_id, stored.message_id)
    assert (sent.size_bytes, sent.width_px, sent.height_px) == (clip.stat().st_size, 426, 240)
    assert _reasons(outcome) == [None]
    assert outcome.sources[0].bytes_read >= clip.stat().st_size
    (hello,) = coordinator.hellos
    assert coordinator.claims[0].file_bytes_max == file_bytes_max(premium=False)
    assert coordinator.claims[0].boot_id == hello.boot_id
    assert coordinator.claims[0].disk_free_bytes > 0


@pytest.mark.parametrize("spec", [MOOV_LAST, MKV], ids=["moov last", "mkv"])
async def test_what_does_not_stream_is_remuxed_with_every_frame_kept(
    daemon: Daemon, coordinator: Coordinator, emulator: Emulator, media: Path, tmp_path: Path, spec: MediaSpec
) -> None:
    clip = await _make(spec, media)
    lease = coordinator.put(CODE, f"{emulator.media_url}/{clip.name}")
    outcome = await coordinator.settlement(lease)
    assert isinstance(outcome, SettleDone)
    assert outcome.plan == "remux"
    (stored,) = stored_files(emulator)
    assert stored.content.find(b"moov") < stored.content.find(b"mdat")
    (tmp_path / "stored.mp4").write_bytes(stored.content)
    assert await asyncio.to_thread(pictures, tmp_path / "stored.mp4") == await asyncio.to_thread(pictures, clip)
    assert stored.video is not None
    assert (stored.video.width_px, stored.video.height_px) == (426, 240)


async def test_what_telegram_cannot_play_arrives_unchanged_as_a_document(
    daemon: Daemon, coordinator: Coordinator, emulator: Emulator, media: Path
) -> None:
    clip = await _make(WEBM, media)
    outcome = await coordinator.settlement(coordinator.put(CODE, f"{emulator.media_url}/{clip.name}"))
    assert isinstance(outcome, SettleDone)
    (stored,) = stored_files(emulator)
    assert stored.content == clip.read_bytes()
    assert stored.video is None
    assert stored.file_name == f"{CODE}.webm"


async def test_links_are_tried_in_order_until_one_works(
    daemon: Daemon, coordinator: Coordinator, emulator: Emulator, media: Path
) -> None:
    clip = await _make(CLIP, media)
    truncate_copy(clip, media / "cut.mp4", 0.5)
    (media / "page.mkv").write_text("<!doctype html><title>gone</title>")
    base = emulator.media_url
    lease = coordinator.put(
        CODE, f"{base}/none.mp4", f"{base}/page.mkv", f"{base}/cut.mp4", f"{base}/{clip.name}", f"{base}/never.mp4"
    )
    outcome = await coordinator.settlement(lease)
    assert isinstance(outcome, SettleDone)
    assert _reasons(outcome) == [Reason.GONE, Reason.NOT_MEDIA, Reason.TRUNCATED, None]
    assert [report.link_id for report in outcome.sources] == [ref.link_id for ref in lease.sources[:4]]
    (stored,) = stored_files(emulator)
    assert stored.has_thumbnail


async def test_a_lease_fails_with_a_report_of_every_link(
    daemon: Daemon, coordinator: Coordinator, emulator: Emulator, media: Path
) -> None:
    clip = await _make(CLIP, media)
    emulator.sources.set_faults("busy.mp4", [SourceFault(kind=SourceFaultKind.RATE_LIMITED)])
    base = emulator.media_url
    lease = coordinator.put(CODE, f"{base}/{clip.name}", f"{base}/busy.mp4", quality=Quality.FULL_HD, runtime_s=1)
    outcome = await coordinator.settlement(lease)
    assert isinstance(outcome, SettleFailed)
    assert _reasons(outcome) == [Reason.WRONG_CONTENT, Reason.RATE_LIMITED]
    assert outcome.reason is Reason.WRONG_CONTENT  # the one that no waiting mends
    assert stored_files(emulator) == []


async def test_one_lease_after_the_other_is_worked(
    daemon: Daemon, coordinator: Coordinator, emulator: Emulator, media: Path
) -> None:
    clip = await _make(CLIP, media)
    leases = [coordinator.put(f"CM_M00000{n}_240P", f"{emulator.media_url}/{clip.name}") for n in (1, 2, 3)]
    for lease in leases:
        assert isinstance(await coordinator.settlement(lease), SettleDone)
    assert sorted(stored.code for stored in stored_files(emulator)) == [lease.code for lease in leases]


# ---- Telegram's moods ----------------------------------------------------------------------------


async def test_a_long_wait_parks_the_account_and_gives_the_lease_back(
    daemon: Daemon, coordinator: Coordinator, emulator: Emulator, media: Path
) -> None:
    clip = await _make(CLIP, media)
    emulator.faults.plan(Flood(method="messages.sendMedia", seconds=1200))
    url = f"{emulator.media_url}/{clip.name}"
    outcome = await coordinator.settlement(coordinator.put(CODE, url))
    assert outcome == SettleFloodWait(1200, "messages.sendMedia")
    assert isinstance(await coordinator.settlement(coordinator.put(CODE, url, sends_parked_s=0)), SettleDone)
    assert len(stored_files(emulator)) == 1


async def test_a_part_that_telegram_lost_is_fetched_from_the_source_again(
    daemon: Daemon, coordinator: Coordinator, emulator: Emulator, media: Path
) -> None:
    direct, remuxed = await _make(CLIP, media), await _make(MKV, media)
    for number, clip in enumerate((direct, remuxed), start=1):
        emulator.faults.plan(MissingPart(part=0))
        lease = coordinator.put(f"CM_M00000{number}_240P", f"{emulator.media_url}/{clip.name}")
        assert isinstance(await coordinator.settlement(lease), SettleDone)
    contents = {stored.code: stored.content for stored in stored_files(emulator)}
    assert contents["CM_M000001_240P"] == direct.read_bytes()
    assert len(contents) == 2


async def test_a_refused_message_counts_against_the_link_and_leaves_nothing_behind(
    daemon: Daemon, coordinator: Coordinator, emulator: Emulator, media: Path
) -> None:
    clip = await _make(CLIP, media)
    emulator.faults.plan(RpcFailure(method="messages.sendMedia", code=400, name="MEDIA_EMPTY"))
    url = f"{emulator.media_url}/{clip.name}"
    outcome = await coordinator.settlement(coordinator.put(CODE, url, url))
    assert isinstance(outcome, SettleDone)
    assert _reasons(outcome) == [Reason.TELEGRAM, None]
    assert len(stored_files(emulator)) == 1


async def test_a_lost_reply_to_the_sending_leaves_one_message(
    daemon: Daemon, coordinator: Coordinator, emulator: Emulator, media: Path
) -> None:
    clip = await _make(CLIP, media)
    emulator.faults.plan(LostReply(method="messages.sendMedia"))
    outcome = await coordinator.settlement(coordinator.put(CODE, f"{emulator.media_url}/{clip.name}"))
    assert isinstance(outcome, SettleDone)
    (stored,) = stored_files(emulator)
    assert outcome.objects[0].message_id == stored.message_id


# ---- the lease -----------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", [Verdict.CANCEL, Verdict.LOST])
async def test_a_verdict_stops_the_work_at_once(
    coordinator: Coordinator,
    emulator: Emulator,
    media: Path,
    worker_settings: WorkerSettings,
    telegram: TelegramSettings,
    verdict: Verdict,
) -> None:
    coordinator.ttl_s = 0.6
    daemon = Daemon(worker_settings, telegram)
    clip = await _make(CLIP, media)
    emulator.sources.set_faults(clip.name, [SourceFault(kind=SourceFaultKind.STALL, after_bytes=20_000)])
    lease = coordinator.put(CODE, f"{emulator.media_url}/{clip.name}")
    await coordinator.until(lambda: any(beat.leases for beat in coordinator.beats))
    coordinator.verdicts[lease.lease] = verdict
    other = coordinator.put("CM_M000002_240P", f"{emulator.media_url}/other.mp4")
    await coordinator.settlement(other)
    assert coordinator.settled.get(lease.lease) == (SettleReleased() if verdict is Verdict.CANCEL else None)
    assert stored_files(emulator) == []
    await daemon.kill()


async def test_a_lease_that_cannot_be_beaten_is_given_up_in_time(
    coordinator: Coordinator,
    emulator: Emulator,
    media: Path,
    worker_settings: WorkerSettings,
    telegram: TelegramSettings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    coordinator.ttl_s = 0.5
    daemon = Daemon(worker_settings, telegram)
    clip = await _make(CLIP, media)
    emulator.sources.set_faults(clip.name, [SourceFault(kind=SourceFaultKind.STALL, after_bytes=20_000)])
    coordinator.trouble.extend([("/beat", 503)] * 50)
    lease = coordinator.put(CODE, f"{emulator.media_url}/{clip.name}")
    with caplog.at_level(logging.WARNING):
        await coordinator.until(lambda: len(coordinator.claims) >= 2)  # it is back for more
    assert lease.lease not in coordinator.settled
    await daemon.kill()


async def test_heartbeats_tell_stage_link_and_bytes(
    coordinator: Coordinator,
    emulator: Emulator,
    media: Path,
    worker_settings: WorkerSettings,
    telegram: TelegramSettings,
) -> None:
    coordinator.ttl_s = 0.6
    daemon = Daemon(worker_settings, telegram)
    clip = await _make(CLIP, media)
    emulator.faults.set_line(ACCOUNT, Line(latency_s=0.3))
    lease = coordinator.put(CODE, f"{emulator.media_url}/{clip.name}")
    await coordinator.settlement(lease)
    told = [progress for beat in coordinator.beats for progress in beat.leases]
    on_the_link = [progress for progress in told if progress.stage is not Stage.OPENING]
    assert {progress.link_id for progress in on_the_link} == {lease.sources[0].link_id}
    uploading = [progress for progress in told if progress.stage is Stage.UPLOADING]
    assert uploading[0].bytes_total == clip.stat().st_size
    emulator.faults.set_line(ACCOUNT, Line())
    await daemon.kill()
