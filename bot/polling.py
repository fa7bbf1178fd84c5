"""How updates come in.

aiogram's own polling confirms an update before it has been handled. A channel post that is lost that way is a
`file_id` lost for good, so that here a post is confirmed once it has been kept; users' updates go to the lanes.
"""

from __future__ import annotations

import logging

from aiogram import Bot, Dispatcher
from aiogram.exceptions import AiogramError, ClientDecodeError, TelegramNotFound, TelegramUnauthorizedError
from aiogram.types import Update
from pydantic import ValidationError

from telecine.bot.lanes import Lanes
from telecine.core.clock import Clock
from telecine.core.errors import ConfigError, FloodWaitError, StoreError, TelecineError, UnavailableError

ALLOWED_UPDATES = ["message", "callback_query", "channel_post", "edited_channel_post"]
POLL_WAIT_S = 25
POLL_REPLY_S = 15  # how long an answer may take beyond that
BACKOFF_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
DRAIN_S = 5.0
CONFIRM_S = 2

logger = logging.getLogger(__name__)


class Poller:
    """Fetches updates until cancelled, and rides out whatever keeps Telegram from answering."""

    def __init__(self, bot: Bot, dispatcher: Dispatcher, clock: Clock) -> None:
        self._bot = bot
        self._dispatcher = dispatcher
        self._clock = clock
        self._lanes = Lanes(self._handle)
        self._offset: int | None = None

    async def run(self) -> None:
        """Poll. At the end what users asked is finished, `DRAIN_S` at most. Raises ConfigError for a dead token."""
        try:
            while True:
                for update in await self._fetch():
                    await self._take(update)
                    self._offset = update.update_id + 1
        finally:
            await self._lanes.drain(DRAIN_S)
            await self._confirm()

    async def _fetch(self) -> list[Update]:
        failures = 0
        while True:
            try:
                updates = await self._ask()
            except (TelegramUnauthorizedError, TelegramNotFound) as error:
                raise token_refused() from error
            except (AiogramError, TelecineError) as error:
                if failures == 0:
                    logger.warning("no updates from Telegram: %s", error)
                failures += 1
                await self._clock.sleep(pause_s(error, failures))
                continue
            if failures:
                logger.info("updates from Telegram are back after %d failures", failures)
            return updates

    async def _ask(self) -> list[Update]:
        try:
            return await self._bot.get_updates(
                offset=self._offset,
                timeout=POLL_WAIT_S,
                allowed_updates=ALLOWED_UPDATES,
                request_timeout=POLL_WAIT_S + POLL_REPLY_S,
            )
        except ClientDecodeError as error:
            return self._salvaged(error)

    def _salvaged(self, error: ClientDecodeError) -> list[Update]:
        """The updates before the first one that aiogram cannot read; where that is the first, it is passed over.

        Otherwise one update of a kind that is newer than this program would be asked for again for ever. Raises the
        error where the answer is no list of updates at all.
        """
        answer = error.data.get("result") if isinstance(error.data, dict) else None
        if not isinstance(answer, list) or not all(isinstance(raw, dict) and "update_id" in raw for raw in answer):
            raise error
        readable: list[Update] = []
        for raw in answer:
            try:
                readable.append(Update.model_validate(raw, context={"bot": self._bot}))
            except ValidationError:
                if not readable:
                    self._offset = int(raw["update_id"]) + 1
                    logger.error("update %d is passed over: it is in no form known here", raw["update_id"])  # noqa: TRY400
                break
        return readable

    async def _take(self, update: Update) -> None:
        user = _user_id(update)
        if user is None:
            await self._until_kept(update)
        else:
            self._lanes.put(user, update)

    async def _until_kept(self, update: Update) -> None:
        failures = 0
        while True:
            try:
                await self._dispatcher.feed_update(self._bot, update)
            except (StoreError, UnavailableError) as error:
                failures += 1
                logger.warning("update %d is not kept yet: %s", update.update_id, error)
                await self._clock.sleep(backoff_s(failures))
            except Exception:  # a fault of ours in one update must not hold up the others
                logger.exception("update %d cannot be kept", update.update_id)
                return
            else:
                return

    async def _handle(self, update: Update) -> None:
        try:
            await self._dispatcher.feed_update(self._bot, update)
        except Exception:  # the same for what users ask; they were told by `failures`
            logger.exception("update %d failed", update.update_id)

    async def _confirm(self) -> None:
        """Let Telegram forget what has been handled, so that the next start does not answer it a second time."""
        if self._offset is None:
            return
        try:
            await self._bot.get_updates(offset=self._offset, limit=1, timeout=0, request_timeout=CONFIRM_S)
        except (AiogramError, TelecineError) as error:
            logger.warning("the last updates may be handled again: %s", error)


def backoff_s(failures: int) -> float:
    """Seconds to wait after that many failures in a row (1 or more)."""
    return BACKOFF_S[min(failures, len(BACKOFF_S)) - 1]


def pause_s(error: Exception, failures: int) -> float:
    """Seconds to wait after an error, the last of that many in a row: what Telegram asks for, if that is longer."""
    asked_s = error.seconds if isinstance(error, FloodWaitError) else 0.0
    return max(asked_s, backoff_s(failures))


def token_refused() -> ConfigError:
    hint = "@BotFather gives tokens; bot_api_url names a server of one's own"
    return ConfigError("telegram.bot_token: the Bot API does not know this bot", hint=hint)


def _user_id(update: Update) -> int | None:
    if update.message is not None and update.message.from_user is not None:
        return update.message.from_user.id
    return update.callback_query.from_user.id if update.callback_query is not None else None
