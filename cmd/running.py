"""How the daemons run: the event loop, the garbage collector, and signals that ask for an orderly end."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import uvloop

from telecine.cmd.logs import LogFormat, formatter

T = TypeVar("T")

GARBAGE_CHECKED_AT = 50_000  # objects more than before, some megabytes; the interpreter's own 700 is a dozen requests
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on uvloop."""
    return uvloop.run(main)


@contextmanager
def garbage_waits() -> Iterator[None]:
    """Have the collector leave alone what stays for good, and look at the rest less often: requests leave little behind
    that needs it, and looking takes a fifth of the time that they do."""
    usual = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_CHECKED_AT, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()


def log_as_daemon(log_format: LogFormat = LogFormat.AUTO) -> None:
    """Daemons say what they do without being asked; libraries speak up only when something is wrong."""
    root = logging.getLogger()
    for handler in root.handlers:
        if type(handler) is logging.StreamHandler:
            handler.setFormatter(formatter(log_format))
    if root.level > logging.INFO:
        logging.getLogger("telecine").setLevel(logging.INFO)
        logging.getLogger("telethon").setLevel(logging.ERROR)  # each failed try to connect; we tell of them in one line


def stop_requested() -> asyncio.Event:
    """An event that SIGTERM or SIGINT sets. A second signal, either of the two, ends the process at once.

    By the system's own hand: Python would make a KeyboardInterrupt of SIGINT, in the middle of whatever is being
    closed, and then wait for threads that nobody tells to end any more. Hence the event loop is not asked to let go of
    its handlers: for a moment it would leave Python's in their place.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask() -> None:
        stop.set()
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_DFL)

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, ask)
    return stop
