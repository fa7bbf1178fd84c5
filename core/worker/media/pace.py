"""Where the files of a split film should end, so that as many come out as were planned, all of about the same size."""

from __future__ import annotations

from telecine.core.worker.media.samples import NS_PER_S, Sample


class EqualShares:
    """Ends files at equal shares of the source, measured by its bytes where packets tell where they stand.

    `part_count` None: each file is filled up to the limit. After a file that had to end early, what is left is shared
    anew among the files that are left.
    """

    def __init__(self, part_count: int | None, source_bytes: int | None, source_s: float | None) -> None:
        self._files_left = part_count
        self._source_bytes = source_bytes
        self._source_ns = source_s * NS_PER_S if source_s else None
        self._target: float | None = None
        self._before: float | None = None  # where the last group began

    def begin(self, first: Sample) -> None:
        """A file begins with `first`."""
        start = self._share(first)
        self._before, self._target = start, None
        if self._files_left is not None and start is not None:
            if self._files_left > 1:
                self._target = start + (1.0 - start) / self._files_left
            self._files_left -= 1

    def is_due(self, first: Sample) -> bool:
        """Whether to end here is nearer to an equal share than to end with the group that begins with `first`."""
        here, before = self._share(first), self._before
        self._before = here
        if here is None or self._target is None:
            return False
        step = max(0.0, here - before) if before is not None else 0.0
        return here + step / 2 >= self._target

    def _share(self, sample: Sample) -> float | None:
        """How much of the source lies before `sample`, 0 to 1."""
        if sample.pos is not None and self._source_bytes:
            return min(1.0, sample.pos / self._source_bytes)
        return min(1.0, max(0.0, sample.at_ns / self._source_ns)) if self._source_ns else None
