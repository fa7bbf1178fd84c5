"""The standard streams of a process: there from its start, fit for any text, and let go of where nobody takes what is
written."""

from __future__ import annotations

import io
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


def escape_unwritable() -> None:
    """Write what the encoding of standard output lacks as `\\u65e5`, as Python does on standard error: a name in
    Japanese ends no command on a terminal that is set to Latin-1."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def let_go() -> None:
    """Let nobody complain at the end of the process about what cannot be written."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
