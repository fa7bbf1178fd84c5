"""What a process of the crash test has done, in its own words, on disk before anything follows from it.

Append-only JSON lines. What a killed process has written stays; a line that it was cut off in is not counted. Times are
those of the machine's monotonic clock, which all processes share.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from telecine.core.leases import VariantState
from telecine.core.protocol import Outcome


class Booted(msgspec.Struct, frozen=True, tag="booted"):
    """A process speaks for the worker from now on; the one before it is dead."""

    boot_id: str
    at_s: float


class Held(msgspec.Struct, frozen=True, tag="held"):
    """A claim was answered with a lease. It is good until `until_s`, as its worker reckons."""

    lease: str
    code: str
    boot_id: str
    request_id: str
    at_s: float
    until_s: float


class Prolonged(msgspec.Struct, frozen=True, tag="prolonged"):
    """A beat was answered: go on."""

    lease: str
    until_s: float


class Stopped(msgspec.Struct, frozen=True, tag="stopped"):
    """The heartbeat has ended the work."""

    lease: str
    at_s: float


class Settling(msgspec.Struct, frozen=True, tag="settling"):
    """The outcome is about to be reported."""

    lease: str
    outcome: Outcome
    at_s: float


class Acknowledged(msgspec.Struct, frozen=True, tag="acknowledged"):
    """The report was answered with 200."""

    lease: str
    state: VariantState
    repeated: bool
    at_s: float


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The report was answered with an error of this code."""

    lease: str
    error: str
    at_s: float


Entry = Booted | Held | Prolonged | Stopped | Settling | Acknowledged | Refused


class Ledger:
    """One process at a time writes; `steps`, a pipe, gets a byte for each entry, so that the test hears of it."""

    def __init__(self, path: Path, *, steps: int) -> None:
        self._descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        self._steps = steps
        _cut_torn_line(self._descriptor)

    def append(self, entry: Entry) -> None:
        """Write down; it is on the disk when this returns."""
        os.write(self._descriptor, msgspec.json.encode(entry) + b"\n")
        os.fsync(self._descriptor)
        os.write(self._steps, b".")


def read(path: Path) -> list[Entry]:
    """Every entry, oldest first; nothing where the process never came to write."""
    if not path.exists():
        return []
    *lines, _torn = path.read_bytes().split(b"\n")
    return [_decoder.decode(line) for line in lines]


_decoder = msgspec.json.Decoder(Entry)


def _cut_torn_line(descriptor: int) -> None:
    content = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    os.ftruncate(descriptor, content.rfind(b"\n") + 1)
    os.lseek(descriptor, 0, os.SEEK_END)
