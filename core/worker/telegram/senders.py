"""The connections that carry a file's parts: several to the account's data centre, under its one auth key.

Telethon gzips every request above 512 bytes. Video does not shrink, and gzip costs six times what the encryption
does, so the connections here leave requests as they are.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from typing import Any, Protocol

from telethon.extensions.messagepacker import MessagePacker
from telethon.network import ConnectionTcpIntermediate, MTProtoSender
from telethon.network.mtprotostate import MTProtoState
from telethon.tl import functions
from telethon.tl.alltlobjects import LAYER

from telecine.core.errors import FloodWaitError, TelegramError, UnavailableError
from telecine.core.worker.telegram.calls import answer, method_name

REQUEST_TIMEOUT_S = 300.0  # an upload part that is not answered for so long sits on a dead connection
CONNECT_TIMEOUT_S = 15.0
CONNECT_RETRIES = 3
LINES_AT_START = 2  # more are opened as parts get through, for Telegram closes connections that come all at once
PARTS_PER_STEP = 8  # parts that must get through before one more line is opened

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

    def greeting(self, query: Any) -> Any:
        """`query` wrapped in `initConnection`."""
        ...


class Lines:
    """A pool of connections that widens while parts get through and narrows when connections fail."""

    def __init__(self, route: Route, *, count: int) -> None:
        self._lines = [_Line(route) for _ in range(count)]
        self._width = min(LINES_AT_START, count)
        self._streak = 0

    @property
    def width(self) -> int:
        """How many connections are in use now."""
        return self._width

    async def call(self, request: Any) -> Any:
        """Send on the connection with the least to do. One try. Raises as `calls.answer` does."""
        line = min(self._lines[: self._width], key=lambda line: line.busy)
        try:
            result = await line.call(request)
        except UnavailableError:
            self._narrow()
            raise
        self._widen()
        return result

    async def close(self) -> None:
        """Close every connection; what is in flight fails with UnavailableError."""
        await asyncio.gather(*(line.close() for line in self._lines))

    def _widen(self) -> None:
        self._streak += 1
        if self._streak >= PARTS_PER_STEP and self._width < len(self._lines):
            self._width, self._streak = self._width + 1, 0

    def _narrow(self) -> None:
        self._width, self._streak = max(1, self._width // 2), 0


class _Line:
    """One connection, opened when first needed and again after it was lost for good."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._sender: Any = None
        self._opening = asyncio.Lock()
        self.busy = 0

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

    async def close(self) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            await sender.disconnect()

    async def _opened_for(self, request: Any) -> Any:
        try:
            return await self._opened()
        except FloodWaitError as wait:  # what keeps the connection from opening keeps the request waiting
            raise FloodWaitError(wait.seconds, method_name(request)) from wait

    async def _opened(self) -> Any:
        async with self._opening:
            if self._sender is None or not self._sender.is_connected():
                self._sender = await _connected(self._route)
            return self._sender


async def _connected(route: Route) -> Any:
    loggers = _Loggers()
    sender = _PlainSender(
        route.auth_key,
        loggers=loggers,
        retries=CONNECT_RETRIES,
        connect_timeout=CONNECT_TIMEOUT_S,
        updates_queue=_Void(),
    )
    host, port, number = route.address
    try:
        await sender.connect(ConnectionTcpIntermediate(host, port, number, loggers=loggers))
        await answer(sender, functions.InvokeWithLayerRequest(LAYER, route.greeting(functions.help.GetConfigRequest())))
    except OSError as error:
        await sender.disconnect()
        raise UnavailableError(f"no further connection to Telegram at {host}:{port}: {error}") from error
    except BaseException:
        await sender.disconnect()
        raise
    return sender


class _PlainState(MTProtoState):  # type: ignore[misc]  # Telethon is untyped
    """Writes requests as they are, without trying gzip on each."""

    def write_data_as_message(
        self, buffer: Any, data: bytes, content_related: bool, *, after_id: int | None = None
    ) -> int:
        if after_id is not None:
            raise ValueError("upload parts are independent of each other")
        message_id: int = self._get_new_msg_id()
        buffer.write(struct.pack("<qii", message_id, self._get_seq_no(content_related), len(data)))
        buffer.write(data)
        return message_id


class _PlainSender(MTProtoSender):  # type: ignore[misc]  # Telethon is untyped
    """Telethon's connection with `_PlainState` in the place of its own state."""

    def __init__(self, auth_key: Any, *, loggers: _Loggers, **options: Any) -> None:
        super().__init__(auth_key, loggers=loggers, **options)
        self._state = _PlainState(self.auth_key, loggers)
        self._send_queue = MessagePacker(self._state, loggers)


class _Void:
    """Where updates go that Telegram pushes on a connection that is there for parts."""

    def put_nowait(self, update: object) -> None:
        """Drop it."""


class _Loggers(dict[str, logging.Logger]):
    """Telethon asks for its loggers by the name of the module."""

    def __missing__(self, name: str) -> logging.Logger:
        return logging.getLogger(name)
