"""What is on disk of uploads under way: it survives what it should, and nothing damaged is believed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from tests.clocks import JumpingClock

from telecine.core.worker.telegram.uploads import KEPT_MS_MAX, StoredPart, UploadRecord, Uploads

PART = StoredPart(512 * 1024, b"s" * 32, b"b" * 32)
OTHER = StoredPart(1000, b"t" * 32)


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock(1_700_000_000.0)


@pytest.fixture
def uploads(tmp_path: Path, clock: JumpingClock) -> Uploads:
    return Uploads(tmp_path / "ember.uploads", clock)


def begun(uploads: Uploads, key: str = "film") -> UploadRecord:
    record = uploads.open(key)
    record.begin(77)
    record.add(0, PART)
    record.add(5, OTHER)
    return record


def only_file(tmp_path: Path) -> Path:
    (path,) = (tmp_path / "ember.uploads").iterdir()
    return path


def test_what_got_through_is_known_to_the_next_process(uploads: Uploads, tmp_path: Path, clock: JumpingClock) -> None:
    begun(uploads)
    record = Uploads(tmp_path / "ember.uploads", clock).open("film")
    assert record.file_id == 77
    assert set(record.known) == {0, 5}
    assert (record.part(0), record.part(5)) == (PART, OTHER)


def test_another_key_knows_nothing_of_it(uploads: Uploads) -> None:
    begun(uploads)
    other = uploads.open("another film")
    assert other.file_id is None
    assert not other.known


def test_only_its_owner_reads_it(uploads: Uploads, tmp_path: Path) -> None:
    begun(uploads)
    assert stat.S_IMODE((tmp_path / "ember.uploads").stat().st_mode) == 0o700
    assert stat.S_IMODE(only_file(tmp_path).stat().st_mode) == 0o600


def test_a_later_note_of_a_part_replaces_the_first(uploads: Uploads) -> None:
    begun(uploads).add(0, OTHER)
    assert uploads.open("film").part(0) == OTHER


def test_beginning_again_forgets_what_was_sent_under_another_file_id(uploads: Uploads) -> None:
    begun(uploads).begin(78)
    record = uploads.open("film")
    assert record.file_id == 78
    assert not record.known


def test_what_is_discarded_is_gone(uploads: Uploads, tmp_path: Path) -> None:
    record = begun(uploads)
    record.discard()
    record.discard()
    assert record.file_id is None
    assert not record.known
    assert not list((tmp_path / "ember.uploads").iterdir())


@pytest.mark.parametrize("lost", [1, 40, 75])
def test_a_note_that_was_cut_short_is_not_believed(uploads: Uploads, tmp_path: Path, lost: int) -> None:
    begun(uploads)
    path = only_file(tmp_path)
    path.write_bytes(path.read_bytes()[:-lost])
    assert set(uploads.open("film").known) == {0}


@pytest.mark.parametrize("lost", [1, 40, 75])
def test_what_is_noted_after_a_note_that_was_cut_short_is_believed(uploads: Uploads, tmp_path: Path, lost: int) -> None:
    begun(uploads)
    path = only_file(tmp_path)
    path.write_bytes(path.read_bytes()[:-lost])
    again = uploads.open("film")
    again.add(6, PART)
    again.add(7, OTHER)
    assert set(uploads.open("film").known) == {0, 6, 7}


def test_a_heading_that_was_cut_short_is_written_anew(uploads: Uploads, tmp_path: Path) -> None:
    uploads.open("film").begin(77)
    path = only_file(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    record = uploads.open("film")
    assert record.file_id is None
    record.begin(78)
    record.add(0, PART)
    assert uploads.open("film").file_id == 78


def test_a_disk_that_was_full_for_a_while_costs_the_notes_of_that_while(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(descriptor: int, data: bytes, offset: int) -> int:
        return write(descriptor, data[:30], offset)

    record, write = begun(uploads), os.pwrite
    with monkeypatch.context() as patch:
        patch.setattr("os.pwrite", full)
        record.add(6, PART)
    record.add(7, OTHER)
    assert set(uploads.open("film").known) == {0, 5, 7}
    assert "part 6" in caplog.text


def test_a_note_that_a_power_cut_left_as_zeros_is_not_believed(uploads: Uploads, tmp_path: Path) -> None:
    begun(uploads)
    path = only_file(tmp_path)
    path.write_bytes(path.read_bytes()[:-76] + bytes(76 * 3))
    assert set(uploads.open("film").known) == {0}


@pytest.mark.parametrize("content", [b"", b"\n", b"{", b"\0" * 500, b'{"key": "film"}\n'])
def test_a_file_that_is_no_record_is_as_good_as_none(uploads: Uploads, tmp_path: Path, content: bytes) -> None:
    begun(uploads)
    only_file(tmp_path).write_bytes(content)
    record = uploads.open("film")
    assert record.file_id is None
    assert not record.known
    record.begin(1)
    record.add(0, PART)
    assert set(uploads.open("film").known) == {0}


def test_what_telegram_no_longer_has_is_forgotten(uploads: Uploads, clock: JumpingClock, tmp_path: Path) -> None:
    begun(uploads, "old")
    clock.now_s += (KEPT_MS_MAX + 1) / 1000
    begun(uploads, "new")
    reopened = Uploads(tmp_path / "ember.uploads", clock)
    assert not reopened.open("old").known
    assert set(reopened.open("new").known) == {0, 5}


def test_a_disk_that_takes_no_notes_ends_no_upload(
    uploads: Uploads, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record = begun(uploads)
    only_file(tmp_path).unlink()
    record.add(1, PART)
    assert "part 1" in caplog.text
    assert not uploads.open("film").known


def test_a_disk_on_which_no_file_can_be_begun_ends_no_upload(
    uploads: Uploads, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record = uploads.open("film")
    (tmp_path / "ember.uploads").rmdir()
    record.begin(77)
    record.add(0, PART)
    assert set(record.known) == {0}
    assert [entry.message.split(":")[0] for entry in caplog.records] == ["an upload is not noted"]
    record.discard()
