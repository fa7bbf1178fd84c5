"""What a user is told when a handler fails, and what the operator finds in the log."""

from __future__ import annotations

import logging
import math

from aiogram import Router
from aiogram.exceptions import AiogramError
from aiogram.types import CallbackQuery, ErrorEvent, Message

from telecine.bot import words
from telecine.bot.refusals import translate
from telecine.bot.showing import close
from telecine.core.delivery import ChatClosedError
from telecine.core.errors import FloodWaitError, InputError, NotFoundError, UnavailableError

logger = logging.getLogger(__name__)


def router() -> Router:
    """Handles what fails for a user. Failures of channel posts pass through: whoever polls decides on those."""
    failures = Router(name="failures")
    failures.error.register(tell, concerns_user)
    return failures


async def concerns_user(failure: ErrorEvent) -> bool:
    """A filter."""
    return failure.update.message is not None or failure.update.callback_query is not None


async def tell(failure: ErrorEvent) -> None:
    """Tell the user, unless the user is the one who cannot be reached."""
    error = translate(failure.exception) if isinstance(failure.exception, AiogramError) else failure.exception
    update = failure.update
    if isinstance(error, ChatClosedError):
        logger.info("a user cannot be written to: %s", error)
        return
    text = _said_of(error)
    if text == words.FAILED:
        logger.error("update %d failed", update.update_id, exc_info=failure.exception)
    else:
        logger.info("update %d: %s", update.update_id, error)
    try:
        await _say(update.callback_query or update.message, text)
    except AiogramError as also:
        logger.warning("update %d: the user could not be told: %s", update.update_id, translate(also))
    except FloodWaitError as also:
        logger.warning("update %d: the user could not be told: %s", update.update_id, also)


def _said_of(error: Exception) -> str:
    match error:
        case NotFoundError() | InputError():
            return words.STALE
        case FloodWaitError():
            return words.BUSY.format(seconds=math.ceil(error.seconds))
        case UnavailableError():
            return words.AWAY
        case _:
            return words.FAILED


async def _say(event: CallbackQuery | Message | None, text: str) -> None:
    if isinstance(event, CallbackQuery):
        await close(event, text, alert=True)
    elif event is not None:
        await event.answer(text)
