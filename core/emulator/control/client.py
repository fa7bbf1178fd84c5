"""A typed client of the control API, for tests, the demo and whoever drives the emulator from Python."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
import msgspec

from telecine.core.emulator.cm.content import CmContent, Table
from telecine.core.emulator.control import messages
from telecine.core.emulator.faults import BotLimits, Line, PlannedFault
from telecine.core.emulator.sources.faults import SourceFault
from telecine.core.errors import ConflictError, InputError, NotFoundError, TelecineError, UnavailableError

ResultT = TypeVar("ResultT")

_ERRORS: dict[int, type[TelecineError]] = {400: InputError, 404: NotFoundError, 409: ConflictError}


class EmulatorControl:
    """Drives a running emulator. Calls raise InputError, NotFoundError or ConflictError as the server says,
    and UnavailableError when it does not answer."""

    def __init__(self, control_url: str) -> None:
        self._url = control_url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    # -- looking

    async def state(self) -> messages.State:
        """Accounts, bots, channels and addresses."""
        return await self._call("GET", "/state", messages.State)

    async def stats(self) -> messages.Stats:
        """What happened so far."""
        return await self._call("GET", "/stats", messages.Stats)

    async def channels(self) -> list[messages.ChannelState]:
        """All channels with the number of their messages."""
        return await self._call("GET", "/channels", list[messages.ChannelState])

    async def channel_messages(self, chat_id: int, *, digest: bool = False) -> list[messages.ChannelMessage]:
        """The posts of a channel, oldest first; with `digest` the SHA-256 of each file."""
        path = f"/channels/{chat_id}/messages" + ("?digest=1" if digest else "")
        return await self._call("GET", path, list[messages.ChannelMessage])

    async def document(self, document_id: int) -> bytes:
        """The bytes of a stored file."""
        return await self._send("GET", f"/documents/{document_id}", None)

    # -- people

    async def add_account(
        self,
        phone: str,
        name: str,
        *,
        premium: bool = False,
        password: str | None = None,
        username: str | None = None,
    ) -> messages.Account:
        """Add an account."""
        new = messages.NewAccount(phone=phone, name=name, premium=premium, password=password, username=username)
        return await self._call("POST", "/accounts", messages.Account, new)

    async def set_premium(self, name: str, premium: bool) -> messages.Account:
        """Give an account Premium or let it lapse."""
        change = messages.AccountChange(premium=premium)
        return await self._call("PATCH", f"/accounts/{name}", messages.Account, change)

    async def login_code(self, phone: str) -> str:
        """The code that Telegram sent to this phone last."""
        return (await self._call("GET", f"/accounts/{phone}/code", messages.LoginCode)).code

    async def add_bot(self, token: str, username: str) -> messages.BotState:
        """Add a bot."""
        new = messages.NewBot(token=token, username=username)
        return await self._call("POST", "/bots", messages.BotState, new)

    async def block_bot(self, username: str, account: str, *, blocked: bool = True) -> None:
        """Have an account block a bot, or let it write again."""
        await self._send("POST", f"/bots/{username}/block", messages.Block(account=account, blocked=blocked))

    async def ban(self, chat_id: int, account: str, *, banned: bool = True) -> None:
        """Keep an account out of a channel, be it its own, or let it in again."""
        await self._send("POST", f"/channels/{chat_id}/ban", messages.Ban(account=account, banned=banned))

    async def delete_channel(self, chat_id: int) -> None:
        """Delete a channel with all its messages."""
        await self._send("DELETE", f"/channels/{chat_id}", None)

    # -- faults

    async def plan(self, *faults: PlannedFault) -> None:
        """Plan faults behind those already planned."""
        await self._call("POST", "/faults", messages.Amount, faults)

    async def planned(self) -> list[PlannedFault]:
        """What is still to come."""
        return await self._call("GET", "/faults", list[PlannedFault])

    async def clear_faults(self) -> None:
        """Forget every plan, line and limit."""
        await self._send("DELETE", "/faults", None)

    async def set_line(self, account: str | None, line: Line) -> None:
        """Give an account its latency and bandwidth; None for all without their own."""
        await self._send("PUT", "/lines", messages.AccountLine(account=account, line=line))

    async def lines(self) -> list[messages.AccountLine]:
        """The networks in force; the account None stands for everybody else."""
        return await self._call("GET", "/lines", list[messages.AccountLine])

    async def set_bot_limits(self, limits: BotLimits | None) -> None:
        """Enforce limits on what bots send, or none."""
        await self._send("PUT", "/bot-limits", messages.BotLimitsSwitch(limits=limits))

    async def bot_limits(self) -> BotLimits | None:
        """The limits in force on what bots send."""
        return (await self._call("GET", "/bot-limits", messages.BotLimitsSwitch)).limits

    async def drop_connections(self, account: str | None = None) -> int:
        """Drop MTProto connections; how many."""
        drop = messages.DropConnections(account=account)
        return (await self._call("POST", "/connections/drop", messages.Amount, drop)).count

    async def change_salt(self) -> None:
        """Make the salt of every MTProto session stale."""
        await self._send("POST", "/salt", None)

    async def expire_parts(self) -> int:
        """Forget the parts of unfinished uploads; how many uploads."""
        return (await self._call("POST", "/parts/expire", messages.Amount)).count

    # -- sources

    async def set_source_faults(self, path: str, *faults: SourceFault) -> None:
        """Give a path below `/media/` its faults, replacing those it has."""
        await self._send("PUT", "/sources/faults", [messages.SourceFaults(path=path, faults=faults)])

    async def source_faults(self) -> dict[str, list[SourceFault]]:
        """The faults in force by path."""
        return await self._call("GET", "/sources/faults", dict[str, list[SourceFault]])

    async def clear_source_faults(self) -> None:
        """Make every path well."""
        await self._send("DELETE", "/sources/faults", None)

    # -- CM

    async def cm_content(self) -> CmContent:
        """All that CM holds."""
        return await self._call("GET", "/cm/content", CmContent)

    async def replace_cm_content(self, content: CmContent) -> None:
        """Have CM hold exactly this."""
        await self._send("PUT", "/cm/content", content)

    async def add_cm_row(self, table: Table, **fields: Any) -> dict[str, Any]:
        """Add a title, an episode or a link."""
        return await self._call("POST", f"/cm/{table}", dict[str, Any], fields)

    async def edit_cm_row(self, table: Table, row_id: int, **fields: Any) -> dict[str, Any]:
        """Change fields of a row and its `date_updated`."""
        return await self._call("PATCH", f"/cm/{table}/{row_id}", dict[str, Any], fields)

    async def delete_cm_row(self, table: Table, row_id: int) -> None:
        """Delete a row with all below it."""
        await self._send("DELETE", f"/cm/{table}/{row_id}", None)

    async def expire_cm_tokens(self, *, refresh: bool = False) -> None:
        """End every access token of CM, and with `refresh` every refresh token."""
        await self._send("POST", "/cm/tokens/expire", messages.ExpireTokens(refresh=refresh))

    # -- HTTP

    async def _call(self, method: str, path: str, kind: type[ResultT], body: object = None) -> ResultT:
        return msgspec.json.decode(await self._send(method, path, body), type=kind)

    async def _send(self, method: str, path: str, body: object) -> bytes:
        if self._session is None:
            raise UnavailableError("use the control client in `async with`")
        data = None if body is None else msgspec.json.encode(body)
        try:
            async with self._session.request(method, self._url + path, data=data) as response:
                content = await response.read()
                if response.ok:
                    return content
                raise _error(response.status, content)
        except aiohttp.ClientError as error:
            raise UnavailableError(f"the emulator at {self._url} does not answer: {error}") from error


def _error(status: int, content: bytes) -> TelecineError:
    try:
        failure = msgspec.json.decode(content, type=messages.Failure)
    except msgspec.DecodeError:
        return UnavailableError(f"the emulator answered {status}")
    return _ERRORS.get(status, UnavailableError)(failure.message, field=failure.field)
