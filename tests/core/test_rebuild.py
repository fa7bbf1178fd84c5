"""Which messages make the newest whole upload of a target."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from telecine.core.rebuild import FoundPart, newest_upload


def parts(*numbers: int, of: int, channel_id: int = 1, first_id: int = 10) -> list[FoundPart]:
    """Messages of one channel that hold these part numbers, one after the other."""
    return [
        FoundPart(number, of, channel_id, first_id + place, 1000 * (first_id + place))
        for place, number in enumerate(numbers)
    ]


def ids(upload: tuple[FoundPart, ...]) -> list[int]:
    return [part.message_id for part in upload]


def test_a_single_message_is_an_upload() -> None:
    assert ids(newest_upload(parts(1, of=1))) == [10]


def test_nothing_is_made_of_nothing() -> None:
    assert newest_upload([]) == ()


def test_of_two_uploads_the_newer_counts() -> None:
    assert ids(newest_upload(parts(1, 1, of=1))) == [11]


def test_parts_are_put_in_order_however_they_come() -> None:
    assert ids(newest_upload(reversed(parts(1, 2, 3, of=3)))) == [10, 11, 12]


def test_an_upload_that_lacks_a_part_is_none() -> None:
    assert newest_upload(parts(1, 3, of=3)) == ()
    assert newest_upload(parts(2, 3, of=3)) == ()


def test_a_part_that_was_sent_twice_counts_once() -> None:
    assert ids(newest_upload(parts(1, 2, 2, 3, of=3))) == [10, 12, 13]


def test_parts_of_two_uploads_are_not_mixed() -> None:
    """The second upload was not finished: it may be cut at other places than the first."""
    assert ids(newest_upload(parts(1, 2, 3, 1, of=3))) == [10, 11, 12]
    assert ids(newest_upload(parts(1, 2, 1, 3, of=3))) == []


def test_an_unfinished_upload_elsewhere_does_not_hide_a_whole_one() -> None:
    newer = parts(1, of=2, channel_id=2, first_id=50)
    assert ids(newest_upload([*parts(1, 2, of=2), *newer])) == [10, 11]


def test_a_newer_upload_may_be_cut_otherwise_and_be_in_another_channel() -> None:
    newer = parts(1, of=1, channel_id=2, first_id=50)
    assert ids(newest_upload([*newer, *parts(1, 2, of=2)])) == [50]


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2)), max_size=12))
def test_what_is_chosen_is_whole_and_of_one_place(made: list[tuple[int, int, int]]) -> None:
    found = [
        FoundPart(min(no, of), of, channel_id, message_id, message_id)
        for message_id, (no, of, channel_id) in enumerate(made, start=1)
    ]
    upload = newest_upload(found)
    assert set(upload) <= set(found)
    assert [part.part_no for part in upload] == list(range(1, len(upload) + 1))
    assert {(part.part_count, part.channel_id) for part in upload} <= {
        (len(upload), part.channel_id) for part in upload
    }
    assert ids(upload) == sorted(ids(upload))
    assert bool(upload) >= any(part.part_count == 1 for part in found)
