"""What a worker meets that is no film's fault, or one link's at most, and goes on after."""

from __future__ import annotations

import errno

import pytest
from tests.core.worker.conftest import CODE, Plant, stored_files
from tests.core.worker.scripted import Coordinator

from telecine.core.emulator.server import Emulator
from telecine.core.protocol import SettleDone, SettleReleased
from telecine.core.reasons import Reason
from telecine.core.worker.journal import Closed, Record
from telecine.core.worker.journal import _write as write


@pytest.mark.parametrize("link", ["http://[films/night", "http://\u2100.example/night", "file://[films/night"])
async def test_link_that_is_no_url_fails_alone(
    link: str, plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str
) -> None:
    plant.start()
    outcome = await coordinator.settlement(coordinator.put(CODE, link, url))
    assert isinstance(outcome, SettleDone), outcome
    assert [report.reason for report in outcome.sources] == [Reason.GONE, None]


async def test_film_is_given_back_when_the_disk_is_full_and_taken_again_later(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, records: tuple[Record, ...]) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    plant.start()
    await coordinator.until(lambda: coordinator.claims)
    with monkeypatch.context() as patch:
        patch.setattr("telecine.core.worker.journal._write", full)
        assert await coordinator.settlement(coordinator.put(CODE, url)) == SettleReleased()
        assert stored_files(emulator) == []
    assert isinstance(await coordinator.settlement(coordinator.put(CODE, url)), SettleDone)
    assert len(stored_files(emulator)) == 1


async def test_a_disk_that_is_full_when_all_is_reported_ends_no_worker(
    plant: Plant, coordinator: Coordinator, emulator: Emulator, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[Record] = []

    def full(descriptor: int, records: tuple[Record, ...]) -> None:
        if len(refused) < 3 and any(isinstance(record, Closed) for record in records):
            refused.extend(records)
            raise OSError(errno.ENOSPC, "No space left on device")
        write(descriptor, records)

    daemon = plant.start()
    await coordinator.until(lambda: coordinator.claims)
    monkeypatch.setattr("telecine.core.worker.journal._write", full)
    assert isinstance(await coordinator.settlement(coordinator.put(CODE, url)), SettleDone)
    assert isinstance(await coordinator.settlement(coordinator.put("CM_M000322_240P", url)), SettleDone)
    await daemon.end()
    assert len(refused) == 3
    assert sorted(file.code for file in stored_files(emulator)) == [CODE, "CM_M000322_240P"]
