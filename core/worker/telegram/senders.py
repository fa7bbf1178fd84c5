"""The connections that carry parts: several to the account's data centre, under its one auth key.

How many is found out as it goes: one more is opened whenever a number of parts has got through and all that are open
have something to do. One that is lost is not opened again before twice that number has, for Telegram closes what is
too many. They are kept warm between files: pinged while nothing goes over them, and closed when that lasts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from typing import Any, Protocol

from telethon.tl import functions
from telethon.tl.alltlobjects import LAYER

from telecine.core.clock import Clock
from telecine.core.errors import FloodWaitError, TelecineError, TelegramError, UnavailableError
from telecine.core.worker.telegram.calls import answer, method_name
from telecine.core.worker.telegram.lean import PartSender

REQUEST_TIMEOUT_S = 300.0  # an upload part that is not answered for so long sits on a dead connection
LINES_AT_START = 2
PARTS_PER_STEP = 4  # parts that must get through before one more line is opened, at first
PARTS_PER_STEP_MAX = 1024
PARTS_PER_LINE = 2  # what a line should have under way before another one is opened: the next part, while one is sent
PING_AFTER_S = 30.0  # idle time after which a line is asked whether it is there
PING_TIMEOUT_S = 15.0
WARM_S = 300.0  # idle time after which it is closed; Telegram would close it before long

NOT_GREETED = frozenset({"CONNECTION_NOT_INITED", "CONNECTION_LAYER_INVALID"})  # mended by connecting anew

logger = logging.getLogger(__name__)


class Route(Protocol):
    """Where the account's data centre is, and the key that the account is known by there."""

    @property
    def address(self) -> tuple[str, int, int]:
        """Host, port and number of the data centre."""
        ...

    @property
    def auth_key(self) -> Any: ...

    @property
    def salt(self) -> int:
        """The server's salt as the account knows it; 0 where it does not, which costs a round trip."""
        ...

    def greeting(self, query: Any) -> Any:
        """`query` wrapped in `initConnection`."""
        ...


class Lines:
    """A pool of connections that widens while parts get through and narrows when connections fail."""

    def __init__(self, route: Route, *, count: int, clock: Clock) -> None:
        self._route = route
        self._clock = clock
        self._count_max = count
        self._lines = [_Line(route, clock) for _ in range(min(LINES_AT_START, count))]
        self._step = PARTS_PER_STEP
        self._streak = 0
        self._opening: set[asyncio.Task[None]] = set()
        self._keeping: asyncio.Task[None] | None = None

    @property
    def width(self) -> int:
        """How many connections are in use now."""
        return len(self._lines)

    async def call(self, request: Any) -> Any:
        """Send on the connection with the least to do. One try. Raises as `calls.answer` does."""
        self._keep_warm()
        line = min(self._lines, key=lambda line: line.busy)
        try:
            result = await line.call(request)
        except UnavailableError:
            self._narrow(line)
            raise
        self._widen()
        return result

    async def close(self) -> None:
        """Close every connection; what is in flight fails with UnavailableError."""
        tasks = [*self._opening, *([self._keeping] if self._keeping else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._keeping = None
        await asyncio.gather(*(line.close() for line in self._lines))

    # ---- how many ----------------------------------------------------------------------------------

    def _widen(self) -> None:
        self._streak += 1
        busy = all(line.busy >= PARTS_PER_LINE for line in self._lines)
        if self._streak >= self._step and busy and not self._opening and len(self._lines) < self._count_max:
            self._streak = 0
            task = asyncio.create_task(self._open_another())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open_another(self) -> None:
        """Parts go on over the others meanwhile."""
        line = _Line(self._route, self._clock)
        try:
            await line.open()
        except TelecineError as error:
            logger.info("no further connection for parts: %s", error)
            self._back_off()
        else:
            self._lines.append(line)

    def _narrow(self, line: _Line) -> None:
        """A line is lost; the parts that were on it go over the others. Counted once for all of them."""
        if line in self._lines and not line.is_open:
            if len(self._lines) > 1:
                self._lines.remove(line)
            self._back_off()

    def _back_off(self) -> None:
        self._step = min(self._step * 2, PARTS_PER_STEP_MAX)
        self._streak = 0

    # ---- between files -----------------------------------------------------------------------------

    def _keep_warm(self) -> None:
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._kept_warm())

    async def _kept_warm(self) -> None:
        while any(line.is_open for line in self._lines):
            await self._clock.sleep(PING_AFTER_S)
            await asyncio.gather(*(line.look_after() for line in self._lines))


class _Line:
    """One connection, opened when first needed and again after it was lost."""

    def __init__(self, route: Route, clock: Clock) -> None:
        self._route = route
        self._clock = clock
        self._sender: PartSender | None = None
        self._lock = asyncio.Lock()
        self._used_at_s = clock.monotonic_s()
        self._salt = 0
        self.busy = 0

    @property
    def is_open(self) -> bool:
        return self._sender is not None and bool(self._sender.is_connected())

    async def call(self, request: Any) -> Any:
        self.busy += 1
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                return await answer(await self._opened_for(request), request)
        except TimeoutError:
            await self.close()
            raise UnavailableError("Telegram left an upload part unanswered") from None
        except TelegramError as error:
            if error.name not in NOT_GREETED:
                raise
            await self.close()
            raise UnavailableError("Telegram has forgotten a connection") from error
        finally:
            self.busy -= 1
            self._used_at_s = self._clock.monotonic_s()

    async def open(self) -> PartSender:
        """The connection. Raises UnavailableError, FloodWaitError and TelegramError."""
        async with self._lock:
            if self._sender is None or not self._sender.is_connected():
                self._sender = await _connected(self._route, self._salt)
                self._salt = self._sender.salt
            return self._sender

    async def look_after(self) -> None:
        """Close a connection that has long been idle, or does not answer; for one that is in use, nothing."""
        idle_s = self._clock.monotonic_s() - self._used_at_s
        if self.busy or not self.is_open or self._sender is None or idle_s < PING_AFTER_S:
            return
        if idle_s < WARM_S:
            with contextlib.suppress(TelecineError, TimeoutError):
                async with asyncio.timeout(PING_TIMEOUT_S):
                    await answer(self._sender, functions.PingRequest(random.getrandbits(63)))
                return
        await self.close()

    async def close(self) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            await sender.disconnect()

    async def _opened_for(self, request: Any) -> PartSender:
        try:
            return await self.open()
        except FloodWaitError as wait:  # what keeps the connection from opening keeps the request waiting
            raise FloodWaitError(wait.seconds, method_name(request)) from wait


async def _connected(route: Route, salt: int) -> PartSender:
    host, port, _ = route.address
    try:
        sender = await PartSender.open(route.address, route.auth_key, salt=salt or route.salt)
    except OSError as error:
        raise UnavailableError(f"no further connection to Telegram at {host}:{port}: {error}") from error
    try:
        await answer(sender, functions.InvokeWithLayerRequest(LAYER, route.greeting(functions.help.GetConfigRequest())))
    except BaseException:
        await sender.disconnect()
        raise
    return sender
