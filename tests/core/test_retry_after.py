from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecine.core.retry_after import retry_after_s

NOW_MS = 1_800_000_000_000  # Fri, 15 Jan 2027 08:00:00 GMT


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3.0),
        (" 0 ", 0.0),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("Fri, 15 Jan 2027 08:00:30 -0000", 30.0),
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("9" * 400, None),
        ("Fri, 99 Jan 2027 08:00:30 GMT", None),
        (f"Fri, 15 Jan {'9' * 20} 08:00:30 GMT", None),
        (f"Fri, 15 Jan 2027 08:00:30 +{'9' * 20}", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOW_MS) == seconds


@given(st.text(max_size=40))
def test_no_header_is_too_strange(header: str) -> None:
    wait_s = retry_after_s(header, NOW_MS)
    assert wait_s is None or wait_s >= 0
