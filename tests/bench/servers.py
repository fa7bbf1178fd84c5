"""Servers as child processes: started, heard of when they listen, stopped on every path."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import msgspec

STOP_WAIT_S = 15
_LISTENING = re.compile(r"listening on http://(?P<host>[\d.]+):(?P<port>\d+)")


class Address(msgspec.Struct, frozen=True):
    host: str
    port: int


class ServerFailedError(Exception):
    """A server ended before it listened. The message is the end of its log."""


@contextmanager
def serving(*arguments: str) -> Iterator[Address]:
    """`python -m ARGUMENTS`, from when it says that it listens to the end of the block. Raises ServerFailedError."""
    process = subprocess.Popen([sys.executable, "-m", *arguments], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        address = _hear(process.stderr)
        threading.Thread(target=deque, args=(process.stderr, 0), daemon=True).start()  # or a full pipe would stop it
        yield address
    finally:
        process.terminate()
        try:
            process.wait(STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _hear(log: IO[str]) -> Address:
    lines: deque[str] = deque(maxlen=20)
    for line in log:
        lines.append(line)
        if match := _LISTENING.search(line):
            return Address(match["host"], int(match["port"]))
    raise ServerFailedError("".join(lines))
