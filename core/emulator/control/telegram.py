"""Control of the emulated Telegram: accounts, bots, channels, connections."""

from __future__ import annotations

from http import HTTPStatus
from typing import Protocol

import msgspec
from aiohttp import web

from telecine.core.emulator.control import messages, views
from telecine.core.emulator.control.http import json_response, read_body, read_number
from telecine.core.emulator.telegram.entities import Bot, Channel, channel_id_of
from telecine.core.emulator.telegram.world import World
from telecine.core.errors import NotFoundError


class Connections(Protocol):
    """What the control API asks of the MTProto server."""

    def drop_connections(self, account: str | None = None) -> int:
        """Drop the connections of an account, or all; how many there were."""
        ...

    def change_salt(self) -> None:
        """Make the salt of every session stale."""
        ...


class TelegramControl:
    """Changes a world from outside."""

    def __init__(self, world: World, connections: Connections) -> None:
        self._world = world
        self._connections = connections

    def routes(self) -> list[web.RouteDef]:
        """What the HTTP application has to route here."""
        return [
            web.post("/accounts", self._add_account),
            web.patch("/accounts/{name}", self._change_account),
            web.get("/accounts/{phone}/code", self._get_code),
            web.post("/bots", self._add_bot),
            web.post("/bots/{username}/block", self._block_bot),
            web.get("/channels", self._get_channels),
            web.delete("/channels/{chat_id}", self._delete_channel),
            web.get("/channels/{chat_id}/messages", self._get_messages),
            web.post("/channels/{chat_id}/ban", self._ban_account),
            web.get("/documents/{id}", self._get_document),
            web.post("/connections/drop", self._drop_connections),
            web.post("/salt", self._change_salt),
            web.post("/parts/expire", self._expire_parts),
        ]

    async def _add_account(self, request: web.Request) -> web.Response:
        new = await read_body(request, messages.NewAccount)
        user = self._world.add_user(
            new.phone,
            new.name,
            premium=new.premium,
            password=new.password,
            first_name=new.first_name,
            username=new.username,
        )
        return json_response(views.account(user), HTTPStatus.CREATED)

    async def _change_account(self, request: web.Request) -> web.Response:
        change = await read_body(request, messages.AccountChange)
        user = self._world.directory.user_named(request.match_info["name"])
        if change.premium is not msgspec.UNSET:
            user.premium = change.premium
        if change.password is not msgspec.UNSET:
            user.password = change.password
        self._world.changed()
        return json_response(views.account(user))

    async def _get_code(self, request: web.Request) -> web.Response:
        phone = request.match_info["phone"]
        code = self._world.login_code(phone)
        if code is None:
            raise NotFoundError(f"no code was sent to {phone}, or it is used up", field="phone")
        return json_response(messages.LoginCode(code=code))

    async def _add_bot(self, request: web.Request) -> web.Response:
        new = await read_body(request, messages.NewBot)
        bot = self._world.add_bot(new.token, new.username, first_name=new.first_name)
        return json_response(views.bot_state(bot), HTTPStatus.CREATED)

    async def _block_bot(self, request: web.Request) -> web.Response:
        block = await read_body(request, messages.Block)
        bot = self._world.directory.by_username(request.match_info["username"])
        if not isinstance(bot, Bot):
            raise NotFoundError(f"no bot @{request.match_info['username']}", field="username")
        user = self._world.directory.user_named(block.account)
        (bot.blocked_by.add if block.blocked else bot.blocked_by.discard)(user.id)
        self._world.changed()
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _get_channels(self, request: web.Request) -> web.Response:
        return json_response(views.channels(self._world))

    async def _delete_channel(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        self._world.channels.delete(channel, channel.creator_id)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _ban_account(self, request: web.Request) -> web.Response:
        ban = await read_body(request, messages.Ban)
        channel, user = self._channel(request), self._world.directory.user_named(ban.account)
        (self._world.channels.ban if ban.banned else self._world.channels.readmit)(channel, user.id)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _get_messages(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        with_digest = request.query.get("digest") in {"1", "true"}
        posts = reversed(self._world.messages.in_channel(channel))
        return json_response([views.post(self._world, post, with_digest=with_digest) for post in posts])

    def _channel(self, request: web.Request) -> Channel:
        channel_id = channel_id_of(read_number(request, "chat_id"))
        channel = None if channel_id is None else self._world.channels.find(channel_id)
        if channel is None:
            raise NotFoundError(f"no channel {request.match_info['chat_id']}", field="chat_id")
        return channel

    async def _get_document(self, request: web.Request) -> web.Response:
        document = self._world.documents.find(read_number(request, "id"))
        if document is None:
            raise NotFoundError(f"no document {request.match_info['id']}", field="id")
        return web.Response(body=self._world.documents.read(document), content_type="application/octet-stream")

    async def _drop_connections(self, request: web.Request) -> web.Response:
        drop = await read_body(request, messages.DropConnections)
        return json_response(messages.Amount(count=self._connections.drop_connections(drop.account)))

    async def _change_salt(self, request: web.Request) -> web.Response:
        self._connections.change_salt()
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _expire_parts(self, request: web.Request) -> web.Response:
        return json_response(messages.Amount(count=self._world.expire_parts()))
