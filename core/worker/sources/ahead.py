"""Reads what comes later while the consumer is busy with what comes now."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

from telecine.core.reasons import Reason
from telecine.core.worker.sources.company import Company
from telecine.core.worker.sources.errors import SourceError
from telecine.core.worker.sources.surroundings import Surroundings

logger = logging.getLogger(__name__)

PIECE_BYTES = 4 * 1024 * 1024
COMPANY_REFUSALS = frozenset({Reason.RATE_LIMITED, Reason.FORBIDDEN, Reason.NETWORK, Reason.STALLED})


class Piece(Protocol):
    """A part of a source that is read over a connection of its own."""

    async def take(self) -> bytes:
        """The next bytes, empty at the end. Raises SourceError; may be called again all the same."""
        ...

    def close(self) -> None:
        """Give up the connection."""
        ...


class Lane:
    """One piece on its way: what has come of it and was not yet taken. At most PIECE_BYTES and one read more."""

    def __init__(self, piece: Piece, *, in_company: bool) -> None:
        self._piece = piece
        self._chunks: deque[bytes] = deque()
        self._held_bytes = 0
        self._changed = asyncio.Event()
        self.retries = 0
        self.in_company = in_company
        self._filling: asyncio.Task[None] | None = None
        self.go_on()

    @property
    def is_active(self) -> bool:
        """Whether it occupies a connection."""
        return self._filling is not None and not self._filling.done()

    @property
    def is_refused(self) -> bool:
        """Whether it has come to a stop that may be for the company it is in."""
        filling = self._filling
        error = filling.exception() if filling and filling.done() and not filling.cancelled() else None
        return self.in_company and _may_be_for_company(error)

    def go_on(self) -> None:
        """Read on where it stopped."""
        self._filling = asyncio.create_task(self._fill())

    async def stop(self) -> None:
        """Give up the connection, and keep what has come."""
        if self._filling is not None and not self._filling.done():
            self._filling.cancel()
            await asyncio.wait([self._filling])
            self._filling = None

    async def take(self) -> bytes:
        """The next bytes; empty where the piece ends. Raises what stopped it."""
        while not self._chunks:
            if self._filling is None:
                self.go_on()
            elif self._filling.done():
                self._filling.result()
                return b""
            self._changed.clear()
            await self._changed.wait()
        chunk = self._chunks.popleft()
        self._held_bytes -= len(chunk)
        self._changed.set()
        return chunk

    def close(self) -> None:
        """Give everything up."""
        if self._filling is not None:
            self._filling.cancel()
            self._filling.add_done_callback(_forget)
        self._piece.close()

    async def _fill(self) -> None:
        try:
            while data := await self._piece.take():
                self._chunks.append(data)
                self._held_bytes += len(data)
                self._changed.set()
                while self._held_bytes > PIECE_BYTES:
                    self._changed.clear()
                    await self._changed.wait()
        finally:
            self._piece.close()
            self._changed.set()


def _may_be_for_company(error: BaseException | None) -> bool:
    return isinstance(error, SourceError) and error.reason in COMPANY_REFUSALS


def _forget(task: asyncio.Task[None]) -> None:
    """See to the error of a piece that nobody wants any more."""
    if not task.cancelled():
        task.exception()


class Ahead:
    """A source's pieces in order, a few of them on their way at once.

    `next_piece(alone)` gives them one after the other, and None at the end; `alone`: no other will be read beside it.
    The first lane is the one that is taken from; the others need room.
    """

    def __init__(self, next_piece: Callable[[bool], Piece | None], company: Company, around: Surroundings) -> None:
        self._next_piece = next_piece
        self._company = company
        self._room = around.room
        self._limits = around.limits
        self._clock = around.clock
        self._lanes: deque[Lane] = deque()
        self._room_bytes = 0
        self._has_more = True

    async def take(self) -> bytes:
        """The next bytes, empty at the end. Raises SourceError."""
        while True:
            self._top_up()
            if not self._lanes:
                return b""
            began_s = self._clock.monotonic_s()
            data = await self._take_first()
            self._company.note(self._clock.monotonic_s() - began_s)
            if data:
                return data
            self._lanes.popleft().close()

    def close(self) -> None:
        """Give everything up."""
        for lane in self._lanes:
            lane.close()
        self._lanes.clear()
        self._has_more = False
        self._keep_room_for(0)

    def _top_up(self) -> None:
        """Have as many lanes on their way as pays, and one that waits for its turn."""
        self._keep_room_for(max(0, len(self._lanes) - 1))
        if self._company.count > 1 and any(lane.is_refused for lane in self._lanes):
            self._company.refuse()
        while self._has_more and len(self._lanes) <= self._company.count:
            active = sum(lane.is_active for lane in self._lanes)
            if self._lanes and (active >= self._company.count or not self._found_room()):
                return
            piece = self._next_piece(self._company.is_settled and self._company.count == 1)
            if piece is None:
                self._has_more = False
            else:
                self._lanes.append(Lane(piece, in_company=active > 0))

    def _found_room(self) -> bool:
        if not self._room.take(PIECE_BYTES):
            return False
        self._room_bytes += PIECE_BYTES
        return True

    def _keep_room_for(self, lanes: int) -> None:
        surplus = self._room_bytes - lanes * PIECE_BYTES
        if surplus > 0:
            self._room.give_back(surplus)
            self._room_bytes -= surplus

    async def _take_first(self) -> bytes:
        lane = self._lanes[0]
        while True:
            beside = any(other.is_active for other in self._lanes if other is not lane)
            try:
                async with asyncio.timeout(self._limits.stall_window_s if beside else None):
                    return await lane.take()
            except TimeoutError:  # it may wait for a connection that another holds, whose turn comes only after it
                logger.debug("one of several connections to a host does not come to its turn")
                await lane.stop()
            except SourceError as error:
                lane.in_company |= any(other.is_active for other in self._lanes)
                if not lane.is_refused or lane.retries >= self._limits.resumes_max:
                    raise
                logger.debug("one of several connections to a host fails: %s", error)
            await self._go_on_alone(lane)

    async def _go_on_alone(self, lane: Lane) -> None:
        """Try a piece that failed beside others again with nothing beside it."""
        self._company.refuse()
        for other in tuple(self._lanes):
            await other.stop()
        await self._clock.sleep(self._limits.wait_s(lane.retries))
        lane.retries += 1
        lane.go_on()
