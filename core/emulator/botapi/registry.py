"""Which methods there are: each a function of a call and its typed parameters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import msgspec

from telecine.core.emulator.botapi.errors import CHAT_NOT_FOUND, BotApiError, bad_request
from telecine.core.emulator.botapi.faces import Faces
from telecine.core.emulator.botapi.parameters import Arguments, ParametersT, Upload
from telecine.core.emulator.botapi.polling import Polls
from telecine.core.emulator.botapi.rates import SendRates
from telecine.core.emulator.botapi.webhooks import Webhooks
from telecine.core.emulator.telegram.entities import Bot, Channel, User, channel_id_of
from telecine.core.emulator.telegram.world import World

ChatId = int | str


class NoParameters(msgspec.Struct, frozen=True):
    """The method takes none."""


class Call(msgspec.Struct, frozen=True):
    """One call of a method by a bot, with what it may touch."""

    bot: Bot
    world: World
    rates: SendRates
    polls: Polls
    webhooks: Webhooks
    uploads: Mapping[str, Upload]

    @property
    def faces(self) -> Faces:
        """The world as this bot is shown it."""
        return Faces(self.world, self.bot)

    def chat(self, chat_id: ChatId) -> User | Channel:
        """The chat of this id or @username, for a bot that may know it. Raises BotApiError."""
        channel = self._channel(chat_id)
        if channel is not None:
            if self.bot.id not in channel.members and channel.username is None:
                raise BotApiError(403, "bot is not a member of the channel chat")
            return channel
        if isinstance(chat_id, str) and not chat_id.isdecimal():
            raise bad_request(CHAT_NOT_FOUND)
        peer = self.world.directory.peer(int(chat_id))
        if isinstance(peer, Bot):
            raise BotApiError(403, "bots can't send messages to bots")
        if peer is None:
            raise bad_request(CHAT_NOT_FOUND)
        return peer

    def _channel(self, chat_id: ChatId) -> Channel | None:
        if isinstance(chat_id, str) and chat_id.startswith("@"):
            return self.world.channels.by_username(chat_id)
        try:
            channel_id = channel_id_of(int(chat_id))
        except ValueError:
            return None
        return None if channel_id is None else self.world.channels.find(channel_id)

    def known_chat(self, chat_id: ChatId) -> User | Channel:
        """As `chat`, but a person who never wrote to the bot is not found."""
        chat = self.chat(chat_id)
        if isinstance(chat, User) and chat.id not in self.bot.started_by:
            raise bad_request(CHAT_NOT_FOUND)
        return chat


Run = Callable[[Call, Arguments], Awaitable[object]]
MethodT = TypeVar("MethodT", bound=Callable[..., Awaitable[object]])


class Methods:
    """The methods of one subject. Their names do not mind case, as on the real server."""

    def __init__(self) -> None:
        self._run: dict[str, Run] = {}
        self.names: dict[str, str] = {}
        """The spelling of each method by its lower-case name."""

    def method(
        self, name: str, kind: type[ParametersT]
    ) -> Callable[[Callable[[Call, ParametersT], Awaitable[object]]], Callable[[Call, ParametersT], Awaitable[object]]]:
        """Register a function that takes the call and its parameters as `kind` and returns the result."""

        def register(
            function: Callable[[Call, ParametersT], Awaitable[object]],
        ) -> Callable[[Call, ParametersT], Awaitable[object]]:
            async def run(call: Call, arguments: Arguments) -> object:
                return await function(call, arguments.typed(kind))

            self._run[name.lower()] = run
            self.names[name.lower()] = name
            return function

        return register

    def include(self, other: Methods) -> None:
        """Take over the methods of another subject."""
        self._run |= other._run
        self.names |= other.names

    def get(self, name: str) -> Run | None:
        """How to run a method; None if there is no such one."""
        return self._run.get(name.lower())
