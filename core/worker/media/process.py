"""The worker's end of the media child: a source probed, pictured and muxed in a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress

import msgspec

from telecine.core.plans import PART_BYTES, Probe, Recipe
from telecine.core.reasons import Reason
from telecine.core.worker.media.feed import Feed
from telecine.core.worker.media.shared import (
    PART_PLACES,
    READ_BYTES_MAX,
    READ_PLACES,
    SharedMemory,
    shared_memory_file,
)
from telecine.core.worker.media.wire import (
    DURATION_S_MAX,
    FRAME_SIDE_MAX_PX,
    HEADER,
    MESSAGE_BYTES_MAX,
    Confine,
    Data,
    Failed,
    FindOut,
    Mux,
    Muxed,
    Order,
    Part,
    PartMade,
    PartReady,
    Probed,
    Read,
    Taken,
    TakeThumbnail,
    Thumbnail,
    ToChild,
    ToWorker,
    framed,
    parse_to_worker,
)
from telecine.core.worker.sources.source import Source, SourceError

__all__ = ["MediaChild", "MediaLimits"]

ReadSource = Callable[[int, int], Awaitable[bytes]]

CHILD_COMMAND = (sys.executable, "-I", "-m", "telecine.core.worker.media.child")
DEATH_S = 2.0  # a child that has closed its pipes is expected to be gone by then
PARTS_AHEAD = 2  # of what is taken from the child by now
CPU_BYTES_PER_S = 8 * 1024 * 1024  # of source that a second pays for, with sound made anew
BYTES_UNKNOWN = 64 * 1024**3  # taken for the size of a source that does not tell


class MediaLimits(msgspec.Struct, frozen=True):
    """What the media child may use: `cpu_s_max` seconds of CPU for a small source, and more for a large one."""

    memory_bytes_max: int = 2 * 1024**3
    cpu_s_max: int = 600
    silence_s: float = 60.0  # between two messages of the child
    command: tuple[str, ...] = CHILD_COMMAND

    def cpu_s_for(self, size_bytes: int | None) -> int:
        """How many seconds of CPU a source of that size may take."""
        return self.cpu_s_max + (size_bytes or BYTES_UNKNOWN) // CPU_BYTES_PER_S


class MediaChild:
    """A child process at work on one source. One order at a time. All methods raise SourceError."""

    def __init__(
        self, process: asyncio.subprocess.Process, memory: SharedMemory, source: Source, limits: MediaLimits
    ) -> None:
        self._process = process
        self._memory = memory
        self._source = source
        self._limits = limits
        self._muxing: asyncio.Task[None] | None = None

    @classmethod
    @asynccontextmanager
    async def start(cls, source: Source, limits: MediaLimits | None = None) -> AsyncIterator[MediaChild]:
        """A child for `source`; killed at the end, whatever happened."""
        limits = limits or MediaLimits()
        with _shared_memory() as (memory_fd, memory):
            process = await asyncio.create_subprocess_exec(
                *limits.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=None,  # a traceback is for the worker's own log
                env={"LC_ALL": "C.UTF-8"},
                cwd="/",
                start_new_session=True,  # the terminal's Ctrl-C is for the worker
                limit=MESSAGE_BYTES_MAX,
                pass_fds=(memory_fd,),
            )
            child = cls(process, memory, source, limits)
            try:
                await child._confine(memory_fd)
                yield child
            finally:
                await child._stop_muxing()  # whoever took the parts may have left without a word
                await child._kill()

    async def probe(self) -> Probe:
        """What the source is. NOT_MEDIA where it cannot be read, TRUNCATED where its end is missing."""
        async for message in self._carry_out(FindOut()):
            if isinstance(message, Probed) and _is_possible(message.probe):
                return self._completed(message.probe)
            break
        raise self._misbehaviour()

    def _completed(self, probe: Probe) -> Probe:
        """With what the source tells: how large it is, and a playlist how long the film is."""
        length_s = probe.duration_s if probe.duration_s is not None else self._source.duration_s
        return msgspec.structs.replace(probe, size_bytes=self._source.size_bytes, duration_s=length_s)

    async def thumbnail(self) -> bytes | None:
        """A JPEG of at most 320 px and 200 kB; None where no picture can be had."""
        async for message in self._carry_out(TakeThumbnail()):
            if isinstance(message, Thumbnail):
                return message.jpeg
            break
        raise self._misbehaviour()

    async def mux(self, recipe: Recipe) -> AsyncGenerator[Part | PartMade]:
        """The source as MP4s that play from their first frame, in upload parts, one file after the other.

        The parts of a file's head come last, and after them what the file turned out to be. A source that turns out to
        be TRUNCATED says so only after parts have come.
        """
        made: asyncio.Queue[Part | PartMade | Exception | None] = asyncio.Queue(PARTS_AHEAD)
        self._muxing = asyncio.create_task(self._mux_into(made, recipe))
        try:
            while (one := await made.get()) is not None:
                if isinstance(one, Exception):
                    raise one
                yield one
        finally:
            await self._stop_muxing()

    async def _mux_into(self, made: asyncio.Queue[Part | PartMade | Exception | None], recipe: Recipe) -> None:
        """Reads to the child while parts are on their way, which are up to PARTS_AHEAD and what it has places for."""
        try:
            async with aclosing(Feed(self._source)) as feed:
                async for message in self._carry_out(Mux(recipe), feed.read):
                    await made.put(await self._handed_on(message))
                    if isinstance(message, Muxed):
                        return
        except Exception as error:  # noqa: BLE001 - raised where the parts are taken
            await made.put(error)

    async def _stop_muxing(self) -> None:
        muxing, self._muxing = self._muxing, None
        if muxing is not None:
            muxing.cancel()
            await asyncio.wait([muxing])

    async def _handed_on(self, message: ToWorker) -> Part | PartMade | None:
        """What the caller of `mux` gets of it; None is the end."""
        match message:
            case PartReady(file_no, index, place, length) if place < PART_PLACES and length <= PART_BYTES:
                part = Part(file_no, index, self._memory.take_part(place, length))
                await self._send(Taken(place))
                return part
            case PartMade():
                return message
            case Muxed():
                return None
            case _:
                raise self._misbehaviour()

    async def _confine(self, memory_fd: int) -> None:
        await self._send(
            Confine(
                memory_fd=memory_fd,
                size_bytes=self._source.size_bytes,
                seekable=self._source.supports_ranges,
                memory_bytes_max=self._limits.memory_bytes_max,
                cpu_s_max=self._limits.cpu_s_for(self._source.size_bytes),
            )
        )

    async def _carry_out(self, order: Order, read: ReadSource | None = None) -> AsyncIterator[ToWorker]:
        """Give an order and read to the child until the caller has its answer."""
        read = read or self._source.read
        await self._send(order)
        while True:
            message = await self._receive()
            match message:
                case Read(place, offset, length):
                    if length > READ_BYTES_MAX or place >= READ_PLACES:
                        raise self._misbehaviour()
                    data = await read(offset, length)
                    self._memory.put_read(place, data)
                    await self._send(Data(len(data)))
                case Failed(reason, text):
                    raise SourceError(reason, text)
                case _:
                    yield message

    async def _send(self, message: ToChild) -> None:
        assert self._process.stdin is not None  # noqa: S101 - a pipe was asked for
        try:
            self._process.stdin.write(framed(message))
            await self._process.stdin.drain()
        except ConnectionError as error:
            raise await self._death() from error

    async def _receive(self) -> ToWorker:
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        try:
            async with asyncio.timeout(self._limits.silence_s):
                (length,) = HEADER.unpack(await self._process.stdout.readexactly(HEADER.size))
                if length > MESSAGE_BYTES_MAX:
                    raise self._misbehaviour()
                return parse_to_worker(await self._process.stdout.readexactly(length))
        except TimeoutError as error:
            raise SourceError(Reason.NOT_MEDIA, f"its parser hung for {self._limits.silence_s:g} s") from error
        except asyncio.IncompleteReadError as error:
            raise await self._death() from error
        except msgspec.DecodeError as error:
            raise self._misbehaviour() from error

    async def _death(self) -> SourceError:
        """Why the child is gone, once it is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DEATH_S):
                await self._process.wait()
        await self._kill()
        status = self._process.returncode or 0
        # A signal is the work of the media; an exit is a fault of ours.
        reason = Reason.NOT_MEDIA if status < 0 else Reason.INTERNAL
        return SourceError(reason, f"its parser died with status {status}")

    def _misbehaviour(self) -> SourceError:
        return SourceError(Reason.NOT_MEDIA, "its parser says what it should not")

    async def _kill(self) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # Process.kill() may steal the status from the watcher
        if self._process.stdin:
            self._process.stdin.close()
        while self._process.stdout and await self._process.stdout.read(MESSAGE_BYTES_MAX):
            pass  # asyncio reaps no process whose pipe still holds something
        await self._process.wait()


def _is_possible(probe: Probe) -> bool:
    """Whether a film may have such numbers. What is sent as it is goes to Telegram with them."""
    sides_px = (probe.video.width_px, probe.video.height_px) if probe.video else ()
    return 0 <= (probe.duration_s or 0.0) <= DURATION_S_MAX and all(0 <= px <= FRAME_SIDE_MAX_PX for px in sides_px)


@contextmanager
def _shared_memory() -> Iterator[tuple[int, SharedMemory]]:
    """Memory for one child, and the descriptor by which it gets hold of it."""
    fd = shared_memory_file()
    try:
        memory = SharedMemory(fd)
        try:
            yield fd, memory
        finally:
            memory.close()
    finally:
        os.close(fd)
