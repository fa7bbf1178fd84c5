"""The standard streams of a process."""

from __future__ import annotations

import os
import sys

STANDARD = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))  # by their descriptors


def open_missing() -> None:
    """Open /dev/null in place of each standard stream that is closed.

    What is opened next would get its descriptor otherwise: uvloop dies of that, and what is printed would go into a
    socket or a database.
    """
    for descriptor, (name, mode) in enumerate(STANDARD):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
            os.set_inheritable(descriptor, True)
        if getattr(sys, name) is None:
            stream = os.fdopen(descriptor, mode, encoding="utf-8", errors="backslashreplace", closefd=False)
            setattr(sys, name, stream)
