"""Servers as child processes: started, heard of when they listen, stopped on every path."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from tests.bench.report import MeasurementError

STOP_WAIT_S = 15
LOG_LINES_KEPT = 30
_LISTENING = re.compile(r"listening on http://(?P<host>[\d.]+):(?P<port>\d+)")


class Server(msgspec.Struct, frozen=True):
    """A server that listens."""

    host: str
    port: int
    pid: int

    @property
    def cpu_s(self) -> float:
        """Processor time of all its threads until now."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # proc(5): utime, stime


class ServerFailedError(MeasurementError):
    """A server ended by itself. The message is the end of its log."""


def tell_listening(url: str) -> None:
    """Said by a server, in the words that `serving` waits for and `telecine serve` logs."""
    print(f"listening on {url}", file=sys.stderr, flush=True)


@contextmanager
def serving(*arguments: str) -> Iterator[Server]:
    """`python -m ARGUMENTS`, from when it says that it listens to the end of the block. Raises ServerFailedError."""
    process = subprocess.Popen([sys.executable, "-m", *arguments], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    log: deque[str] = deque(maxlen=LOG_LINES_KEPT)
    try:
        host, port = _hear(process.stderr, log)
        reading = threading.Thread(target=log.extend, args=(process.stderr,))  # or a full pipe would stop the server
        reading.start()
        yield Server(host, port, process.pid)
    except BaseException as error:
        if process.poll() is not None:
            raise ServerFailedError("".join(log)) from error
        raise
    finally:
        process.terminate()
        try:
            process.wait(STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _hear(lines: Iterator[str], log: deque[str]) -> tuple[str, int]:
    for line in lines:
        log.append(line)
        if match := _LISTENING.search(line):
            return match["host"], int(match["port"])
    raise ServerFailedError("".join(log))
