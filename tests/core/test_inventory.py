"""The file between the channels and a new index: whole or gone on with, never half believed."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from telecine.core.errors import ConflictError, InputError
from telecine.core.inventory import (
    FoundAccount,
    FoundChannel,
    FoundFile,
    FoundMessage,
    Inventory,
    is_finished,
    open_inventory,
)

EMBER = FoundAccount("cm-ember", 77, premium=True)
CHANNEL = FoundChannel(500, "CM_C000001")
FILE = FoundFile(12, "video/mp4", 1.5, 426, 240)
MESSAGES = [FoundMessage(500, number, 1_700_000_000, f"CM_M{number:06d}_1080P", FILE) for number in range(2, 6)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ember.jsonl"


def write(path: Path, *, finished: bool = True) -> None:
    with open_inventory(path, EMBER) as file:
        file.add([CHANNEL])
        file.add(MESSAGES)
        if finished:
            file.end()


def test_what_was_written_is_read(path: Path) -> None:
    write(path)
    inventory = Inventory(path)
    assert inventory.account == EMBER
    assert list(inventory.found()) == [CHANNEL, *MESSAGES]
    assert list(inventory.found()) == [CHANNEL, *MESSAGES]


def test_nobody_else_can_read_it(path: Path) -> None:
    path.touch(0o644)
    write(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_is_no_inventory_is_left_as_it_is(path: Path) -> None:
    path.write_text("name,size\n")
    path.chmod(0o644)
    with pytest.raises(InputError, match="line 1"), open_inventory(path, EMBER):
        pass
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("name,size\n", 0o644)


def test_one_that_was_cut_off_is_not_believed(path: Path) -> None:
    write(path, finished=False)
    assert not is_finished(path)
    with pytest.raises(InputError, match="not finished"):
        list(Inventory(path).found())


@pytest.mark.parametrize("torn_bytes", [1, 20, 60])
def test_one_that_was_cut_off_is_gone_on_with_behind_its_last_whole_line(path: Path, torn_bytes: int) -> None:
    write(path, finished=False)
    path.write_bytes(path.read_bytes()[:-torn_bytes])
    with open_inventory(path, EMBER) as file:
        assert (file.has(500), file.newest(500), file.messages) == (True, 4, 3)
        file.add(MESSAGES[3:])
        file.end()
    assert list(Inventory(path).found()) == [CHANNEL, *MESSAGES]


def test_one_that_is_finished_is_not_written_to(path: Path) -> None:
    write(path)
    before = path.read_bytes()
    with pytest.raises(ConflictError, match="finished"), open_inventory(path, EMBER):
        pass
    assert path.read_bytes() == before
    assert is_finished(path)


def test_one_of_another_account_is_not_gone_on_with(path: Path) -> None:
    write(path, finished=False)
    other = FoundAccount("cm-rora", 78, premium=True)
    with pytest.raises(ConflictError, match="cm-ember"), open_inventory(path, other):
        pass


def test_one_that_lacks_a_line_is_not_believed(path: Path) -> None:
    write(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3] + lines[4:]))
    with pytest.raises(InputError, match="missing"):
        list(Inventory(path).found())


@pytest.mark.parametrize("order", [[0, 1, 1], [0, 2, 1], [1, 0], [0, 0]])
def test_one_with_lines_out_of_place_is_not_believed(path: Path, order: list[int]) -> None:
    """A message twice, one before an older one, one without its channel; a channel twice."""
    lines = [msgspec.json.encode(one) + b"\n" for one in (CHANNEL, *MESSAGES)]
    head = msgspec.json.encode(EMBER) + b"\n"
    path.write_bytes(head + b"".join(lines[place] for place in order))
    with pytest.raises(InputError, match="out of place"):
        list(Inventory(path).found())


def test_two_files_in_one_are_not_taken_for_one(path: Path) -> None:
    write(path)
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(InputError, match="behind its end"):
        list(Inventory(path).found())


@pytest.mark.parametrize(
    ("written", "other"),
    [
        (b'"message_id":3', b'"message_id":0'),
        (b'"message_id":3', b'"message_id":9223372036854775808'),
        (b'"sent_at_s":1700000000', b'"sent_at_s":9223372036854775807'),
        (b'"size_bytes":12', b'"size_bytes":-12'),
        (b'"channel_id":500', b'"channel_id":-500'),
        (b"CM_M000003", b"CM_M\xff00003"),
    ],
)
def test_one_with_numbers_that_nobody_has_is_refused_with_its_line(path: Path, written: bytes, other: bytes) -> None:
    write(path)
    path.write_bytes(path.read_bytes().replace(written, other))
    with pytest.raises(InputError, match=r"ember\.jsonl, line \d"):
        list(Inventory(path).found())


def test_another_file_is_refused_with_its_name_and_line(path: Path) -> None:
    path.write_text("name,size\n")
    with pytest.raises(InputError, match=r"ember\.jsonl, line 1"):
        Inventory(path)


@pytest.mark.parametrize("content", ["", '{"what":"end","channels":0,"messages":0}\n'])
def test_a_file_without_an_account_is_no_inventory(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(InputError, match="no inventory"):
        Inventory(path)


def test_one_of_a_later_version_is_refused(path: Path) -> None:
    path.write_text('{"what":"account","name":"a","telegram_user_id":1,"premium":false,"version":2}\n')
    with pytest.raises(InputError, match="version"):
        Inventory(path)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"), open_inventory(tmp_path / "nowhere" / "x", EMBER):
        pass


def test_a_place_that_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/full"), Path("/dev/null"), tmp_path / "pipe"):
        with pytest.raises(InputError, match=f"{path}: is no regular file"), open_inventory(path, EMBER):
            pass


def test_one_that_goes_on_with_another_account_before_its_end_is_not_believed(path: Path) -> None:
    """Else what the second holds were taken for the first one's, which could not deliver it."""
    write(path, finished=False)
    with path.open("ab") as file:
        file.write(msgspec.json.encode(FoundAccount("cm-rora", 78, premium=True)) + b"\n")
        file.write(msgspec.json.encode(FoundChannel(501, "CM_C000002")) + b"\n")
    with pytest.raises(InputError, match="goes on with cm-rora"):
        list(Inventory(path).found())
