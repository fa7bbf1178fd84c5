"""Reading the storage channels of an account from their first message to their last."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from telethon.tl import functions, types

from telecine.core import codes
from telecine.core.clock import Clock
from telecine.core.errors import FloodWaitError, InputError, UnavailableError
from telecine.core.inventory import FoundChannel, FoundFile, FoundMessage, InventoryFile
from telecine.core.worker.telegram.account import Account
from telecine.core.worker.telegram.calls import ask
from telecine.core.worker.telegram.channels import Channels, StoredMessage, stored_message

PAGE_MESSAGES = 100  # as many as Telegram gives at once
PAGES_AT_ONCE = 30  # a small account is read without a pause
PAGE_PAUSE_S = 1.0  # then Telegram is left this much air: whoever asks faster is told to wait
TRIES_MAX = 6  # in a row without an answer
BACKOFF_S = 1.0

logger = logging.getLogger(__name__)


class Scan:
    """Reads the channels of one account, at a pace that Telegram bears.

    Waits that Telegram asks for are sat out, however long. Every call raises TelegramError for what Telegram refuses,
    UnavailableError where it stays silent.
    """

    def __init__(self, account: Account, channels: Channels, clock: Clock) -> None:
        self._account = account
        self._channels = channels
        self._clock = clock
        self._pages = 0

    async def channels(self) -> tuple[FoundChannel, ...]:
        """The account's own channels that have a coded title, by their numbers."""
        titles = await self._channels.titles()
        storage = ((title, channel_id) for channel_id, title in titles.items() if _is_storage(title))
        return tuple(FoundChannel(channel_id, title) for title, channel_id in sorted(storage, key=_by_number))

    async def pages(self, channel_id: int, *, after: int) -> AsyncIterator[tuple[FoundMessage, ...]]:
        """Everything said in a channel behind the message `after`, oldest first, in pages. What the channel says of
        itself (that it was created or renamed) is left out, so that a page may be empty."""
        while messages := await self._next(channel_id, after):
            after = messages[-1].id
            yield tuple(_found(channel_id, message) for message in messages if isinstance(message, types.Message))

    async def _next(self, channel_id: int, after: int) -> list[Any]:
        """The oldest messages behind `after`, in order; none at the end of the channel."""
        if self._pages >= PAGES_AT_ONCE:
            await self._clock.sleep(PAGE_PAUSE_S)
        self._pages += 1
        request = functions.messages.GetHistoryRequest(
            peer=await self._channels.peer(channel_id),
            offset_id=after + 1,
            offset_date=None,
            add_offset=-PAGE_MESSAGES,  # the page that ends where one without it would begin
            limit=PAGE_MESSAGES,
            max_id=0,
            min_id=0,
            hash=0,
        )
        answer = await self._answered(request)
        behind = (message for message in answer.messages if message.id > after)  # the last page is filled up with older
        return sorted(behind, key=lambda message: message.id)

    async def _answered(self, request: Any) -> Any:
        failures = 0
        while True:
            try:
                await self._account.reconnect()
                return await ask(self._account.client, request)
            except FloodWaitError as wait:
                logger.warning("Telegram asks to wait %g s before the next page", wait.seconds)
                await self._clock.sleep(wait.seconds)
            except UnavailableError:
                failures += 1
                if failures >= TRIES_MAX:
                    raise
                await self._clock.sleep(BACKOFF_S * 2 ** (failures - 1))


async def collect(scan: Scan, into: InventoryFile, *, on_page: Callable[[FoundChannel], None]) -> None:
    """Write down what all channels hold, from where the file stops to its end. `on_page` hears of each page written."""
    for channel in await scan.channels():
        if not into.has(channel.channel_id):
            into.add([channel])
        async for page in scan.pages(channel.channel_id, after=into.newest(channel.channel_id)):
            into.add(page)
            on_page(channel)
    into.end()


def _is_storage(title: str) -> bool:
    try:
        codes.parse_channel(title)
    except InputError:
        return False
    return True


def _by_number(channel: tuple[str, int]) -> tuple[int, int]:
    title, channel_id = channel
    return codes.parse_channel(title), channel_id


def _found(channel_id: int, message: Any) -> FoundMessage:
    stored = stored_message(message)
    return FoundMessage(
        channel_id=channel_id,
        message_id=message.id,
        sent_at_s=int(message.date.timestamp()),
        text=message.message or "",
        file=None if stored is None else _file(stored),
    )


def _file(stored: StoredMessage) -> FoundFile:
    return FoundFile(
        size_bytes=stored.size_bytes,
        mime_type=stored.mime_type,
        duration_s=stored.duration_s,
        width_px=stored.width_px,
        height_px=stored.height_px,
    )
