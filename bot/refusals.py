"""What Telegram's Bot API says when it refuses, in terms of the one tree of errors.

The Bot API has no error names, only English sentences; they are told apart by fragments that have been stable for
years and are spelled in the server's sources (tdlib/telegram-bot-api, td/telegram).
"""

from __future__ import annotations

import enum

from aiogram.exceptions import (
    AiogramError,
    ClientDecodeError,
    TelegramAPIError,
    TelegramBadRequest,
    TelegramForbiddenError,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
)

from telecine.core.delivery import ChatClosedError, FileRefusedError, PostRefusedError
from telecine.core.errors import FloodWaitError, TelecineError, TelegramError, UnavailableError


class Aim(enum.Enum):
    """What a refused call was about: it decides what some refusals mean."""

    FILE = "file"  # sending by file_id
    POST = "post"  # copying from a storage channel
    OTHER = "other"


_FILE_MARKS = (
    "wrong file identifier",
    "wrong remote file identifier",
    "wrong file_id",
    "file reference",
    "file_reference",
    "can't use file of type",
    "type of file mismatch",
    "media_empty",
    "group send failed",  # of an album, for a reason that Telegram keeps to itself
)
_POST_MARKS = (
    "message to copy not found",
    "message can't be copied",
    "message_id_invalid",
    "chat not found",  # the user's chat is there: they have just written to us
    "channel_private",
    "not a member of the channel",
    "was kicked from the channel",
    "chat_forwards_restricted",
)
_CHAT_MARKS = ("chat not found", "user is deactivated", "peer_id_invalid", "input_user_deactivated")


def translate(error: AiogramError, aim: Aim = Aim.OTHER) -> TelecineError:
    """The error of the tree that stands for one of aiogram's."""
    if isinstance(error, TelegramRetryAfter):
        return FloodWaitError(error.retry_after, error.method.__api_method__)
    if isinstance(error, TelegramNetworkError | TelegramServerError | ClientDecodeError):
        return UnavailableError("Telegram's Bot API does not answer")
    if not isinstance(error, TelegramAPIError):
        return TelegramError(str(error))
    return _refusal(error, aim)


def _refusal(error: TelegramAPIError, aim: Aim) -> TelecineError:
    said = error.message.casefold()
    refused = isinstance(error, TelegramBadRequest | TelegramForbiddenError)
    if aim is Aim.FILE and refused and _holds(said, _FILE_MARKS):
        return FileRefusedError(error.message)
    if aim is Aim.POST and refused and _holds(said, _POST_MARKS):
        return PostRefusedError(error.message)
    if isinstance(error, TelegramForbiddenError) or (refused and _holds(said, _CHAT_MARKS)):
        return ChatClosedError(error.message)
    return TelegramError(error.message)


def _holds(said: str, marks: tuple[str, ...]) -> bool:
    return any(mark in said for mark in marks)
