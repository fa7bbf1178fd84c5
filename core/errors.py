"""The one tree of errors.

    TelecineError                 anything Telecine raises on purpose
    ├── ConfigError               a setting is missing or wrong; nothing has started
    ├── InputError                what a caller sent is wrong; nothing has changed
    ├── NotFoundError             the named thing does not exist
    ├── ConflictError             the thing is not in a state that allows this
    │   ├── LeaseLostError        the lease expired, was cancelled or belongs to another
    │   └── SupersededError       another process speaks for the worker now
    ├── UnauthorizedError         no token, or one that does not hold
    ├── ForbiddenError            the token holds but its scope does not reach
    ├── UnavailableError          a peer (coordinator, CM, Telegram, database) does not answer; try again later
    ├── CmError                   CM answered, but not as configured
    │   └── CmAuthError           CM refuses the login
    ├── SourceError               a source link cannot be used; carries its `Reason`
    ├── TelegramError             Telegram refuses; carries its own error name
    │   ├── FloodWaitError        Telegram asks to wait; carries seconds and the request
    │   ├── FileRefusedError      a bot's `file_id` does not hold (`core.delivery`)
    │   ├── PostRefusedError      a channel's message cannot be copied (`core.delivery`)
    │   └── ChatClosedError       a user cannot be written to (`core.delivery`)
    └── StoreError                the database cannot be used

Each carries a stable `code` for machines, a message for the person who can act on it, and optionally a `hint`
that says what to do. Adapters (HTTP, CLI, bot) translate at their edge.
"""

from __future__ import annotations

from typing import ClassVar


class TelecineError(Exception):
    """Anything Telecine raises on purpose. `str(error)` is fit to show to a person."""

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 1
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, *, hint: str | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.field = field


class ConfigError(TelecineError):
    """A setting is missing or wrong; the message names the file, the key and what was expected."""

    code = "config"
    exit_status = 2
    http_status = 501


class InputError(TelecineError):
    """What a caller sent is wrong; `field` names the offending part."""

    code = "input"
    exit_status = 2
    http_status = 400


class NotFoundError(TelecineError):
    """The named thing does not exist."""

    code = "not_found"
    http_status = 404


class ConflictError(TelecineError):
    """The thing is not in a state that allows this."""

    code = "conflict"
    http_status = 409


class LeaseLostError(ConflictError):
    """The lease expired, was cancelled or belongs to another; its work must not be reported any more."""

    code = "lease_lost"


class SupersededError(ConflictError):
    """Another process speaks for the worker now; this one must end, or the two take each other's leases for ever."""

    code = "superseded"


class UnauthorizedError(TelecineError):
    """No token, or one that does not hold."""

    code = "unauthorized"
    http_status = 401


class ForbiddenError(TelecineError):
    """The token holds but its scope does not reach this call."""

    code = "forbidden"
    http_status = 403


class UnavailableError(TelecineError):
    """A peer does not answer; trying again later may help."""

    code = "unavailable"
    exit_status = 75  # EX_TEMPFAIL of sysexits.h
    http_status = 503


class CmError(TelecineError):
    """CM answered, but not in the shape that the configuration describes."""

    code = "cm"
    http_status = 502


class CmAuthError(CmError):
    """CM refuses the login."""

    code = "cm_auth"


class TelegramError(TelecineError):
    """Telegram refuses a request; `name` is Telegram's own error name, such as CHANNEL_PRIVATE."""

    code = "telegram"

    def __init__(self, message: str, *, name: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.name = name


class FloodWaitError(TelegramError):
    """Telegram asks this account to wait `seconds` before the next `request` (a method name)."""

    code = "flood_wait"

    def __init__(self, seconds: float, request: str) -> None:
        super().__init__(f"Telegram asks to wait {seconds:g} s before {request}", name="FLOOD_WAIT")
        self.seconds = seconds
        self.request = request


class StoreError(TelecineError):
    """The database cannot be used."""

    code = "store"
