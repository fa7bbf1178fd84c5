"""How much patience and room a source gets."""

from __future__ import annotations

from typing import Self

import msgspec

from telecine.core.config import WorkerSettings


class SourceLimits(msgspec.Struct, frozen=True):
    """How much patience a source gets."""

    connect_timeout_s: float = 15.0
    stall_bytes_per_s: int = 16 * 1024  # a source that is slower than this over a window has stalled
    stall_window_s: float = 20.0
    redirects_max: int = 5
    resumes_max: int = 5  # resumptions in a row that bring next to nothing
    resume_wait_s: float = 0.5  # before the first resumption; doubles each time

    @classmethod
    def of(cls, settings: WorkerSettings) -> Self:
        """What the operator has set, and defaults for the rest."""
        return cls(
            connect_timeout_s=settings.connect_timeout_s,
            stall_bytes_per_s=settings.stall_bytes_per_s,
            stall_window_s=settings.stall_window_s,
        )

    def wait_s(self, resumes: int) -> float:
        """How long to leave a host in peace after so many resumptions in vain."""
        return float(self.resume_wait_s * 2**resumes)


class Room:
    """Memory for what is read ahead, of all jobs together. Nobody waits for it: who gets none does without.

    What the consumer of a source waits for itself needs no room here, so that no job can starve another.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_free = bytes_max

    def take(self, size_bytes: int) -> bool:
        """Whether there was room, which is the caller's then until it is given back."""
        if size_bytes > self._bytes_free:
            return False
        self._bytes_free -= size_bytes
        return True

    def give_back(self, size_bytes: int) -> None:
        """Return what `take` gave."""
        self._bytes_free += size_bytes
