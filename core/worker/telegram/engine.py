"""Uploading files: many parts under way, each repeated by itself until it is through.

Throughput is bytes under way by round trip, so parts go out side by side over several connections, as many as pay
(`window`); memory stays bounded, whatever number of files is uploaded at once, because the next block of a file is
only asked for when there is a place for it. Blocks may come in any order: a muxer hands over the head of a file last.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Protocol

from telethon.tl import functions

from telecine.core.clock import Clock
from telecine.core.errors import FloodWaitError, InputError, TelegramError, UnavailableError
from telecine.core.plans import PART_BYTES, SMALL_FILE_BYTES_MAX
from telecine.core.worker.gate import Gate
from telecine.core.worker.parts import Block
from telecine.core.worker.telegram.calls import PremiumWaitError, method_name
from telecine.core.worker.telegram.joining import BigFile
from telecine.core.worker.telegram.uploaded import UploadedFile, content_hash_of, digest_of, part_of
from telecine.core.worker.telegram.uploads import StoredPart, UploadRecord
from telecine.core.worker.telegram.window import Slots, Window

__all__ = ["Caller", "Engine", "UploadedFile", "digest_of"]

SMALL_PARTS_MAX = SMALL_FILE_BYTES_MAX // PART_BYTES
PART_TRIES_MAX = 8
PART_FLOODS_MAX = 20  # waits that one part sits out in place
PART_THROTTLES_MAX = 200  # the same, where Telegram slows down an account without Premium; others get through meanwhile
THROTTLE_NOTICE_S = 60.0  # how often the owner of the account is told of that
BACKOFF_S = 0.25
BACKOFF_S_MAX = 8.0

logger = logging.getLogger(__name__)


class Caller(Protocol):
    """What carries requests: `senders.Lines`, and whatever stands in for it."""

    async def call(self, request: Any) -> Any: ...


async def _unheard() -> None:
    """Nobody minds being throttled."""


class Engine:
    """Uploads files over `caller`, any number at a time.

    `new_file_id` draws a random int64; `parts_in_flight` bounds the parts of all uploads together that are in memory;
    `flood_wait_in_place_s` bounds a wait. `on_throttle` hears that Telegram slows the account down as one without
    Premium. Parts wait at `gate`. With `content_hash` files get their BLAKE3.
    """

    def __init__(
        self,
        caller: Caller,
        *,
        clock: Clock,
        new_file_id: Callable[[], int],
        parts_in_flight: int,
        flood_wait_in_place_s: float,
        gate: Gate | None = None,
        content_hash: bool = False,
        on_throttle: Callable[[], Awaitable[None]] = _unheard,
    ) -> None:
        self._caller = caller
        self._clock = clock
        self._new_file_id = new_file_id
        self._flood_wait_in_place_s = flood_wait_in_place_s
        self._gate = gate or Gate()
        self._content_hash = content_hash
        self._on_throttle = on_throttle
        self._window = Window(parts_in_flight, clock)
        self._slots = Slots(self._window)
        self._resume_at_s: dict[str, float] = {}  # by request type, as Telegram counts
        self._told_at_s = -THROTTLE_NOTICE_S

    @property
    def parts_allowed(self) -> int:
        """How many parts may be under way now."""
        return self._window.size

    async def upload(
        self,
        blocks: AsyncIterator[Block],
        *,
        size_bytes: int | None,
        name: str,
        on_bytes: Callable[[int], None] = lambda _: None,
        record: UploadRecord | None = None,
    ) -> UploadedFile:
        """Upload what `blocks` yields, each index once, all but the last of PART_BYTES.

        `size_bytes` None: not known before the end. `on_bytes` hears the size of each part that is with Telegram.
        `record` is what an earlier try has left: parts that are known there are not sent again, and need not come;
        what gets through now is noted in it. The caller discards it once a message is made of the file.
        Raises what `blocks` raises, FloodWaitError for a wait that is too long to sit out, TelegramError,
        UnavailableError, FileLostError where `record` is of another file, and InputError where the blocks do not
        make a file of `size_bytes`.
        """
        head: list[Block] = []
        if (size_bytes is None or size_bytes <= SMALL_FILE_BYTES_MAX) and not (record and record.known):
            head = await _take(blocks, SMALL_PARTS_MAX + 1)
        if head and len(head) <= SMALL_PARTS_MAX:
            return await self._upload_small(head, size_bytes=size_bytes, name=name, on_bytes=on_bytes)
        file = BigFile(self._big_file_id(record), size_bytes, record, on_bytes)
        await self._upload_big(file, _chained(head, blocks))
        parts = file.finished()
        return UploadedFile(
            file_id=file.file_id,
            name=name,
            size_bytes=sum(part.size_bytes for part in parts),
            digests=tuple(part.sha256 for part in parts),
            blake3=content_hash_of(parts) if self._content_hash else None,
        )

    async def resend(self, file: UploadedFile, block: Block) -> None:
        """Send one part again that Telegram has lost. Raises InputError where it is not the part that was sent."""
        if not block.index < file.parts or hashlib.sha256(block.data).digest() != file.digests[block.index]:
            raise InputError(f"part {block.index} of {file.name} is not what was sent before")
        if file.md5 is not None:
            request = functions.upload.SaveFilePartRequest(file.file_id, block.index, block.data)
        else:
            request = functions.upload.SaveBigFilePartRequest(file.file_id, block.index, file.parts, block.data)
        await self.put(request)

    async def put(self, request: Any) -> None:
        """Repeat one part until it is through."""
        floods, failures = 0, 0
        while True:
            await self._pause_over(method_name(request))
            sent_at_s = self._clock.monotonic_s()
            try:
                return await self._try(request)
            except FloodWaitError as wait:
                floods += 1
                await self._sit_out(wait, floods, sent_at_s)
            except UnavailableError:
                failures += 1
                self._window.failed(sent_at_s)
                if failures >= PART_TRIES_MAX:
                    raise
                await self._clock.sleep(min(BACKOFF_S * 2 ** (failures - 1), BACKOFF_S_MAX))

    async def _try(self, request: Any) -> None:
        if not await self._caller.call(request):
            raise UnavailableError("Telegram did not take an upload part")

    async def _sit_out(self, wait: FloodWaitError, floods: int, sent_at_s: float) -> None:
        throttled = isinstance(wait, PremiumWaitError)
        if throttled:
            await self._tell_of_throttle()
        else:
            self._window.failed(sent_at_s)
        if wait.seconds > self._flood_wait_in_place_s or floods > (
            PART_THROTTLES_MAX if throttled else PART_FLOODS_MAX
        ):
            raise wait
        resume_at_s = self._clock.monotonic_s() + max(wait.seconds, 1.0)
        self._resume_at_s[wait.request] = max(self._resume_at_s.get(wait.request, 0.0), resume_at_s)

    async def _tell_of_throttle(self) -> None:
        now_s = self._clock.monotonic_s()
        if now_s - self._told_at_s >= THROTTLE_NOTICE_S:
            self._told_at_s = now_s
            await self._on_throttle()

    async def _pause_over(self, request: str) -> None:
        # A wait is per account and request type: all parts stand still, not only the one that was told.
        while (wait_s := self._resume_at_s.get(request, 0.0) - self._clock.monotonic_s()) > 0:
            await self._clock.sleep(wait_s)
        await self._gate.passed()

    # ---- files of more than 10 MiB -----------------------------------------------------------------

    def _big_file_id(self, record: UploadRecord | None) -> int:
        """That of the earlier try, where something is left of it."""
        if record is not None and record.known and record.file_id is not None:
            return record.file_id
        file_id = self._new_file_id()
        if record is not None:
            record.begin(file_id)
        return file_id

    async def _upload_big(self, file: BigFile, blocks: AsyncIterator[Block]) -> None:
        """The part that tells the total comes last: nothing else knows it while a muxer is still writing."""
        try:
            async with asyncio.TaskGroup() as group:
                async for block in blocks:
                    ready = file.take(block, self._part(block) if file.knows(block.index) else None)
                    if ready is not None:
                        await self._slots.acquire()
                        # Given back by whatever ends the task: one that is cancelled before its start runs no line.
                        group.create_task(self._put_big(file, ready)).add_done_callback(self._give_back)
        except BaseExceptionGroup as failures:
            raise _cause(failures) from None
        last = file.close()
        if last is not None:
            await self._slots.acquire()
            try:
                await self._put_big(file, last)
            finally:
                self._slots.release()

    def _give_back(self, _: asyncio.Task[None]) -> None:
        self._slots.release()

    async def _put_big(self, file: BigFile, block: Block) -> None:
        await self.put(functions.upload.SaveBigFilePartRequest(file.file_id, block.index, file.total, block.data))
        self._window.arrived(len(block.data), waiting=self._slots.waiting)
        file.stored(block.index, self._part(block))

    def _part(self, block: Block) -> StoredPart:
        """Size and digests of a part. A thread for them costs a tenth more processor time, and is no faster."""
        return part_of(block.data, content_hash=self._content_hash)

    # ---- smaller ones ------------------------------------------------------------------------------

    async def _upload_small(
        self, head: list[Block], *, size_bytes: int | None, name: str, on_bytes: Callable[[int], None]
    ) -> UploadedFile:
        blocks = sorted(head, key=lambda block: block.index)
        size = _checked_size(blocks, size_bytes)
        file_id = self._new_file_id()

        async def put(block: Block) -> None:
            await self._slots.acquire()
            try:
                await self.put(functions.upload.SaveFilePartRequest(file_id, block.index, block.data))
            finally:
                self._slots.release()
            on_bytes(len(block.data))

        await _side_by_side(put(block) for block in blocks)
        parts: list[StoredPart] = [self._part(block) for block in blocks]
        return UploadedFile(
            file_id=file_id,
            name=name,
            size_bytes=size,
            digests=tuple(part.sha256 for part in parts),
            md5=hashlib.md5(b"".join(block.data for block in blocks), usedforsecurity=False).hexdigest(),
            blake3=content_hash_of(parts) if self._content_hash else None,
        )


def _checked_size(blocks: list[Block], declared_bytes: int | None) -> int:
    size = sum(len(block.data) for block in blocks)
    whole = all(len(block.data) == PART_BYTES for block in blocks[:-1])
    if not whole or [block.index for block in blocks] != list(range(len(blocks))):
        raise InputError("there are holes between the parts")
    if declared_bytes is not None and size != declared_bytes:
        raise InputError(f"{declared_bytes} bytes were declared, {size} came")
    return size


async def _take(blocks: AsyncIterator[Block], count: int) -> list[Block]:
    taken: list[Block] = []
    async for block in blocks:
        taken.append(block)
        if len(taken) == count:
            break
    return taken


async def _chained(head: list[Block], rest: AsyncIterator[Block]) -> AsyncIterator[Block]:
    for block in head:
        yield block
    async for block in rest:
        yield block


async def _side_by_side(work: Iterable[Awaitable[None]]) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(_awaited(one))
    except BaseExceptionGroup as failures:
        raise _cause(failures) from None


async def _awaited(work: Awaitable[None]) -> None:
    await work


def _cause(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The failure that tells most: a wait before a refusal before everything else."""
    leaves = list(itertools.chain.from_iterable(_leaves(failure) for failure in failures.exceptions))
    for kind in (FloodWaitError, TelegramError):
        for leaf in leaves:
            if isinstance(leaf, kind):
                return leaf
    return leaves[0]


def _leaves(failure: BaseException) -> Iterable[BaseException]:
    if isinstance(failure, BaseExceptionGroup):
        return itertools.chain.from_iterable(_leaves(inner) for inner in failure.exceptions)
    return (failure,)
