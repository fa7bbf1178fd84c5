"""The storage channels as both sides know them: opened in Telegram, and told to the coordinator."""

from __future__ import annotations

import asyncio
import logging

import msgspec

from telecine.core.errors import TelegramError
from telecine.core.protocol import DETAIL_CHARS_MAX, ChannelRef, Welcome
from telecine.core.worker.coordinator import CoordinatorClient
from telecine.core.worker.telegram.calls import CHANNEL_LOST
from telecine.core.worker.telegram.channels import Channels

logger = logging.getLogger(__name__)


class Storage:
    """Keeps Telegram's channels and the coordinator's list of them in step."""

    def __init__(self, channels: Channels, coordinator: CoordinatorClient) -> None:
        self._channels = channels
        self._coordinator = coordinator
        self._bot_username: str | None = None
        self._opening = asyncio.Lock()

    async def take_over(self, welcome: Welcome) -> int:
        """See that the channels are there which the coordinator counts on; how many are.

        Those that the account cannot use any more are reported. Raises as `ready` does otherwise.
        """
        self._bot_username = welcome.bot_username
        if welcome.bot_username is None:
            logger.warning("the coordinator names no bot: the channels stay without one until the next start")
        await self._channels.refresh()
        usable = 0
        for ref in welcome.channels:
            try:
                await self._open(ref)
            except TelegramError as error:
                if error.name not in CHANNEL_LOST:
                    raise
                await self.give_up(ref, error)
            else:
                usable += 1
        return usable

    async def ready(self, ref: ChannelRef) -> ChannelRef:
        """The channel of a lease, fit to be posted to: a planned one is opened and reported first.

        Costs one request where the channel is open, and so much less than an upload that nobody takes. Raises
        TelegramError with a name of CHANNEL_LOST where the account cannot post, and as `calls.ask` does.
        """
        if ref.telegram_id is None:
            return await self._open(ref)
        await self._channels.check(ref.telegram_id)
        return ref

    async def give_up(self, ref: ChannelRef, error: TelegramError) -> None:
        """Report a channel that the account cannot post to any more. Waits for a coordinator that is away."""
        logger.warning("storage channel %s is lost: %s", ref.title, error)
        await self._coordinator.channel_lost(ref.id, error.message[:DETAIL_CHARS_MAX])
        if ref.telegram_id is not None:
            self._channels.forget(ref.telegram_id)

    async def _open(self, ref: ChannelRef) -> ChannelRef:
        async with self._opening:  # two leases may name the same planned channel: the second finds it made
            telegram_id = await self._channels.open(ref, self._bot_username)
        if ref.telegram_id is None:
            await self._coordinator.channel_opened(ref.id, telegram_id)
        return msgspec.structs.replace(ref, telegram_id=telegram_id)
