"""Who is to hold a second copy."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from telecine.core.plans import file_bytes_max
from telecine.store.copies import Uploader, least_loaded

SIZES = [file_bytes_max(premium=premium) for premium in (False, True)]  # the largest of each kind of account

uploaders = st.lists(
    st.builds(Uploader, st.integers(1, 9), st.booleans(), st.integers(0, 3), st.integers(0, 9)),
    unique_by=lambda one: one.account_id,
)


@given(uploaders, st.integers(1, 9), st.sampled_from([0, *SIZES, *(size + 1 for size in SIZES)]))
def test_the_least_loaded_account_that_can_take_a_copy_gets_it(
    accounts: list[Uploader], holder: int, file_bytes: int
) -> None:
    chosen = least_loaded(accounts, other_than=holder, file_bytes=file_bytes)
    able = [one for one in accounts if one.account_id != holder and file_bytes <= file_bytes_max(premium=one.premium)]
    assert (chosen is None) == (not able)
    if chosen is not None:
        assert chosen in able
        assert all((chosen.waiting, chosen.messages) <= (one.waiting, one.messages) for one in able)
