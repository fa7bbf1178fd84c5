"""Trouble of the worker's own machine, such as a full disk, that every film would run into: none has failed for it."""

from __future__ import annotations

import errno

from telecine.core.errors import UnavailableError

PASSING = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
)  # or there until somebody mends it, but nothing that another film would not meet


def trouble_of(error: OSError) -> UnavailableError | None:
    """What a failure of the system is to be sat out as; None where it is about one film, or a fault of ours."""
    return UnavailableError(f"this machine: {error.strerror}") if error.errno in PASSING else None
