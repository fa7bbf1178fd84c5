"""Uploading a file: many parts in flight, each repeated by itself until it is through.

Throughput is bytes in flight by round trip, so parts go out side by side over several connections; memory stays
bounded because the next block is only asked for when there is room for it. Blocks may come in any order: a muxer
hands over the head of a file last.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Protocol, TypeVar

import msgspec
from telethon.tl import functions, types

from telecine.core.clock import Clock
from telecine.core.errors import FloodWaitError, InputError, TelegramError, UnavailableError
from telecine.core.plans import PART_BYTES, SMALL_FILE_BYTES_MAX
from telecine.core.worker.parts import Block
from telecine.core.worker.telegram.calls import PremiumWaitError

SMALL_PARTS_MAX = SMALL_FILE_BYTES_MAX // PART_BYTES
PART_TRIES_MAX = 8
PART_FLOODS_MAX = 20  # waits that one part sits out in place
PART_THROTTLES_MAX = 200  # the same, where Telegram slows down an account without Premium; others get through meanwhile
BACKOFF_S = 0.25
BACKOFF_S_MAX = 8.0
UNKNOWN_TOTAL = -1  # upload.saveBigFilePart: the number of parts, where only the last one knows it

T = TypeVar("T")


class Caller(Protocol):
    """What carries requests: `senders.Lines`, and whatever stands in for it."""

    async def call(self, request: Any) -> Any: ...


class UploadedFile(msgspec.Struct, frozen=True):
    """A file whose parts are all with Telegram, for minutes to hours, until a message is made of it.

    `digests` are the SHA-256 digests of the parts in order, `md5` is set for a small file only.
    """

    file_id: int
    name: str
    size_bytes: int
    digests: tuple[bytes, ...]
    md5: str | None = None

    @property
    def parts(self) -> int:
        return len(self.digests)

    @property
    def sha256(self) -> str:
        """SHA-256 over the digests of the 512 KiB parts in order: the same whatever order the parts came in."""
        return digest_of(self.digests)

    def as_input(self) -> Any:
        """The TL object that names this file in a request."""
        if self.md5 is not None:
            return types.InputFile(self.file_id, self.parts, self.name, self.md5)
        return types.InputFileBig(self.file_id, self.parts, self.name)


def digest_of(digests: Iterable[bytes]) -> str:
    """How a file is named by the digests of its parts."""
    return hashlib.sha256(b"".join(digests)).hexdigest()


class Engine:
    """Uploads files over `caller`. `new_file_id` draws a random int64; `flood_wait_in_place_s` bounds a wait."""

    def __init__(
        self,
        caller: Caller,
        *,
        clock: Clock,
        new_file_id: Callable[[], int],
        parts_in_flight: int,
        flood_wait_in_place_s: float,
    ) -> None:
        self._caller = caller
        self._clock = clock
        self._new_file_id = new_file_id
        self._parts_in_flight = parts_in_flight
        self._flood_wait_in_place_s = flood_wait_in_place_s
        self._resume_at_s = 0.0

    async def upload(
        self,
        blocks: AsyncIterator[Block],
        *,
        size_bytes: int | None,
        name: str,
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> UploadedFile:
        """Upload what `blocks` yields, each index once, all but the last of PART_BYTES.

        `size_bytes` None: not known before the end. `on_bytes` hears the size of each part that got through.
        Raises what `blocks` raises, FloodWaitError for a wait that is too long to sit out, TelegramError,
        UnavailableError, and InputError where the blocks do not make a file of `size_bytes`.
        """
        head: list[Block] = []
        if size_bytes is None or size_bytes <= SMALL_FILE_BYTES_MAX:
            head = await _take(blocks, SMALL_PARTS_MAX + 1)
        if head and len(head) <= SMALL_PARTS_MAX:
            return await self._upload_small(head, size_bytes=size_bytes, name=name, on_bytes=on_bytes)
        upload = _BigUpload(self, self._new_file_id(), size_bytes, on_bytes)
        digests = await upload.run(_chained(head, blocks), asyncio.Semaphore(self._parts_in_flight))
        return UploadedFile(upload.file_id, name, upload.size_bytes, digests)

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
            await self._pause_over()
            try:
                await self._try(request)
            except FloodWaitError as wait:
                floods += 1
                floods_max = PART_THROTTLES_MAX if isinstance(wait, PremiumWaitError) else PART_FLOODS_MAX
                if wait.seconds > self._flood_wait_in_place_s or floods > floods_max:
                    raise
                self._resume_at_s = max(self._resume_at_s, self._clock.monotonic_s() + max(wait.seconds, 1.0))
            except UnavailableError:
                failures += 1
                if failures >= PART_TRIES_MAX:
                    raise
                await self._clock.sleep(min(BACKOFF_S * 2 ** (failures - 1), BACKOFF_S_MAX))
            else:
                return

    async def _try(self, request: Any) -> None:
        if not await self._caller.call(request):
            raise UnavailableError("Telegram did not take an upload part")

    async def _pause_over(self) -> None:
        # A wait is per account and request type: all parts stand still, not only the one that was told.
        while (wait_s := self._resume_at_s - self._clock.monotonic_s()) > 0:
            await self._clock.sleep(wait_s)

    async def _upload_small(
        self, head: list[Block], *, size_bytes: int | None, name: str, on_bytes: Callable[[int], None]
    ) -> UploadedFile:
        blocks = sorted(head, key=lambda block: block.index)
        size = _checked_size(blocks, size_bytes)
        file_id = self._new_file_id()
        slots = asyncio.Semaphore(self._parts_in_flight)

        async def put(block: Block) -> None:
            async with slots:
                await self.put(functions.upload.SaveFilePartRequest(file_id, block.index, block.data))
            on_bytes(len(block.data))

        await _side_by_side(put(block) for block in blocks)
        digests = tuple(hashlib.sha256(block.data).digest() for block in blocks)
        whole = hashlib.md5(b"".join(block.data for block in blocks), usedforsecurity=False)
        return UploadedFile(file_id, name, size, digests, md5=whole.hexdigest())


class _BigUpload:
    """One file of more than 10 MiB on its way.

    The part with the highest index is held back until the blocks end: it alone tells how many parts there are,
    which nothing else knows while a muxer is still writing.
    """

    def __init__(
        self, engine: Engine, file_id: int, declared_bytes: int | None, on_bytes: Callable[[int], None]
    ) -> None:
        self.file_id = file_id
        self.size_bytes = 0
        self._engine = engine
        self._declared_bytes = declared_bytes
        self._on_bytes = on_bytes
        self._digests: dict[int, bytes] = {}
        self._total = UNKNOWN_TOTAL if declared_bytes is None else -(-declared_bytes // PART_BYTES)

    async def run(self, blocks: AsyncIterator[Block], slots: asyncio.Semaphore) -> tuple[bytes, ...]:
        """Upload all blocks; the digests of the parts in order."""
        try:
            async with asyncio.TaskGroup() as group:
                last = await self._all_but_the_last(blocks, slots, group)
        except BaseExceptionGroup as failures:
            raise _cause(failures) from None
        self._total = len(self._digests)
        self._check(last)
        await self._put(last)
        return tuple(self._digests[index] for index in range(self._total))

    async def _all_but_the_last(
        self, blocks: AsyncIterator[Block], slots: asyncio.Semaphore, group: asyncio.TaskGroup
    ) -> Block:
        last: Block | None = None
        async for block in blocks:
            self._note(block)
            ready: Block | None = block
            if last is None or block.index > last.index:
                ready, last = last, block
            if ready is not None:
                await slots.acquire()
                group.create_task(self._put(ready, slots))
        if last is None:
            raise InputError("there is nothing to upload")
        return last

    def _note(self, block: Block) -> None:
        if block.index in self._digests:
            raise InputError(f"part {block.index} came twice")
        if 0 <= self._total <= block.index:
            raise InputError(f"there is more than the {self._declared_bytes} bytes that were declared")
        self._digests[block.index] = hashlib.sha256(block.data).digest()
        self.size_bytes += len(block.data)

    def _check(self, last: Block) -> None:
        if last.index != self._total - 1 or self.size_bytes != last.index * PART_BYTES + len(last.data):
            raise InputError("there are holes between the parts")
        if self._declared_bytes is not None and self.size_bytes != self._declared_bytes:
            raise InputError(f"{self._declared_bytes} bytes were declared, {self.size_bytes} came")

    async def _put(self, block: Block, slots: asyncio.Semaphore | None = None) -> None:
        try:
            await self._engine.put(
                functions.upload.SaveBigFilePartRequest(self.file_id, block.index, self._total, block.data)
            )
        finally:
            if slots is not None:
                slots.release()
        self._on_bytes(len(block.data))


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
