"""Memory that a worker and its media child share: bytes of the source on their way in, upload parts on their way out.

Over the pipe between them go only short messages that say which place holds what: half the CPU of sending all through
the pipe. The child is not trusted: it can neither grow nor shrink the memory, and whatever it writes there is copied
before it is looked at.
"""

from __future__ import annotations

import fcntl
import mmap
import os

from telecine.core.plans import PART_BYTES

READ_BYTES_MAX = 1024 * 1024  # of the source at once
READ_PLACES = 2  # one is worked on, the next is on its way
PART_PLACES = 4
_READS_BYTES = READ_PLACES * READ_BYTES_MAX
_BYTES = _READS_BYTES + PART_PLACES * PART_BYTES
_SEALS = fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


class SharedMemory:
    """Places for what is read and places for parts. `take`s copy."""

    def __init__(self, fd: int) -> None:
        self._memory = mmap.mmap(fd, _BYTES)

    def put_read(self, place: int, data: bytes) -> None:
        """At most READ_BYTES_MAX."""
        start = place * READ_BYTES_MAX
        self._memory[start : start + len(data)] = data

    def take_read(self, place: int, start: int, end: int) -> bytes:
        """Bytes `start` to `end` of what was put there."""
        at = place * READ_BYTES_MAX
        return self._memory[at + start : at + end]

    def put_part(self, place: int, data: bytes | memoryview) -> None:
        """At most PART_BYTES."""
        start = _READS_BYTES + place * PART_BYTES
        self._memory[start : start + len(data)] = data

    def take_part(self, place: int, length: int) -> bytes:
        """The first `length` bytes of what was put there."""
        start = _READS_BYTES + place * PART_BYTES
        return self._memory[start : start + length]

    def close(self) -> None:
        """Give the memory back; the other side keeps its own hold of it."""
        self._memory.close()


def shared_memory_file() -> int:
    """A new descriptor to attach to on both sides; to be closed once both have."""
    fd = os.memfd_create("telecine-media", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, _BYTES)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except OSError:
        os.close(fd)
        raise
    return fd
