"""The user: an ordinary Telegram account that talks to the bot, presses its buttons and keeps what it gets."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from telethon import TelegramClient, events
from telethon.crypto import rsa
from telethon.sessions import MemorySession

from telecine.core.errors import UnavailableError

REPLY_TIMEOUT_S = 30.0
FILE_TIMEOUT_S = 90.0


class Wish(msgspec.Struct, frozen=True):
    """What the viewer is after: the words to type and the labels that lead there, one button after the other."""

    search: str
    labels: tuple[str, ...]


class Received(msgspec.Struct, frozen=True):
    """A file that arrived."""

    path: Path
    file_name: str
    caption: str
    size_bytes: int
    sha256: str


class Viewer:
    """A signed-in user account in conversation with one bot."""

    def __init__(self, client: Any, bot: str, folder: Path) -> None:
        self._client = client
        self._bot = bot
        self._folder = folder
        self._inbox: asyncio.Queue[Any] = asyncio.Queue()
        client.add_event_handler(self._inbox.put, events.NewMessage(incoming=True, from_users=bot))
        client.add_event_handler(self._inbox.put, events.MessageEdited(incoming=True, from_users=bot))

    async def start(self) -> str:
        """Press Start. What the bot says."""
        await self._client.send_message(self._bot, "/start")
        return str((await self._next(REPLY_TIMEOUT_S, lambda message: bool(message.text))).text)

    async def fetch(self, wish: Wish) -> Received:
        """Search, press through to the file, download it. Raises UnavailableError where a step leads nowhere."""
        self._forget()
        await self._client.send_message(self._bot, wish.search)
        message = await self._next(REPLY_TIMEOUT_S, lambda m: m.buttons is not None)
        for label in wish.labels[:-1]:
            message = await self._press(message, label)
        self._forget()
        await self._click(message, wish.labels[-1])
        media = await self._next(FILE_TIMEOUT_S, lambda m: m.document is not None)
        return await self._download(media)

    async def _press(self, message: Any, label: str) -> Any:
        before = message.text
        await self._click(message, label)
        return await self._next(REPLY_TIMEOUT_S, lambda m: m.buttons is not None and m.text != before)

    async def _click(self, message: Any, label: str) -> None:
        labels = [button.text for row in message.buttons for button in row]
        wanted = next((text for text in labels if label in text), None)
        if wanted is None:
            raise UnavailableError(f"the bot shows {labels}, none of them {label!r}")
        await message.click(text=wanted)

    async def _next(self, timeout_s: float, wanted: Callable[[Any], bool]) -> Any:
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    event = await self._inbox.get()
                    if wanted(event.message):
                        return event.message
        except TimeoutError:
            raise UnavailableError(f"the bot did not answer within {timeout_s:g} s") from None

    def _forget(self) -> None:
        while not self._inbox.empty():
            self._inbox.get_nowait()

    async def _download(self, message: Any) -> Received:
        path = self._folder / f"{message.id}-{message.file.name}"
        await self._client.download_media(message, file=str(path))
        content = await asyncio.to_thread(path.read_bytes)
        return Received(
            path, message.file.name, message.message or "", len(content), hashlib.sha256(content).hexdigest()
        )


@asynccontextmanager
async def signed_in(
    address: tuple[str, int],
    public_key_pem: str,
    *,
    phone: str,
    code: Callable[[], Any],
    bot: str,
    folder: Path,
) -> AsyncIterator[Viewer]:
    """Sign a user account in with an ordinary Telethon client."""
    rsa.add_key(public_key_pem, old=False)
    session = MemorySession()
    session.set_dc(2, *address)
    client = TelegramClient(session, api_id=1, api_hash="viewer", catch_up=False)
    client.flood_sleep_threshold = 60
    await client.connect()
    try:
        await client.send_code_request(phone)
        await client.sign_in(phone, await code())
        await client.get_dialogs()
        yield Viewer(client, bot, folder)
    finally:
        await client.disconnect()
