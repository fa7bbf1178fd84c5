from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecine.core.errors import UnavailableError
from telecine.core.intake.retries import (
    ATTEMPTS_MAX,
    BACKOFF_S_MAX,
    RETRY_AFTER_S_MAX,
    BusyError,
    delay_s,
)

AWAY = UnavailableError("away")


@given(attempt=st.integers(1, ATTEMPTS_MAX - 1), jitter=st.floats(0, 1))
def test_waits_grow_within_bounds(attempt: int, jitter: float) -> None:
    wait_s = delay_s(attempt, AWAY, jitter)
    assert wait_s is not None
    assert 0 < wait_s <= BACKOFF_S_MAX
    assert 2 ** (attempt - 1) * 0.5 <= wait_s <= 2 ** (attempt - 1)


@pytest.mark.parametrize("error", [AWAY, BusyError("busy", retry_after_s=1), BusyError("busy", retry_after_s=None)])
def test_last_attempt_is_followed_by_none(error: UnavailableError) -> None:
    assert delay_s(ATTEMPTS_MAX - 1, error, 0.5) is not None
    assert delay_s(ATTEMPTS_MAX, error, 0.5) is None


@given(st.floats(0, RETRY_AFTER_S_MAX), st.floats(0, 1))
def test_who_asks_for_a_wait_is_never_asked_sooner(asked_s: float, jitter: float) -> None:
    wait_s = delay_s(1, BusyError("busy", retry_after_s=asked_s), jitter)
    assert wait_s is not None
    assert wait_s >= asked_s


def test_who_asks_for_too_long_a_wait_is_given_up() -> None:
    assert delay_s(1, BusyError("busy", retry_after_s=RETRY_AFTER_S_MAX + 1), 0.5) is None
