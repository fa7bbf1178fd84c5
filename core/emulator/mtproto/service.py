"""Messages about messages: what MTProto itself asks, below any method (core.telegram.org/mtproto/service_messages)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from telethon.tl import functions, types

from telecine.core.emulator.mtproto.session import Session, Sessions
from telecine.core.emulator.telegram.world import World

_RECEIVED = b"\x04"
SALT_LIFE_S = 3600


class ServiceContext(msgspec.Struct, frozen=True):
    """Whose message it is and what answering takes."""

    world: World
    sessions: Sessions
    session: Session
    message_id: int

    def answer(self, answer: Any, *, content: bool = False) -> None:
        self.session.send(bytes(answer), response=True, content=content, keep=False)


def _ping(context: ServiceContext, query: Any) -> None:
    context.answer(types.Pong(context.message_id, query.ping_id))


def _future_salts(context: ServiceContext, query: Any) -> None:
    now_s = context.world.clock.now_ms() // 1000
    salts = [types.FutureSalt(now_s, now_s + SALT_LIFE_S, context.world.salt)]
    context.answer(types.FutureSalts(context.message_id, now_s, salts[: query.num]), content=True)


def _destroy_session(context: ServiceContext, query: Any) -> None:
    """A client may destroy its other sessions, never the one it speaks through."""
    session = context.session
    known = query.session_id != session.id and context.sessions.destroy(session.key, query.session_id)
    answer = types.DestroySessionOk if known else types.DestroySessionNone
    context.answer(answer(query.session_id), content=True)


def _state_of_messages(context: ServiceContext, query: Any) -> None:
    context.answer(types.MsgsStateInfo(context.message_id, _RECEIVED * len(query.msg_ids)))


def _ignore(_context: ServiceContext, _query: Any) -> None:
    """A notice that asks for nothing."""


SERVICE: dict[int, Callable[[ServiceContext, Any], None]] = {
    functions.PingRequest.CONSTRUCTOR_ID: _ping,
    functions.PingDelayDisconnectRequest.CONSTRUCTOR_ID: _ping,
    functions.GetFutureSaltsRequest.CONSTRUCTOR_ID: _future_salts,
    functions.DestroySessionRequest.CONSTRUCTOR_ID: _destroy_session,
    types.MsgsStateReq.CONSTRUCTOR_ID: _state_of_messages,
    types.MsgsStateInfo.CONSTRUCTOR_ID: _ignore,
    types.MsgsAllInfo.CONSTRUCTOR_ID: _ignore,
    types.MsgResendReq.CONSTRUCTOR_ID: _ignore,
}
