"""Every way in which a link goes wrong, as a whole lease meets it: the right reason, the next link, one message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import pytest
from tests.core.worker import bad_media
from tests.core.worker.conftest import Daemon, stored_files
from tests.core.worker.scripted import Coordinator

from telecine.core.config import TelegramSettings, WorkerSettings
from telecine.core.emulator.media.files import generate
from telecine.core.emulator.media.pictures import pictures
from telecine.core.emulator.media.specs import MediaSpec
from telecine.core.emulator.media.vast import vast
from telecine.core.emulator.server import Emulator
from telecine.core.emulator.sources.faults import SourceFault, SourceFaultKind
from telecine.core.protocol import Lease, SettleDone, SettleFailed, SourceReport
from telecine.core.quality import Quality
from telecine.core.reasons import Reason

FILM_BYTES = 3_000_000
FILM_S = 8
SLOW_BYTES_PER_S = 20_000

# Numbers of each fault, and what becomes of the link; None: it is used in spite of it.
OUTCOMES: dict[SourceFaultKind, tuple[dict[str, object], Reason | None]] = {
    SourceFaultKind.DEAD: ({}, Reason.GONE),
    SourceFaultKind.RATE_LIMITED: ({}, Reason.RATE_LIMITED),
    SourceFaultKind.SLOW: ({"bytes_per_s": SLOW_BYTES_PER_S}, Reason.STALLED),
    SourceFaultKind.STALL: ({"after_bytes": 20_000}, Reason.STALLED),
    SourceFaultKind.TRUNCATED: ({"after_bytes": 20_000}, Reason.TRUNCATED),
    SourceFaultKind.LYING_TYPE: ({}, None),
    SourceFaultKind.LYING_LENGTH: ({"content_length": 9_000_000}, None),  # ranges tell the truth
    SourceFaultKind.NO_RANGES: ({}, None),
    SourceFaultKind.NO_LENGTH: ({}, None),
    SourceFaultKind.NO_HEAD: ({}, None),
    SourceFaultKind.CHANGING: ({}, Reason.WRONG_CONTENT),
    SourceFaultKind.RESIZED: ({}, Reason.WRONG_CONTENT),
    SourceFaultKind.NO_VALIDATORS: ({}, None),
    SourceFaultKind.WRONG_RANGE: ({}, Reason.NETWORK),
    SourceFaultKind.COMPRESSED: ({}, Reason.NOT_MEDIA),
    SourceFaultKind.CROWDED: ({}, None),
    SourceFaultKind.REDIRECT: ({"location": "file:///etc/passwd"}, Reason.FORBIDDEN),
    SourceFaultKind.REDIRECT_LOOP: ({}, Reason.GONE),
    SourceFaultKind.HTML_PAGE: ({}, Reason.NOT_MEDIA),
}


@pytest.fixture
def media(emulator: Emulator) -> Path:
    assert emulator.settings.media_dir is not None
    return emulator.settings.media_dir


@pytest.fixture
async def film(media: Path) -> bytes:
    """What `good.mp4` holds."""
    made = await asyncio.to_thread(vast, media / "good.mp4", size_bytes=FILM_BYTES, seconds=FILM_S)
    return made.read_bytes()


@pytest.fixture
async def daemon(worker_settings: WorkerSettings, telegram: TelegramSettings) -> AsyncIterator[Daemon]:
    impatient = msgspec.structs.replace(
        worker_settings,
        jobs=8,
        stall_window_s=1.0,
        stall_bytes_per_s=2 * SLOW_BYTES_PER_S,
        sends_per_minute=6000,
        media_memory_bytes_max=bad_media.MEMORY_BYTES_MAX,
    )
    running = Daemon(impatient, telegram)
    yield running
    await running.kill()


class Links:
    """Hands out leases whose first link is `name` and whose second is good."""

    def __init__(self, coordinator: Coordinator, emulator: Emulator) -> None:
        self._coordinator = coordinator
        self._emulator = emulator
        self._leases: dict[str, Lease] = {}

    def put(self, *names: str, quality: Quality = Quality.AUTO, runtime_s: int | None = FILM_S) -> None:
        code = f"CM_M{len(self._leases) + 1:06}_{quality.value}"
        urls = [f"{self._emulator.media_url}/{name}" for name in names]
        self._leases[names[0]] = self._coordinator.put(code, *urls, quality=quality, runtime_s=runtime_s)

    @property
    def codes(self) -> dict[str, str]:
        """Of each upload, by the name of its first link."""
        return {name: lease.code for name, lease in self._leases.items()}

    async def reports(self) -> dict[str, Sequence[SourceReport]]:
        """What each lease said of its links, by the name of the first one."""
        reports: dict[str, Sequence[SourceReport]] = {}
        for name, lease in self._leases.items():
            outcome = await self._coordinator.settlement(lease, timeout_s=60)
            assert isinstance(outcome, SettleDone | SettleFailed), name
            reports[name] = outcome.sources
        return reports

    async def reasons(self) -> dict[str, list[Reason | None]]:
        return {name: [one.reason for one in reports] for name, reports in (await self.reports()).items()}


@pytest.fixture
def links(coordinator: Coordinator, emulator: Emulator) -> Links:
    return Links(coordinator, emulator)


def test_every_fault_has_its_outcome() -> None:
    assert set(OUTCOMES) == set(SourceFaultKind)


async def test_every_fault_ends_in_its_reason_and_the_next_link_is_used(
    daemon: Daemon, links: Links, emulator: Emulator, media: Path, film: bytes
) -> None:
    for kind, (numbers, _) in OUTCOMES.items():
        name = f"{kind.value}.mp4"
        (media / name).hardlink_to(media / "good.mp4")
        emulator.sources.set_faults(name, [msgspec.convert({"kind": kind, **numbers}, SourceFault)])
        links.put(name, "good.mp4")
    reports = await links.reports()
    assert {name: [one.reason for one in of_links] for name, of_links in reports.items()} == {
        f"{kind.value}.mp4": [None] if reason is None else [reason, None] for kind, (_, reason) in OUTCOMES.items()
    }
    assert reports["rate_limited.mp4"][0].retry_after_s == 3
    stored = stored_files(emulator)
    assert sorted(file.code or "" for file in stored) == sorted(links.codes.values())
    (remade,) = [file for file in stored if file.content != film]
    assert remade.code == links.codes[f"{SourceFaultKind.NO_LENGTH.value}.mp4"]  # it might be too large for one file
    (media / "remade.mp4").write_bytes(remade.content)
    assert await asyncio.to_thread(pictures, media / "remade.mp4") == await asyncio.to_thread(
        pictures, media / "good.mp4"
    )
    assert all(one.detail for of_links in reports.values() for one in of_links if one.reason is not None)


async def test_what_is_no_film_or_half_of_one_is_told_apart_and_the_next_link_is_used(
    daemon: Daemon, links: Links, emulator: Emulator, media: Path, film: bytes
) -> None:
    await asyncio.to_thread(bad_media.make, media, film)
    for name in bad_media.REASONS:
        links.put(name, "good.mp4")
    assert await links.reasons() == {name: [reason, None] for name, reason in bad_media.REASONS.items()}
    stored = stored_files(emulator)
    assert len(stored) == len(bad_media.REASONS)
    assert all(file.content == film for file in stored)


async def test_a_link_of_another_quality_is_reported_with_what_it_is(
    daemon: Daemon, links: Links, emulator: Emulator, media: Path
) -> None:
    tiny = MediaSpec(name="tiny.mp4", width_px=426, height_px=240, seconds=1.0)
    low = MediaSpec(name="low.mp4", width_px=640, height_px=360, seconds=1.0)
    for spec in (tiny, low):
        await asyncio.to_thread(generate, spec, media)
    links.put("tiny.mp4", "low.mp4", quality=Quality.LOW, runtime_s=1)
    reports = (await links.reports())["tiny.mp4"]
    assert [(one.reason, one.quality) for one in reports] == [(Reason.WRONG_CONTENT, Quality.TINY), (None, None)]
    (stored,) = stored_files(emulator)
    assert stored.content == (media / "low.mp4").read_bytes()
