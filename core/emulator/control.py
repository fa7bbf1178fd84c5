"""The control API: everything that a test or a demo changes from outside, below `/_emulator/`, as JSON.

A wrong body is refused with 400 and `{"code", "message", "field"}`, where `field` names the culprit.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

import msgspec
from aiohttp import web

from telecine.core.emulator import control_messages as messages
from telecine.core.emulator.cm import Cm
from telecine.core.emulator.cm_content import CmContent, Table
from telecine.core.emulator.entities import Bot, Channel, channel_id_of
from telecine.core.emulator.entities import Message as Post
from telecine.core.emulator.faults import Faults, PlannedFault
from telecine.core.emulator.sources import SourceHost
from telecine.core.emulator.world import World
from telecine.core.errors import InputError, NotFoundError, TelecineError

BodyT = TypeVar("BodyT")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_PATH_IN_ERROR = re.compile(r"`\$\.?(?P<path>[^`]*)`$|field `(?P<field>[^`]+)`")
DIGEST_CHUNK_BYTES = 4 * 1024 * 1024


class Connections(Protocol):
    """What the control API asks of the MTProto server."""

    def drop_connections(self, account: str | None = None) -> int:
        """Drop the connections of an account, or all; how many there were."""
        ...

    def change_salt(self) -> None:
        """Make the salt of every session stale."""
        ...


class Control:
    """Turns calls from outside into changes of the emulator's parts."""

    def __init__(
        self,
        world: World,
        faults: Faults,
        connections: Connections,
        cm: Cm,
        sources: SourceHost,
        addresses: Callable[[], messages.Addresses],
    ) -> None:
        self._world = world
        self._faults = faults
        self._connections = connections
        self._cm = cm
        self._sources = sources
        self._addresses = addresses

    def application(self) -> web.Application:
        """The HTTP application, to be mounted at `/_emulator`."""
        app = web.Application(middlewares=[_answer_errors], client_max_size=64 * 1024 * 1024)
        app.add_routes([*self._telegram_routes(), *self._fault_routes(), *self._cm_routes()])
        return app

    def _telegram_routes(self) -> list[web.RouteDef]:
        return [
            web.get("/state", self._get_state),
            web.get("/stats", self._get_stats),
            web.post("/accounts", self._add_account),
            web.patch("/accounts/{name}", self._change_account),
            web.get("/accounts/{phone}/code", self._get_code),
            web.post("/bots", self._add_bot),
            web.post("/bots/{username}/block", self._block_bot),
            web.get("/channels", self._get_channels),
            web.get("/channels/{chat_id}/messages", self._get_messages),
            web.get("/documents/{id}", self._get_document),
            web.post("/connections/drop", self._drop_connections),
            web.post("/salt", self._change_salt),
            web.post("/parts/expire", self._expire_parts),
        ]

    def _fault_routes(self) -> list[web.RouteDef]:
        return [
            web.get("/faults", self._get_faults),
            web.post("/faults", self._plan_faults),
            web.delete("/faults", self._clear_faults),
            web.put("/lines", self._set_line),
            web.put("/bot-limits", self._set_bot_limits),
            web.get("/sources/faults", self._get_source_faults),
            web.put("/sources/faults", self._set_source_faults),
            web.delete("/sources/faults", self._clear_source_faults),
        ]

    def _cm_routes(self) -> list[web.RouteDef]:
        return [
            web.get("/cm/content", self._get_content),
            web.put("/cm/content", self._replace_content),
            web.post("/cm/tokens/expire", self._expire_tokens),
            web.post("/cm/{table}", self._add_row),
            web.patch("/cm/{table}/{id}", self._edit_row),
            web.delete("/cm/{table}/{id}", self._delete_row),
        ]

    # -- Telegram

    async def _get_state(self, request: web.Request) -> web.Response:
        return _json(
            messages.State(
                addresses=self._addresses(),
                accounts=tuple(self._account(user.id) for user in self._world.directory.users()),
                bots=tuple(self._bot(bot.id) for bot in self._world.directory.bots()),
                channels=self._channels(),
            )
        )

    async def _get_stats(self, request: web.Request) -> web.Response:
        stats = self._world.stats
        return _json(
            messages.Stats(
                requests=dict(stats.requests),
                events=dict(stats.events),
                faults_taken=dict(self._faults.taken),
                part_bytes=stats.part_bytes,
                part_duplicates=stats.part_duplicates,
                in_flight_max=stats.in_flight_max,
                cm_requests=dict(self._cm.requests),
                sources={
                    path: messages.SourceStats(**msgspec.structs.asdict(count))
                    for path, count in self._sources.counts().items()
                },
            )
        )

    async def _add_account(self, request: web.Request) -> web.Response:
        new = await _body(request, messages.NewAccount)
        user = self._world.add_user(
            new.phone,
            new.name,
            premium=new.premium,
            password=new.password,
            first_name=new.first_name,
            username=new.username,
        )
        return _json(self._account(user.id), HTTPStatus.CREATED)

    async def _change_account(self, request: web.Request) -> web.Response:
        change = await _body(request, messages.AccountChange)
        user = self._world.directory.user_named(request.match_info["name"])
        if change.premium is not msgspec.UNSET:
            user.premium = change.premium
        if change.password is not msgspec.UNSET:
            user.password = change.password
        self._world.changed()
        return _json(self._account(user.id))

    async def _get_code(self, request: web.Request) -> web.Response:
        phone = request.match_info["phone"]
        code = self._world.login_code(phone)
        if code is None:
            raise NotFoundError(f"no code was sent to {phone}, or it is used up", field="phone")
        return _json(messages.LoginCode(code=code))

    async def _add_bot(self, request: web.Request) -> web.Response:
        new = await _body(request, messages.NewBot)
        bot = self._world.add_bot(new.token, new.username, first_name=new.first_name)
        return _json(self._bot(bot.id), HTTPStatus.CREATED)

    async def _block_bot(self, request: web.Request) -> web.Response:
        block = await _body(request, messages.Block)
        bot = self._world.directory.by_username(request.match_info["username"])
        if not isinstance(bot, Bot):
            raise NotFoundError(f"no bot @{request.match_info['username']}", field="username")
        user = self._world.directory.user_named(block.account)
        (bot.blocked_by.add if block.blocked else bot.blocked_by.discard)(user.id)
        self._world.changed()
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _get_channels(self, request: web.Request) -> web.Response:
        return _json(self._channels())

    async def _get_messages(self, request: web.Request) -> web.Response:
        channel_id = channel_id_of(_number(request, "chat_id"))
        channel = None if channel_id is None else self._world.channels.find(channel_id)
        if channel is None:
            raise NotFoundError(f"no channel {request.match_info['chat_id']}", field="chat_id")
        with_digest = request.query.get("digest") in {"1", "true"}
        posts = reversed(self._world.messages.in_channel(channel))
        return _json([self._post(post, with_digest=with_digest) for post in posts])

    async def _get_document(self, request: web.Request) -> web.Response:
        document = self._world.documents.find(_number(request, "id"))
        if document is None:
            raise NotFoundError(f"no document {request.match_info['id']}", field="id")
        return web.Response(body=self._world.documents.read(document), content_type=document.mime_type)

    async def _drop_connections(self, request: web.Request) -> web.Response:
        drop = await _body(request, messages.DropConnections)
        return _json(messages.Amount(count=self._connections.drop_connections(drop.account)))

    async def _change_salt(self, request: web.Request) -> web.Response:
        self._connections.change_salt()
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _expire_parts(self, request: web.Request) -> web.Response:
        return _json(messages.Amount(count=self._world.expire_parts()))

    # -- faults

    async def _get_faults(self, request: web.Request) -> web.Response:
        return _json(self._faults.planned())

    async def _plan_faults(self, request: web.Request) -> web.Response:
        faults = await _body(request, list[PlannedFault])
        for fault in faults:
            self._faults.plan(fault)
        return _json(messages.Amount(count=len(faults)), HTTPStatus.CREATED)

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self._faults.clear()
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _set_line(self, request: web.Request) -> web.Response:
        change = await _body(request, messages.AccountLine)
        self._faults.set_line(change.account, change.line)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _set_bot_limits(self, request: web.Request) -> web.Response:
        self._faults.bot_limits = (await _body(request, messages.BotLimitsSwitch)).limits
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _get_source_faults(self, request: web.Request) -> web.Response:
        return _json(self._sources.faults())

    async def _set_source_faults(self, request: web.Request) -> web.Response:
        for change in await _body(request, list[messages.SourceFaults]):
            self._sources.set_faults(change.path, change.faults)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _clear_source_faults(self, request: web.Request) -> web.Response:
        self._sources.clear_faults()
        return web.Response(status=HTTPStatus.NO_CONTENT)

    # -- CM

    async def _get_content(self, request: web.Request) -> web.Response:
        return _json(self._cm.catalogue.content())

    async def _replace_content(self, request: web.Request) -> web.Response:
        content = await _body(request, CmContent)
        self._cm.catalogue.replace(content)
        return _json(messages.Amount(count=len(content.titles)))

    async def _expire_tokens(self, request: web.Request) -> web.Response:
        expire = await _body(request, messages.ExpireTokens)
        if expire.access:
            self._cm.auth.expire_access_tokens()
        if expire.refresh:
            self._cm.auth.revoke_refresh_tokens()
        self._cm.save()
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _add_row(self, request: web.Request) -> web.Response:
        fields = await _body(request, messages.Row)
        return _json(self._cm.catalogue.add(_table(request), fields), HTTPStatus.CREATED)

    async def _edit_row(self, request: web.Request) -> web.Response:
        fields = await _body(request, messages.Row)
        return _json(self._cm.catalogue.edit(_table(request), _number(request, "id"), fields))

    async def _delete_row(self, request: web.Request) -> web.Response:
        self._cm.catalogue.delete(_table(request), _number(request, "id"))
        return web.Response(status=HTTPStatus.NO_CONTENT)

    # -- what is shown

    def _account(self, user_id: int) -> messages.Account:
        user = self._world.directory.user(user_id)
        return messages.Account(
            id=user.id,
            phone=user.phone,
            name=user.name,
            first_name=user.first_name,
            username=user.username,
            premium=user.premium,
            has_password=user.password is not None,
        )

    def _bot(self, bot_id: int) -> messages.BotState:
        bot = next(bot for bot in self._world.directory.bots() if bot.id == bot_id)
        return messages.BotState(
            id=bot.id,
            token=bot.token,
            username=bot.username,
            pending_updates=len(bot.updates),
            webhook_url=bot.webhook_url,
        )

    def _channels(self) -> tuple[messages.ChannelState, ...]:
        return tuple(self._channel(channel) for channel in self._world.channels.all())

    def _channel(self, channel: Channel) -> messages.ChannelState:
        return messages.ChannelState(
            chat_id=channel.chat_id,
            title=channel.title,
            creator=self._world.directory.user(channel.creator_id).name,
            messages=len(self._world.messages.in_channel(channel)),
            bots=tuple(bot.username for bot in self._world.channels.admin_bots(channel)),
        )

    def _post(self, post: Post, *, with_digest: bool) -> messages.ChannelMessage:
        shown = messages.ChannelMessage(
            id=post.post_id, date_s=post.date_s, text=post.content.text, grouped_id=post.grouped_id
        )
        document = self._world.documents.find(post.content.document_id or 0)
        if document is None:
            return shown
        return msgspec.structs.replace(
            shown,
            document_id=document.id,
            document_kind=document.kind.value,
            file_name=document.file_name,
            mime_type=document.mime_type,
            size_bytes=document.size_bytes,
            sha256=self._digest(document.id) if with_digest else None,
        )

    def _digest(self, document_id: int) -> str | None:
        document = self._world.documents.find(document_id)
        if document is None:
            return None
        digest = hashlib.sha256()
        for offset in range(0, document.size_bytes, DIGEST_CHUNK_BYTES):
            digest.update(self._world.documents.read(document, offset, DIGEST_CHUNK_BYTES))
        return digest.hexdigest()


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        failure = messages.Failure(code="http", message=f"{request.method} {request.path}: {error.reason}")
        return _json(failure, error.status)
    except TelecineError as error:
        failure = messages.Failure(code=error.code, message=error.message, field=error.field)
        return _json(failure, error.http_status)


async def _body(request: web.Request, kind: type[BodyT]) -> BodyT:
    """The body as this type; an empty one counts as `{}`."""
    try:
        return msgspec.json.decode(await request.read() or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise InputError(str(error), field=_culprit(str(error))) from error
    except msgspec.DecodeError as error:
        raise InputError(f"the body is not JSON: {error}") from error


def _culprit(message: str) -> str | None:
    """The path in msgspec's message: the end of it, and the name of a field missing or unknown there."""
    parts = [found["path"] or found["field"] for found in _PATH_IN_ERROR.finditer(message)]
    return ".".join(part for part in reversed(parts) if part and part != "$") or None


def _table(request: web.Request) -> Table:
    name = request.match_info["table"]
    try:
        return Table(name)
    except ValueError:
        raise NotFoundError(f"CM has no {name!r}; it has {', '.join(Table)}", field="table") from None


def _number(request: web.Request, name: str) -> int:
    text = request.match_info[name]
    try:
        return int(text)
    except ValueError:
        raise InputError(f"{name} has to be a number, not {text!r}", field=name) from None


def _json(body: Any, status: int = HTTPStatus.OK) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
