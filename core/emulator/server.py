"""The emulator as one object: `async with Emulator(settings) as emulator:` and everything is reachable.

With `data_dir` the world, CM and the server's key survive a restart; without, they live as long as the process.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Annotated, Self

import msgspec

from telecine.core.clock import Clock, SystemClock
from telecine.core.emulator.cm.auth import CmCredentials
from telecine.core.emulator.cm.content import CmContent
from telecine.core.emulator.cm.service import Cm
from telecine.core.emulator.control.messages import Addresses, NewAccount, NewBot
from telecine.core.emulator.faults import Faults
from telecine.core.emulator.folder import held
from telecine.core.emulator.http_half import HttpHalf
from telecine.core.emulator.mtproto.server import MtprotoServer
from telecine.core.emulator.sources.host import SourceHost
from telecine.core.emulator.telegram.keys import ServerKey
from telecine.core.emulator.telegram.world import World
from telecine.core.errors import ConfigError, InputError

KEY_FILE = "server-key.pem"

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class EmulatorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an emulator starts. Ports of 0 take free ones; relative paths are relative to the working folder."""

    host: str = "127.0.0.1"
    mtproto_port: Port = 0
    http_port: Port = 0
    data_dir: Path | None = None
    """Where the state is kept; None keeps it in memory."""
    media_dir: Path | None = None
    """The folder that the source host serves; None serves nothing."""
    key_path: Path | None = None
    """The server's RSA key, made if it is not there; None keeps it in `data_dir`, or makes a passing one."""
    accounts: tuple[NewAccount, ...] = ()
    bots: tuple[NewBot, ...] = ()
    cm_content_path: Path | None = None
    """What CM holds at first, as the JSON of a `CmContent`; what `data_dir` holds goes before it."""
    cm_credentials: CmCredentials = CmCredentials()


class Emulator:
    """A Telegram, a CM and a source host in one process. Raises ConfigError for files that do not fit, a folder that
    another emulator uses and an address that cannot be had; StoreError for a state that cannot be read.

    A `key` at hand goes before that of the settings. Whoever makes an emulator stops it, started or not.
    """

    def __init__(self, settings: EmulatorSettings, clock: Clock | None = None, key: ServerKey | None = None) -> None:
        self.settings = settings
        self.faults = Faults()
        with ExitStack() as holding:
            if settings.data_dir is not None:
                holding.enter_context(held(settings.data_dir))
            self._open(clock or SystemClock(), key)
            self._holding = holding.pop_all()

    def _open(self, clock: Clock, key: ServerKey | None) -> None:
        settings = self.settings
        self.world = World.open(settings.data_dir, clock=clock)
        self._key = key or ServerKey.open(settings.key_path or _in_folder(settings.data_dir))
        self.mtproto = MtprotoServer(self.world, self.faults, self._key)
        self.sources = SourceHost(settings.media_dir, clock, on_request=self.world.noticed)
        self.cm = Cm(
            settings.cm_credentials,
            self.faults,
            clock,
            media_url=lambda: self.media_url,
            data_dir=settings.data_dir,
        )
        self._http = HttpHalf(self.world, self.faults, clock, self.mtproto, self.cm, self.sources)
        self._seed()

    async def start(self) -> None:
        """Listen on both ports."""
        host = self.settings.host
        with _bound(host, self.settings.mtproto_port):
            await self.mtproto.start(host, self.settings.mtproto_port)
        self._http.mtproto_address = self.mtproto_address
        with _bound(host, self.settings.http_port):
            await self._http.start(host, self.settings.http_port)

    async def stop(self) -> None:
        """Stop listening and write what is not written yet."""
        with self._holding:
            await self._http.stop()
            await self.mtproto.stop()
            self.cm.save()
            self.world.close()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def mtproto_address(self) -> tuple[str, int]:
        """Host and port for user clients such as Telethon."""
        return self.settings.host, self.mtproto.port

    @property
    def public_key_pem(self) -> str:
        """What a user client has to trust in place of Telegram's own keys."""
        return self._key.public_pem

    @property
    def addresses(self) -> Addresses:
        """How to reach everything, as data."""
        return self._http.addresses()

    @property
    def http_url(self) -> str:
        """The base of all that speaks HTTP."""
        return self._http.url

    @property
    def bot_api_url(self) -> str:
        """For bots: aiogram's `TelegramAPIServer.from_base`."""
        return self.addresses.bot_api_url

    @property
    def cm_url(self) -> str:
        """CM's base URL."""
        return self.addresses.cm_url

    @property
    def media_url(self) -> str:
        """Below it are the files of `media_dir`."""
        return self.addresses.media_url

    @property
    def control_url(self) -> str:
        """For `EmulatorControl`."""
        return self.addresses.control_url

    def _seed(self) -> None:
        """Add the accounts, bots and content that an earlier run has not left."""
        for account in self.settings.accounts:
            if self.world.directory.user_by_phone(account.phone) is None:
                self.world.add_user(
                    account.phone,
                    account.name,
                    premium=account.premium,
                    password=account.password,
                    first_name=account.first_name,
                    username=account.username,
                )
        for bot in self.settings.bots:
            if self.world.directory.bot_by_token(bot.token) is None:
                self.world.add_bot(bot.token, bot.username, first_name=bot.first_name)
        if self.settings.cm_content_path is not None and not self.cm.restored:
            self._fill_cm(self.settings.cm_content_path)

    def _fill_cm(self, path: Path) -> None:
        try:
            self.cm.catalogue.replace(load_cm_content(path))
        except InputError as error:
            raise ConfigError(f"{path}: {error}", field=error.field) from error


def load_cm_content(path: Path) -> CmContent:
    """A CM content document from a JSON file. Raises ConfigError naming the file and what is wrong."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=CmContent)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path} is not a CM content document: {error}") from error


@contextmanager
def _bound(host: str, port: int) -> Iterator[None]:
    """Say plainly that an address cannot be had."""
    try:
        yield
    except OSError as error:
        known = error.errno is not None and error.errno > 0  # a name that does not resolve has a number of its own
        reason = os.strerror(error.errno or 0) if known else error.strerror or str(error)
        hint = "port 0 takes a free one" if error.errno == errno.EADDRINUSE else None
        raise ConfigError(f"cannot listen on {host}:{port}: {reason}", hint=hint) from error


def _in_folder(data_dir: Path | None) -> Path | None:
    return data_dir / KEY_FILE if data_dir else None
