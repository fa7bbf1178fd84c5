"""What all lists share that come in pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeVar

from msgspec import Meta

T = TypeVar("T")

PAGE_ROWS = 100
PAGE_ROWS_MAX = 1000
PageRows = Annotated[int, Meta(ge=1, le=PAGE_ROWS_MAX)]


def last_of(rows: Sequence[T], limit: int) -> T | None:
    """The row that the next page begins behind; None where a page that is not full says that there is no other."""
    return rows[-1] if len(rows) == limit else None
