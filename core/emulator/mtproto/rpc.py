"""Carrying out one call: which method, for whom, and what goes wrong on purpose."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Collection
from typing import Any, Protocol

from telethon.tl import functions, types

from telecine.core.emulator.faults import Faults
from telecine.core.emulator.mtproto.peers import Viewer
from telecine.core.emulator.mtproto.session import Session
from telecine.core.emulator.mtproto.wire import (
    SAVE_BIG_FILE_PART,
    TLValue,
    UnknownConstructorError,
    constructor_of,
    method_name,
    read_big_part,
    read_object,
    write_value,
)
from telecine.core.emulator.telegram.entities import AuthKey, User
from telecine.core.emulator.telegram.refusals import RefusalError, bad_request
from telecine.core.emulator.telegram.world import World
from telecine.core.errors import TelecineError

logger = logging.getLogger(__name__)

Method = Callable[["Call", Any], Any]
SAVE_BIG_FILE_PART_NAME = method_name(functions.upload.SaveBigFilePartRequest)


class Gate(Protocol):
    """What methods may ask of the server around them."""

    @property
    def port(self) -> int: ...

    @property
    def host(self) -> str: ...


class Call:
    """One request of one session."""

    def __init__(self, world: World, faults: Faults, gate: Gate, session: Session) -> None:
        self.world = world
        self.faults = faults
        self.gate = gate
        self.session = session

    @property
    def key(self) -> AuthKey:
        return self.session.key

    @property
    def signed_in(self) -> User | None:
        """Whoever is signed in with this key."""
        user_id = self.key.user_id
        return None if user_id is None else self.world.directory.user(user_id)

    @property
    def user(self) -> User:
        """Whoever is signed in; AUTH_KEY_UNREGISTERED if nobody is."""
        user = self.signed_in
        if user is None:
            raise RefusalError(401, "AUTH_KEY_UNREGISTERED")
        return user

    @property
    def account(self) -> str | None:
        """The label of the user, under which faults are planned."""
        user = self.signed_in
        return None if user is None else user.name

    @property
    def viewer(self) -> Viewer:
        """The world through the eyes of the user."""
        return Viewer(self.world, self.user)


class MethodTable:
    """Methods by the constructor of their request."""

    def __init__(self) -> None:
        self._methods: dict[int, Method] = {}

    def answers(self, request_type: Any) -> Callable[[Method], Method]:
        """Register a function, plain or async, as the answer to a request type."""

        def register(method: Method) -> Method:
            self._methods[request_type.CONSTRUCTOR_ID] = method
            return method

        return register

    def include(self, other: MethodTable) -> None:
        self._methods.update(other._methods)

    def constructors(self) -> Collection[int]:
        """The constructors of the requests that are answered."""
        return self._methods.keys()

    def find(self, query: Any) -> Method:
        """INPUT_METHOD_INVALID, and a line in the log for who wonders why, if it is not part of this Telegram."""
        method = self._methods.get(query.CONSTRUCTOR_ID)
        if method is None:
            logger.info("%s is not emulated", method_name(query))
            raise bad_request("INPUT_METHOD_INVALID")
        return method


class DroppedError(Exception):
    """The fault plan wants the connection cut. `result` is what gets lost; None: the call was not carried out."""

    def __init__(self, result: bytes | None) -> None:
        super().__init__()
        self.result = result


class _FalseResultError(Exception):
    """The fault plan wants the call to answer false."""


class Executor:
    """Carries out calls of all sessions against one world."""

    def __init__(self, world: World, faults: Faults, methods: MethodTable) -> None:
        self._world = world
        self._faults = faults
        self._methods = methods
        self._line_free_at_s: dict[str | None, float] = {}

    async def execute(self, call: Call, query: Any) -> bytes:
        """The serialized result or error of one call. DroppedError when the plan says so.

        `query` is a parsed request, or the raw bytes of `upload.saveBigFilePart`.
        """
        raw = isinstance(query, memoryview)
        name = SAVE_BIG_FILE_PART_NAME if raw else method_name(query)
        account = call.account
        stats = self._world.stats
        stats.requests[name] += 1
        stats.in_flight += 1
        stats.in_flight_max = max(stats.in_flight_max, stats.in_flight)
        self._world.noticed()
        try:
            if self._faults.take_disconnect(name, account):
                raise DroppedError(None)
            result = await self._carry_out(call, query, name, account)
        finally:
            stats.in_flight -= 1
            self._world.noticed()
        if self._faults.take_lost_reply(name, account):
            raise DroppedError(result)
        return result

    async def _carry_out(self, call: Call, query: Any, name: str, account: str | None) -> bytes:
        latency_s = self._faults.latency_s(account)
        if latency_s:
            await self._world.clock.sleep(latency_s)
        try:
            self._refuse_on_purpose(name, account)
            if isinstance(query, memoryview):
                await self._pace(account, len(query))
                return write_value(save_big_part(call, query))
            if isinstance(query, functions.upload.SaveFilePartRequest):
                await self._pace(account, len(query.bytes))
            result = self._methods.find(query)(call, query)
            return write_value(await result if inspect.isawaitable(result) else result)
        except _FalseResultError:
            return write_value(value=False)
        except RefusalError as refusal:
            return bytes(types.RpcError(refusal.status, refusal.name))
        except TelecineError as error:
            logger.warning("%s: %s", name, error)
            return bytes(types.RpcError(400, error.code.upper()))
        except Exception:  # the edge: Telegram answers INTERNAL too, and goes on
            logger.exception("%s failed", name)
            return bytes(types.RpcError(500, "INTERNAL_SERVER_ERROR"))

    def _refuse_on_purpose(self, name: str, account: str | None) -> None:
        flood = self._faults.take_flood(name, account)
        if flood is not None:
            raise RefusalError(420, flood)
        error = self._faults.take_error(name, account)
        if error is not None:
            raise RefusalError(*error)
        if self._faults.take_false_result(name, account):
            raise _FalseResultError

    async def _pace(self, account: str | None, size_bytes: int) -> None:
        """Hold a part back until this account's line would have carried it; parts queue behind each other."""
        bandwidth = self._faults.bandwidth_bytes_per_s(account)
        if bandwidth is None:
            return
        now_s = self._world.clock.monotonic_s()
        free_at_s = max(now_s, self._line_free_at_s.get(account, 0.0)) + size_bytes / bandwidth
        self._line_free_at_s[account] = free_at_s
        await self._world.clock.sleep(free_at_s - now_s)


def save_big_part(call: Call, body: memoryview) -> TLValue:
    """`upload.saveBigFilePart` from its raw bytes."""
    try:
        part = read_big_part(body)
    except UnknownConstructorError:
        raise bad_request("INPUT_REQUEST_INVALID") from None
    outcome = call.world.uploads.save_big_part(call.user, part.file_id, part.index, part.total, part.content)
    stats = call.world.stats
    stats.part_bytes += len(part.content)
    stats.part_duplicates += outcome.duplicate
    return True


def parse_query(body: memoryview) -> Any:
    """A request ready for `Executor.execute`. UnknownConstructorError if it is not of this layer."""
    if constructor_of(body) == SAVE_BIG_FILE_PART:
        return body
    return read_object(bytes(body))
