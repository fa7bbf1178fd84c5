"""How long an HTTP server asks to be left alone."""

from __future__ import annotations

import datetime as dt
import email.utils


def retry_after_s(header: str | None, now_ms: int) -> float | None:
    """What a Retry-After header asks for, given in seconds or as a date; None where it says nothing readable."""
    text = (header or "").strip()
    if text.isascii() and text.isdecimal() and len(text) <= 9:
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the latter for numbers that no calendar has
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return max(0.0, moment.timestamp() - now_ms / 1000)
