"""Names for requests that bring none."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count, repeat


def request_ids(run: str) -> Callable[[], str]:
    """Gives a new name at each call. `run` tells this run of the coordinator from all others.

    Numbers, for they need not be secret: randomness would cost a call of the kernel for every request.
    """
    return map("{}-{:x}".format, repeat(run), count(1)).__next__
