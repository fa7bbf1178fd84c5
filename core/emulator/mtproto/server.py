"""The MTProto server: sockets, sessions and the requests under way."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from telethon.tl import functions, types

from telecine.core.emulator.faults import Faults
from telecine.core.emulator.mtproto.connection import Connection
from telecine.core.emulator.mtproto.methods.table import all_methods
from telecine.core.emulator.mtproto.render import Renderer
from telecine.core.emulator.mtproto.rpc import Call, DroppedError, Executor, parse_query
from telecine.core.emulator.mtproto.session import Session, Sessions
from telecine.core.emulator.mtproto.stream import Stream
from telecine.core.emulator.mtproto.wire import UnknownConstructorError
from telecine.core.emulator.telegram.feeds import Notice
from telecine.core.emulator.telegram.keys import ServerKey
from telecine.core.emulator.telegram.world import World

logger = logging.getLogger(__name__)

_WRAPPERS = (
    functions.InvokeWithLayerRequest,
    functions.InitConnectionRequest,
    functions.InvokeWithoutUpdatesRequest,
    functions.InvokeWithTakeoutRequest,
    functions.InvokeWithMessagesRangeRequest,
)


class MtprotoServer:
    """Serves one world to user clients, between `start` and `stop`."""

    def __init__(self, world: World, faults: Faults, key: ServerKey) -> None:
        self._world = world
        self._faults = faults
        self._key = key
        self._sessions = Sessions(world.clock)
        self._executor = Executor(world, faults, all_methods())
        self._connections: dict[Connection, None] = {}  # in the order in which they came
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: dict[tuple[int, int], asyncio.Task[None]] = {}
        self._server: asyncio.Server | None = None
        self.host = ""
        self.port = 0

    @property
    def public_key_pem(self) -> str:
        """What clients must register to trust this server."""
        return self._key.public_pem

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; with port 0 the system chooses, and `port` tells."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Stream(self._serve), host, port)
        self.host, self.port = self._server.sockets[0].getsockname()[:2]

    async def stop(self) -> None:
        """Stop listening, cut all connections, abandon what is under way."""
        if self._server is not None:
            self._server.close()
        self.drop_connections()
        for task in (*self._tasks, *self._running.values()):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._running.values(), return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    def drop_connections(self, account: str | None = None) -> int:
        """Cut all connections, or those of one account; how many that were. Requests under way go on."""
        dropped = [c for c in self._connections if account is None or self._account_of(c) == account]
        for connection in dropped:
            connection.drop()
        return len(dropped)

    def change_salt(self) -> None:
        """Make every client's salt stale: its next request is refused once with the new one."""
        self._world.change_salt()

    # -- connections

    async def _serve(self, stream: Stream) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        connection = Connection(self._world, self._key, self._sessions, self, stream)
        self._connections[connection] = None
        self._world.stats.events["connections"] += 1
        try:
            await connection.serve()
        except asyncio.CancelledError:
            logger.debug("connection closed by stop")
        finally:
            self._connections.pop(connection, None)
            if task is not None:
                self._tasks.discard(task)

    def _account_of(self, connection: Connection) -> str | None:
        user_id = None if connection.key is None else connection.key.user_id
        return None if user_id is None else self._world.directory.user(user_id).name

    # -- requests

    def accept(self, session: Session, message_id: int, body: memoryview) -> None:
        """Carry out a request beside the others; its answer goes to the session, not to a connection."""
        if self._is_one_too_many(session.wire):
            self._world.stats.events["connections_refused"] += 1
            return
        task = asyncio.get_running_loop().create_task(self._carry_out(session, message_id, body))
        self._running[id(session), message_id] = task
        task.add_done_callback(lambda _: self._running.pop((id(session), message_id), None))

    def _is_one_too_many(self, wire: object) -> bool:
        """Cut a connection that its account is not allowed beside its others."""
        account = self._account_of(wire) if isinstance(wire, Connection) else None
        allowed = self._faults.connections_max(account)
        if allowed is None or not isinstance(wire, Connection):
            return False
        earlier = [c for c in self._connections if self._account_of(c) == account]
        if wire in earlier[:allowed]:
            return False
        wire.drop()
        return True

    async def _carry_out(self, session: Session, message_id: int, body: memoryview) -> None:
        wire = session.wire
        call = Call(self._world, self._faults, self, session)
        try:
            query, quiet = await self._unwrapped(session, parse_query(body))
            result = await self._executor.execute(call, query)
        except UnknownConstructorError as error:
            session.answer(message_id, bytes(types.RpcError(400, f"INPUT_METHOD_INVALID_{error}")))
            return
        except DroppedError as dropped:
            session.lose(message_id, dropped.result)
            if isinstance(wire, Connection):
                wire.drop()
            return
        self._subscribe(session, quiet=quiet)
        session.answer(message_id, result)

    async def _unwrapped(self, session: Session, query: Any) -> tuple[Any, bool]:
        """The request inside its wrappers, and whether its sender wants no pushes on this session."""
        quiet = isinstance(query, (memoryview, functions.upload.SaveFilePartRequest, functions.upload.GetFileRequest))
        while isinstance(query, (*_WRAPPERS, functions.InvokeAfterMsgRequest, functions.InvokeAfterMsgsRequest)):
            if isinstance(query, functions.InvokeWithoutUpdatesRequest):
                quiet = True
            elif isinstance(query, functions.InvokeAfterMsgRequest):
                await self._finished(session, [query.msg_id])
            elif isinstance(query, functions.InvokeAfterMsgsRequest):
                await self._finished(session, query.msg_ids)
            query = query.query
        if isinstance(query, functions.upload.SaveBigFilePartRequest):
            query = memoryview(bytes(query))  # the executor takes it as it comes without a wrapper
        return query, quiet

    async def _finished(self, session: Session, message_ids: list[int]) -> None:
        tasks = [self._running.get((id(session), message_id)) for message_id in message_ids]
        waited = [task for task in tasks if task is not None]
        if waited:
            await asyncio.wait(waited)

    # -- pushes

    def _subscribe(self, session: Session, *, quiet: bool) -> None:
        """Push changes to a session from its first call on behalf of a user, until it signs out."""
        user_id = session.key.user_id
        if user_id is None:
            self._sessions.quiet(session.key)
        if quiet or user_id is None or session.wire is None or session.subscribed_user_id == user_id:
            return
        session.quiet()
        renderer = Renderer.of(self._world, user_id)

        def push(notice: Notice) -> None:
            session.send(bytes(renderer.push(notice)), response=False, keep=False)

        session.listener = push
        session.unsubscribe = self._world.feeds.subscribe(user_id, push)
        session.subscribed_user_id = user_id
