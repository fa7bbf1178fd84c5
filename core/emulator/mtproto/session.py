"""One client session: message numbers, remembered answers, and the connection that leads to it just now.

A session outlives its connection. A request goes on when the connection dies, and its answer waits for the client
to come back under the same session id; a request that arrives twice is answered twice and carried out once.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from telethon.tl import types

from telecine.core.clock import Clock
from telecine.core.emulator.mtproto.wire import RPC_RESULT
from telecine.core.emulator.telegram.entities import AuthKey
from telecine.core.emulator.telegram.feeds import Listener

ANSWERS_REMEMBERED_MAX = 512
ANSWER_BYTES_REMEMBERED_MAX = 64 * 1024  # a larger one is file content: reading it again does no harm
UNSENT_MAX = 256


class Wire(Protocol):
    """Where sealed messages go."""

    def send_message(self, key: AuthKey, session_id: int, message: bytes) -> bool:
        """Send msg_id, seqno, length and body, sealed. False if the connection is gone."""
        ...


class Session:
    """What the server knows about one session of one key."""

    def __init__(self, session_id: int, key: AuthKey, clock: Clock) -> None:
        self.id = session_id
        self.key = key
        self.wire: Wire | None = None
        self.unsubscribe: Callable[[], None] | None = None
        self.subscribed_user_id: int | None = None
        self.listener: Listener | None = None
        self._clock = clock
        self._last_message_id = 0
        self._content_count = 0
        self._answers: OrderedDict[int, bytes | None] = OrderedDict()
        self._unsent: list[bytes] = []

    def admit(self, request_id: int) -> bool:
        """Whether a request is new. A repeated one gets its remembered answer, if it is there yet."""
        if request_id not in self._answers:
            self._answers[request_id] = None
            while len(self._answers) > ANSWERS_REMEMBERED_MAX:
                self._answers.popitem(last=False)
            return True
        answer = self._answers[request_id]
        if answer is not None:
            self.send(answer, response=True)
        return False

    def answer(self, request_id: int, result: bytes) -> None:
        """Send the result of a request and remember it."""
        self.send(self._remembered(request_id, result), response=True)

    def lose(self, request_id: int, result: bytes | None) -> None:
        """The answer got lost on the way: it is given when the request comes again. Without a result the request
        itself got lost, and coming again it is carried out."""
        if result is None:
            self._answers.pop(request_id, None)
        else:
            self._remembered(request_id, result)

    def send(self, body: bytes, *, response: bool, content: bool = True, keep: bool = True) -> None:
        """Send a message, or keep it until the client is back."""
        message = self._numbered(body, response=response, content=content)
        if self.wire is not None and self.wire.send_message(self.key, self.id, message):
            return
        if keep and len(self._unsent) < UNSENT_MAX:
            self._unsent.append(body)

    def attach(self, wire: Wire) -> None:
        """Lead the session over this connection from now on, and send what has waited."""
        self.wire = wire
        waiting, self._unsent = self._unsent, []
        for body in waiting:
            self.send(body, response=True)

    def detach(self, wire: Wire) -> None:
        """The connection is gone; pushes stop, answers wait."""
        if self.wire is wire:
            self.wire = None
            self.quiet()

    def quiet(self) -> None:
        """Stop pushes to this session."""
        if self.unsubscribe is not None:
            self.unsubscribe()
        self.unsubscribe = None
        self.listener = None
        self.subscribed_user_id = None

    def greet(self, first_request_id: int, salt: int) -> None:
        """Tell the client that the server did not know this session."""
        greeting = types.NewSessionCreated(first_request_id, self.id, salt)
        self.send(bytes(greeting), response=False, keep=False)

    def _remembered(self, request_id: int, result: bytes) -> bytes:
        body = struct.pack("<Iq", RPC_RESULT, request_id) + result
        if len(body) <= ANSWER_BYTES_REMEMBERED_MAX:
            self._answers[request_id] = body
        else:
            self._answers.pop(request_id, None)
        return body

    def _numbered(self, body: bytes, *, response: bool, content: bool) -> bytes:
        sequence = self._content_count * 2 + content
        self._content_count += content
        return struct.pack("<qii", self._next_message_id(response=response), sequence, len(body)) + body

    def _next_message_id(self, *, response: bool) -> int:
        """Seconds in the upper half, growing, and low bits that tell an answer (1) from a push (3)."""
        now_ms = self._clock.now_ms()
        timely = ((now_ms // 1000) << 32) | ((now_ms % 1000 << 32) // 1000 & ~3)
        self._last_message_id = max(timely, self._last_message_id + 4)
        return self._last_message_id | (1 if response else 3)


class Sessions:
    """All sessions of a server, the idle ones up to a limit."""

    def __init__(self, clock: Clock, idle_max: int = 1024) -> None:
        self._clock = clock
        self._idle_max = idle_max
        self._sessions: OrderedDict[tuple[int, int], Session] = OrderedDict()

    def find(self, key: AuthKey, session_id: int) -> tuple[Session, bool]:
        """A session and whether it is new."""
        session = self._sessions.get((key.id, session_id))
        if session is not None:
            self._sessions.move_to_end((key.id, session_id))
            return session, False
        session = Session(session_id, key, self._clock)
        self._sessions[key.id, session_id] = session
        self._trim()
        return session, True

    def destroy(self, key: AuthKey, session_id: int) -> bool:
        """Forget a session; False if there was none."""
        session = self._sessions.pop((key.id, session_id), None)
        if session is None:
            return False
        session.quiet()
        return True

    def quiet(self, key: AuthKey) -> None:
        """Stop pushes to all sessions of a key, because nobody is signed in with it any more."""
        for (key_id, _), session in self._sessions.items():
            if key_id == key.id:
                session.quiet()

    def _trim(self) -> None:
        excess = len(self._sessions) - self._idle_max
        if excess <= 0:
            return
        idle = [name for name, session in self._sessions.items() if session.wire is None]
        for name in idle[:excess]:
            del self._sessions[name]
