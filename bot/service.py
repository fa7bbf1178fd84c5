"""The bot as a whole: built from settings and what it reads and writes, started, run, stopped."""

from __future__ import annotations

import logging

from aiogram import Bot, Dispatcher, Router
from aiogram.client.default import DefaultBotProperties
from aiogram.client.session.base import BaseSession
from aiogram.enums import ChatType, ParseMode
from aiogram.exceptions import AiogramError, TelegramNotFound, TelegramUnauthorizedError
from aiogram.types import BotCommand, LinkPreviewOptions, Message
from aiogram.utils.token import TokenValidationError

from telecine.bot import browse, deliver, failures, harvest, search, start, words
from telecine.bot.courier import BotCourier
from telecine.bot.pacing import Pacing
from telecine.bot.polling import Poller, pause_s, token_refused
from telecine.bot.refusals import translate
from telecine.bot.session import BotSession
from telecine.bot.visitors import Visitors
from telecine.core.catalogue import Catalogue
from telecine.core.clock import Clock
from telecine.core.config import BotSettings, TelegramSettings
from telecine.core.delivery import DeliveryDesk, Requeue, Shelf
from telecine.core.errors import ConfigError, FloodWaitError, UnavailableError

logger = logging.getLogger(__name__)


class TelecineBot:
    """Search, browse and delivery in private chats, and the harvest of `file_id`s from the storage channels.

    `username` is None until `start` has heard from Telegram; `bot_id` is a part of the token.
    """

    def __init__(
        self,
        telegram: TelegramSettings,
        settings: BotSettings,
        *,
        catalogue: Catalogue,
        shelf: Shelf,
        requeue: Requeue,
        clock: Clock,
        session: BaseSession | None = None,
    ) -> None:
        """Connects to nothing yet. Raises ConfigError for a token that is missing or malformed."""
        self._bot = _bot(telegram, session or BotSession(telegram.bot_api_url))
        self._bot.session.middleware(Pacing(clock))
        self._clock = clock
        self.bot_id: int = self._bot.id
        self.username: str | None = None
        courier = BotCourier(self._bot, protect_content=settings.protect_content)
        self._dispatcher = Dispatcher(
            disable_fsm=True,
            catalogue=catalogue,
            settings=settings,
            shelf=shelf,
            bot_id=self.bot_id,
            desk=DeliveryDesk(shelf, requeue, courier, bot_id=self.bot_id),
        )
        self._dispatcher.include_routers(failures.router(), harvest.router(), _private_chats(Visitors(shelf, clock)))

    async def start(self) -> None:
        """Learn the bot's name and set its commands.

        Raises ConfigError for a token that Telegram does not know, UnavailableError where Telegram does not answer.
        """
        try:
            me = await self._bot.get_me()
            await self._bot.delete_webhook(drop_pending_updates=False)  # with one set, polling is refused
            await self._bot.set_my_commands(
                [BotCommand(command=name, description=text) for name, text in words.COMMANDS.items()]
            )
        except (TelegramUnauthorizedError, TelegramNotFound) as error:
            raise token_refused() from error
        except AiogramError as error:
            raise translate(error) from error
        self.username = me.username
        logger.info("the bot is @%s", me.username)

    async def run(self) -> None:
        """Answer until cancelled; `start` first where that has not been done, for as long as it takes."""
        failures_in_a_row = 0
        while self.username is None:
            try:
                await self.start()
            except (UnavailableError, FloodWaitError) as error:
                failures_in_a_row += 1
                logger.warning("the bot cannot start yet: %s", error)
                await self._clock.sleep(pause_s(error, failures_in_a_row))
        await Poller(self._bot, self._dispatcher, self._clock).run()

    async def stop(self) -> None:
        """Close the connections. Cancel `run` first."""
        await self._bot.session.close()


def _bot(telegram: TelegramSettings, session: BaseSession) -> Bot:
    if telegram.bot_token is None:
        raise ConfigError("telegram.bot_token is missing", hint="@BotFather gives tokens")
    properties = DefaultBotProperties(parse_mode=ParseMode.HTML, link_preview=LinkPreviewOptions(is_disabled=True))
    try:
        return Bot(telegram.bot_token, session, default=properties)
    except TokenValidationError:  # not as the cause: it may quote the token
        raise ConfigError("telegram.bot_token is not a bot token such as 123456:ABC...") from None


def _private_chats(visitors: Visitors) -> Router:
    """The features for users, in the order in which they are asked; in groups the bot stays silent."""
    users = Router(name="users")
    users.message.filter(_is_private)
    users.message.middleware(visitors)
    users.callback_query.middleware(visitors)
    users.include_routers(start.router(), deliver.router(), browse.router(), search.router(), start.fallback_router())
    return users


async def _is_private(message: Message) -> bool:
    return message.chat.type == ChatType.PRIVATE
