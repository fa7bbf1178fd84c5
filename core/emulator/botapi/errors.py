"""What the Bot API says instead of a result, in its own words.

The texts are those of the telegram-bot-api server and of TDLib, because clients tell errors apart by them.
"""

from __future__ import annotations

from telecine.core.emulator.telegram.refusals import RefusalError
from telecine.core.errors import TelecineError

_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    413: "Request Entity Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
}


class BotApiError(TelecineError):
    """The Bot API refuses a call with an HTTP status and a description."""

    code = "bot_api"

    def __init__(self, status: int, detail: str | None = None, *, retry_after_s: int | None = None) -> None:
        title = _TITLES.get(status, "Error")
        self.description = f"{title}: {detail}" if detail else title
        super().__init__(self.description)
        self.status = status
        self.retry_after_s = retry_after_s


def bad_request(detail: str) -> BotApiError:
    """400: what was asked for is wrong."""
    return BotApiError(400, detail)


def too_many_requests(retry_after_s: int) -> BotApiError:
    """429: the bot has to wait."""
    return BotApiError(429, f"retry after {retry_after_s}", retry_after_s=retry_after_s)


CHAT_NOT_FOUND = "chat not found"
WRONG_FILE_ID = "wrong file identifier/HTTP URL specified"

_DETAILS = {
    "BOT_NOT_STARTED": "bot can't initiate conversation with a user",
    "CHANNEL_PRIVATE": "bot is not a member of the channel chat",
    "CHAT_ADMIN_REQUIRED": "not enough rights",
    "CHAT_WRITE_FORBIDDEN": "need administrator rights in the channel chat",
    "MEDIA_CAPTION_TOO_LONG": "message caption is too long",
    "MESSAGE_AUTHOR_REQUIRED": "message can't be edited",
    "MESSAGE_DELETE_FORBIDDEN": "message can't be deleted",
    "MESSAGE_EMPTY": "message text is empty",
    "MESSAGE_NOT_MODIFIED": (
        "message is not modified: specified new message content and reply markup are exactly the same "
        "as a current content and reply markup of the message"
    ),
    "MESSAGE_TOO_LONG": "message is too long",
    "PEER_ID_INVALID": CHAT_NOT_FOUND,
    "QUERY_ID_INVALID": "query is too old and response timeout expired or query ID is invalid",
    "USER_IS_BLOCKED": "bot was blocked by the user",
    "USER_IS_BOT": "bots can't send messages to bots",
}
_STATUSES = {
    "CHANNEL_PRIVATE": 403,
    "CHAT_WRITE_FORBIDDEN": 400,
    "MESSAGE_AUTHOR_REQUIRED": 400,
    "MESSAGE_DELETE_FORBIDDEN": 400,
}


def translated(refusal: RefusalError) -> BotApiError:
    """Telegram's refusal as the Bot API words it; names it has no words for stay as they are."""
    return BotApiError(_STATUSES.get(refusal.name, refusal.status), _DETAILS.get(refusal.name, refusal.name))
