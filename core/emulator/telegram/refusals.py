"""What Telegram answers instead of a result."""

from __future__ import annotations

from telecine.core.errors import TelegramError


class RefusalError(TelegramError):
    """Telegram's own refusal: `status` such as 400 and `name` such as CHANNEL_PRIVATE.

    The MTProto half sends both as they are; the Bot API half translates the name into its text.
    """

    def __init__(self, status: int, name: str) -> None:
        super().__init__(f"{status} {name}", name=name)
        self.status = status


def bad_request(name: str) -> RefusalError:
    return RefusalError(400, name)


def forbidden(name: str) -> RefusalError:
    return RefusalError(403, name)
