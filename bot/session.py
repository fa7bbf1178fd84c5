"""The HTTP session to the Bot API.

The bot's token is a part of every URL, and an error of the HTTP client may quote its URL: the token is cut out of
whatever goes wrong before anybody can log it. What a proxy answers in Telegram's place may be in any form.
"""

from __future__ import annotations

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import PRODUCTION, TelegramAPIServer
from aiogram.exceptions import ClientDecodeError, TelegramNetworkError
from aiogram.methods import Response, TelegramMethod
from aiogram.methods.base import TelegramType


class BotSession(AiohttpSession):
    """aiogram's session, with errors that do not give the token away."""

    def __init__(self, api_url: str | None) -> None:
        super().__init__(api=PRODUCTION if api_url is None else TelegramAPIServer.from_base(api_url))

    async def make_request(
        self, bot: Bot, method: TelegramMethod[TelegramType], timeout: int | None = None
    ) -> TelegramType:
        try:
            return await super().make_request(bot, method, timeout)
        except TelegramNetworkError as error:
            # `from None`: the cause holds the same URL
            raise TelegramNetworkError(method, error.message.replace(bot.token, "<token>")) from None
        except UnicodeDecodeError as error:  # not as the cause: it holds the whole answer
            raise TelegramNetworkError(method, f"the answer is not in {error.encoding}") from None
        except OSError as error:  # a connection that breaks below the HTTP client
            said = f"{type(error).__name__}: {error}".replace(bot.token, "<token>")
            raise TelegramNetworkError(method, said) from None

    def check_response(
        self, bot: Bot, method: TelegramMethod[TelegramType], status_code: int, content: str
    ) -> Response[TelegramType]:
        response = super().check_response(bot, method, status_code, content)
        if response.result is None:
            raise ClientDecodeError("Failed to deserialize object", ValueError("there is no result"), content)
        return response
