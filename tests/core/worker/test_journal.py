from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telecine.core.errors import ConfigError
from telecine.core.protocol import SourceReport
from telecine.core.worker.journal import Closed, Journal, Posting, Record, Sending, Sent, Taken, UnsentObject


def sending(lease: str = "1.7.3", part_no: int = 1, *, random_id: int = 42) -> Sending:
    return Sending(
        lease=lease,
        boot_id="boot",
        variant="CM_M000321_1080P",
        code="CM_M000321_1080P",
        random_id=random_id,
        after_message_id=9,
        object=UnsentObject(part_no, 1, 2000000001, 0, 1234, "ab" * 32, 12.5, 1920, 1080),
        plan="direct",
        sources=(SourceReport(5, None, None, 1234, 0.5),),
    )


def test_what_was_about_to_be_sent_is_there_after_a_crash(tmp_path: Path) -> None:
    Journal(tmp_path / "w.journal").append(sending())  # never closed, as a killed process leaves it
    with Journal(tmp_path / "w.journal") as journal:
        assert journal.open_leases() == ("1.7.3",)
        assert journal.postings("1.7.3") == (Posting(sending()),)


def test_a_sent_message_keeps_its_id_through_a_rewrite(tmp_path: Path) -> None:
    with Journal(tmp_path / "w.journal") as journal:
        journal.append(sending())
        journal.append(Sent("1.7.3", 1, 77))
    for _ in range(2):
        with Journal(tmp_path / "w.journal") as journal:
            assert journal.postings("1.7.3") == (Posting(sending(), 77),)


def test_a_closed_lease_is_gone_and_its_lines_with_it(tmp_path: Path) -> None:
    with Journal(tmp_path / "w.journal") as journal:
        journal.append(sending())
        journal.append(Closed("1.7.3"))
        assert journal.open_leases() == ()
    with Journal(tmp_path / "w.journal") as journal:
        assert journal.postings("1.7.3") == ()
    assert (tmp_path / "w.journal").read_bytes() == b""


def test_a_long_life_does_not_make_a_long_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telecine.core.worker.journal.IDLE_BYTES_MAX", 2000)
    with Journal(tmp_path / "w.journal") as journal:
        for number in range(100):
            journal.append(sending(f"1.{number}.1"))
            journal.append(Closed(f"1.{number}.1"))
            assert journal.path.stat().st_size < 3000
        journal.append(sending())
    with Journal(tmp_path / "w.journal") as journal:
        assert journal.open_leases() == ("1.7.3",)


def test_a_second_try_replaces_the_random_id_of_the_first(tmp_path: Path) -> None:
    with Journal(tmp_path / "w.journal") as journal:
        journal.append(sending(random_id=1))
        journal.append(sending(random_id=2))
        assert [posting.sending.random_id for posting in journal.postings("1.7.3")] == [2]


def test_a_record_that_a_crash_cut_short_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "w.journal"
    with Journal(path) as journal:
        journal.append(sending())
        journal.append(sending("1.8.1"))
    path.write_bytes(path.read_bytes()[:-20])
    with Journal(path) as journal:
        assert journal.open_leases() == ("1.7.3",)


def test_a_file_that_is_no_journal_is_refused_with_its_name_and_line(tmp_path: Path) -> None:
    path = tmp_path / "w.journal"
    path.write_text('{"type":"closed","lease":"1.1.1"}\nnonsense\n')
    with pytest.raises(ConfigError, match=r"w\.journal: line 2"):
        Journal(path)


def test_only_its_owner_reads_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "w.journal"
    before = os.umask(0)
    try:
        Journal(path).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


leases = st.sampled_from(["1.1.1", "1.2.1", "1.3.9"])
records = st.one_of(
    st.builds(sending, leases, st.integers(1, 3), random_id=st.integers(-(2**63), 2**63 - 1)),
    st.builds(Taken, leases, st.integers(1, 3)),
    st.builds(Sent, leases, st.integers(1, 3), st.integers(1, 10**9)),
    st.builds(Closed, leases),
)


@settings(max_examples=30, deadline=None)
@given(history=st.lists(records, max_size=20), cut=st.integers(0, 20))
def test_reopening_anywhere_changes_nothing_that_is_open(
    tmp_path_factory: pytest.TempPathFactory, history: list[Record], cut: int
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    with Journal(folder / "straight") as straight, Journal(folder / "reopened") as first:
        for record in history:
            straight.append(record)
        for record in history[:cut]:
            first.append(record)
        with Journal(folder / "reopened") as reopened:
            for record in history[cut:]:
                reopened.append(record)
            assert set(reopened.open_leases()) == set(straight.open_leases())
            assert all(reopened.postings(one) == straight.postings(one) for one in straight.open_leases())
