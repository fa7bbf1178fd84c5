"""The worker's end of the media child: a source probed, pictured and muxed in a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec

from telecine.core.plans import Probe, Recipe
from telecine.core.reasons import Reason
from telecine.core.worker.media.wire import (
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
    Probed,
    Read,
    TakeThumbnail,
    Thumbnail,
    ToChild,
    ToWorker,
    framed,
    parse_to_worker,
)
from telecine.core.worker.sources.source import Source, SourceError

__all__ = ["MediaChild", "MediaLimits"]

CHILD_COMMAND = (sys.executable, "-I", "-m", "telecine.core.worker.media.child")
DEATH_S = 2.0  # a child that has closed its pipes is expected to be gone by then
READ_BYTES_MAX = MESSAGE_BYTES_MAX // 2


class MediaLimits(msgspec.Struct, frozen=True):
    """What the media child may use."""

    memory_bytes_max: int = 2 * 1024**3
    cpu_s_max: int = 1800
    silence_s: float = 60.0  # between two messages of the child
    command: tuple[str, ...] = CHILD_COMMAND


class MediaChild:
    """A child process at work on one source. One order at a time. All methods raise SourceError."""

    def __init__(self, process: asyncio.subprocess.Process, source: Source, limits: MediaLimits) -> None:
        self._process = process
        self._source = source
        self._limits = limits

    @classmethod
    @asynccontextmanager
    async def start(cls, source: Source, limits: MediaLimits | None = None) -> AsyncIterator[MediaChild]:
        """A child for `source`; killed at the end, whatever happened."""
        limits = limits or MediaLimits()
        process = await asyncio.create_subprocess_exec(
            *limits.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=None,  # a traceback is for the worker's own log
            env={"LC_ALL": "C.UTF-8"},
            cwd="/",
            start_new_session=True,  # the terminal's Ctrl-C is for the worker
            limit=MESSAGE_BYTES_MAX,
        )
        child = cls(process, source, limits)
        try:
            await child._confine()
            yield child
        finally:
            await child._kill()

    async def probe(self) -> Probe:
        """What the source is. NOT_MEDIA where it cannot be read, TRUNCATED where its end is missing."""
        async for message in self._carry_out(FindOut()):
            if isinstance(message, Probed):
                return message.probe
        raise self._misbehaviour()

    async def thumbnail(self) -> bytes | None:
        """A JPEG of at most 320 px and 200 kB; None where no picture can be had."""
        async for message in self._carry_out(TakeThumbnail()):
            if isinstance(message, Thumbnail):
                return message.jpeg
        raise self._misbehaviour()

    async def mux(self, recipe: Recipe) -> AsyncGenerator[Part | PartMade]:
        """The source as MP4s that play from their first frame, in upload parts, one file after the other.

        The parts of a file's head come last, and after them what the file turned out to be. A source that turns out to
        be TRUNCATED says so only after parts have come.
        """
        async for message in self._carry_out(Mux(recipe)):
            if isinstance(message, Part | PartMade):
                yield message
            elif isinstance(message, Muxed):
                return
            else:
                break
        raise self._misbehaviour()

    async def _confine(self) -> None:
        await self._send(
            Confine(
                size_bytes=self._source.size_bytes,
                seekable=self._source.supports_ranges,
                memory_bytes_max=self._limits.memory_bytes_max,
                cpu_s_max=self._limits.cpu_s_max,
            )
        )

    async def _carry_out(self, order: Order) -> AsyncIterator[ToWorker]:
        """Give an order and read to the child until the caller has its answer."""
        await self._send(order)
        while True:
            message = await self._receive()
            match message:
                case Read(offset, length):
                    if offset < 0 or not 0 < length <= READ_BYTES_MAX:
                        raise self._misbehaviour()
                    await self._send(Data(await self._source.read(offset, length)))
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
