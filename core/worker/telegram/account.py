"""A worker's Telegram account: its session, its connection, what it may do."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import rsa
from telethon import TelegramClient
from telethon.crypto.rsa import add_key
from telethon.sessions import SQLiteSession
from telethon.tl import functions, types

from telecine.core import plans
from telecine.core.config import TelegramSettings
from telecine.core.errors import ConfigError, TelegramError, UnavailableError
from telecine.core.worker.telegram.calls import REFUSALS, SIGNED_OUT, ask
from telecine.core.worker.telegram.sessions import locked_session

DEVICE_MODEL = "Telecine"
VERSION = version("telecine")
REQUEST_RETRIES = 5
CONNECT_RETRIES = 3
CONNECT_TIMEOUT_S = 15

logger = logging.getLogger(__name__)


class Account:
    """A signed-in account. Made by `open_account`. `file_bytes_max` None: whatever Telegram takes."""

    def __init__(
        self, client: Any, telegram: TelegramSettings, user: Any, *, file_bytes_max: int | None = None
    ) -> None:
        self.client = client
        self._telegram = telegram
        self._user = user
        self._file_bytes_max = file_bytes_max

    @property
    def user_id(self) -> int:
        return int(self._user.id)

    @property
    def premium(self) -> bool:
        """Whether Telegram counted the account as Premium when it was last asked."""
        return bool(self._user.premium)

    @property
    def file_bytes_max(self) -> int:
        """The largest file to send: what Telegram takes from this account now, or less where less is wanted."""
        taken = plans.file_bytes_max(premium=self.premium)
        return taken if self._file_bytes_max is None else min(taken, self._file_bytes_max)

    async def refresh(self) -> None:
        """Ask again who this is: Premium lapses. Raises as `calls.ask` does."""
        user = await who(self.client)
        if user is None:
            raise TelegramError("the account has been signed out", name="AUTH_KEY_UNREGISTERED")
        if bool(user.premium) != self.premium:
            logger.warning("the account is %s Premium", "now" if user.premium else "no longer")
        self._user = user

    async def reconnect(self) -> None:
        """Connect again where Telethon has given the connection up. Raises UnavailableError."""
        if not self.client.is_connected():
            await self.client.disconnect()  # ends what the lost connection left running
            try:
                await self.client.connect()
            except REFUSALS as error:
                raise UnavailableError(f"Telegram does not answer: {error}") from error

    @property
    def sender(self) -> Any:
        """The account's main connection, for requests that must not be repeated behind our back."""
        return self.client._sender  # noqa: SLF001 - Telethon's public call repeats what Telegram answers with 500

    # ---- senders.Route: how further connections reach the same data centre -------------------------

    @property
    def address(self) -> tuple[str, int, int]:
        session = self.client.session
        return session.server_address, session.port, session.dc_id

    @property
    def auth_key(self) -> Any:
        return self.client.session.auth_key

    @property
    def salt(self) -> int:
        return int(self.sender._state.salt)  # noqa: SLF001 - Telethon tells it nowhere else

    def greeting(self, query: Any) -> Any:
        return functions.InitConnectionRequest(
            api_id=self._telegram.api_id,
            device_model=DEVICE_MODEL,
            system_version=VERSION,
            app_version=VERSION,
            lang_code="en",
            system_lang_code="en",
            lang_pack="",
            query=functions.InvokeWithoutUpdatesRequest(query),
        )


@asynccontextmanager
async def open_account(
    telegram: TelegramSettings, session: Path, *, flood_wait_in_place_s: float, file_bytes_max: int | None = None
) -> AsyncIterator[Account]:
    """Lock the session, connect, and make sure that it is signed in.

    Raises ConfigError for a session that is signed out, in use elsewhere or unreadable, UnavailableError where
    Telegram does not answer.
    """
    async with open_client(telegram, session, flood_wait_in_place_s=flood_wait_in_place_s) as client:
        user = await who(client)
        if user is None:
            raise ConfigError(f"{session}: no account is signed in", hint="run `telecine login` on this machine")
        yield Account(client, telegram, user, file_bytes_max=file_bytes_max)


@asynccontextmanager
async def open_client(telegram: TelegramSettings, session: Path, *, flood_wait_in_place_s: float) -> AsyncIterator[Any]:
    """A connected Telethon client on a locked session, signed in or not."""
    trust(telegram)
    with locked_session(session) as file:
        client = _client(telegram, file, flood_wait_in_place_s)
        try:
            await client.connect()
        except REFUSALS as error:
            await client.disconnect()
            raise UnavailableError(f"Telegram does not answer: {error}") from error
        try:
            yield client
        finally:
            await client.disconnect()


def trust(telegram: TelegramSettings) -> None:
    """Accept a server that signs with the configured key. Raises ConfigError, naming the file."""
    if telegram.public_key is None:
        return
    try:
        pem = telegram.public_key.read_bytes()
        rsa.PublicKey.load_pkcs1(pem)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{telegram.public_key}: not an RSA public key (PKCS #1, PEM): {error}") from error
    add_key(pem, old=False)


async def who(client: Any) -> Any | None:
    """The user that a client is signed in as; None for nobody."""
    try:
        users = await ask(client, functions.users.GetUsersRequest([types.InputUserSelf()]))
    except TelegramError as error:
        if error.name in SIGNED_OUT:
            return None
        raise
    return users[0]


def _client(telegram: TelegramSettings, file: Path, flood_wait_in_place_s: float) -> Any:
    try:
        session = SQLiteSession(str(file))
    except (sqlite3.Error, ValueError) as error:
        raise ConfigError(f"{file}: not a session file: {error}") from error
    if telegram.server is not None:
        host, _, port = telegram.server.rpartition(":")
        if not host or not port.isdigit():
            raise ConfigError(f"telegram.server: expected host:port, not {telegram.server!r}")
        session.set_dc(telegram.dc, host.strip("[]"), int(port))
    return TelegramClient(
        session,
        telegram.api_id,
        telegram.api_hash,
        timeout=CONNECT_TIMEOUT_S,
        request_retries=REQUEST_RETRIES,
        connection_retries=CONNECT_RETRIES,
        flood_sleep_threshold=int(flood_wait_in_place_s),
        raise_last_call_error=True,
        device_model=DEVICE_MODEL,
        app_version=VERSION,
        receive_updates=False,
    )
