"""Telling which parts of a big file are still to be sent, and whether those that are there make the file."""

from __future__ import annotations

from collections.abc import Callable

from telecine.core.errors import InputError
from telecine.core.plans import PART_BYTES
from telecine.core.worker.parts import Block
from telecine.core.worker.telegram.calls import FileLostError
from telecine.core.worker.telegram.uploads import StoredPart, UploadRecord

UNKNOWN_TOTAL = -1  # upload.saveBigFilePart: the number of parts, where only the last one knows it


class BigFile:
    """One file of more than 10 MiB on its way.

    While its size is not known, the part with the highest index is held back until the blocks end: it alone tells
    how many parts there are. `record` knows the parts that an earlier try has left with Telegram.
    """

    def __init__(
        self, file_id: int, declared_bytes: int | None, record: UploadRecord | None, on_bytes: Callable[[int], None]
    ) -> None:
        self.file_id = file_id
        self.total = UNKNOWN_TOTAL if declared_bytes is None else -(-declared_bytes // PART_BYTES)
        self._declared_bytes = declared_bytes
        self._record = record
        self._on_bytes = on_bytes
        self._sizes: dict[int, int] = {}  # of the blocks that came
        self._last: Block | None = None
        self._parts = {index: record.part(index) for index in record.known} if record else {}
        self._stored = set(self._parts)
        self._counted: set[int] = set()
        for index in self._parts:
            self._count(index)

    def knows(self, index: int) -> bool:
        """Whether part `index` is with Telegram from an earlier try, if it still is what it was."""
        return index in self._stored

    def take(self, block: Block, part: StoredPart | None) -> Block | None:
        """Note a block that came; the block that is to be sent now, if any. `part`: needed of those that are known.

        Raises InputError for a part that comes twice, or is more than was declared.
        """
        if block.index in self._sizes:
            raise InputError(f"part {block.index} came twice")
        if 0 <= self.total <= block.index:
            raise InputError(f"there is more than the {self._declared_bytes} bytes that were declared")
        self._sizes[block.index] = len(block.data)
        if block.index in self._stored and self._parts[block.index] != part:
            self._stored.discard(block.index)
        if self.total != UNKNOWN_TOTAL:
            return None if block.index in self._stored else block
        return self._held_back(block)

    def close(self) -> Block | None:
        """The blocks have ended: the part that was held back, which tells the total. Raises as `finished` does."""
        if self.total == UNKNOWN_TOTAL:
            if self._last is None:
                raise InputError("there is nothing to upload")
            self.total = self._last.index + 1
        if any(index >= self.total for index in self._parts):
            raise FileLostError("more of the file is with Telegram already than it has")
        self._check()
        return self._last

    def stored(self, index: int, part: StoredPart) -> None:
        """Telegram has taken a part."""
        self._parts[index] = part
        self._stored.add(index)
        self._count(index)
        if self._record is not None:
            self._record.add(index, part)

    def finished(self) -> tuple[StoredPart, ...]:
        """All parts in order."""
        return tuple(self._parts[index] for index in range(self.total))

    def _count(self, index: int) -> None:
        if index not in self._counted:
            self._counted.add(index)
            self._on_bytes(self._parts[index].size_bytes)

    def _held_back(self, block: Block) -> Block | None:
        ready: Block | None = block
        if self._last is None or block.index > self._last.index:
            ready, self._last = self._last, block
        return None if ready is None or ready.index in self._stored else ready

    def _check(self) -> None:
        """Raises InputError where the parts do not make the file."""
        known = {index: part.size_bytes for index, part in self._parts.items()}
        sizes = [size for _, size in sorted((known | self._sizes).items())]
        if len(sizes) != self.total or any(size != PART_BYTES for size in sizes[:-1]):
            raise InputError("there are holes between the parts")
        if self._declared_bytes is not None and sum(sizes) != self._declared_bytes:
            raise InputError(f"{self._declared_bytes} bytes were declared, {sum(sizes)} came")
