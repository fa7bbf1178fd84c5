"""One request to Telegram, and what its refusals mean in our own tree of errors.

The edge to Telethon, which has no types: what passes here inwards is `Any`, what passes outwards is typed.
"""

from __future__ import annotations

import asyncio
from typing import Any

from telethon import errors
from telethon.errors.rpcerrorlist import rpc_errors_dict
from telethon.tl import functions

from telecine.core.errors import FloodWaitError, TelecineError, TelegramError, UnavailableError

RANDOM_ID_DUPLICATE = "RANDOM_ID_DUPLICATE"
SIGNED_OUT = frozenset(
    {
        "AUTH_KEY_UNREGISTERED",
        "AUTH_KEY_INVALID",
        "AUTH_KEY_DUPLICATED",  # used from two addresses at once: Telegram has destroyed the session
        "SESSION_REVOKED",
        "SESSION_EXPIRED",
        "USER_DEACTIVATED",
        "USER_DEACTIVATED_BAN",
    }
)
# The account cannot post into a channel, and will not be able to tomorrow. USER_BANNED_IN_CHANNEL is not among them: it
# is about an account that Telegram holds for a spammer, and would hold for every other channel too.
CHANNEL_LOST = frozenset(
    {
        "CHANNEL_INVALID",  # deleted
        "CHANNEL_PRIVATE",
        "CHAT_ADMIN_REQUIRED",
        "CHAT_FORBIDDEN",
        "CHAT_RESTRICTED",
        "CHAT_SEND_DOCS_FORBIDDEN",
        "CHAT_SEND_MEDIA_FORBIDDEN",
        "CHAT_SEND_VIDEOS_FORBIDDEN",
        "CHAT_WRITE_FORBIDDEN",
    }
)

_NAMES: dict[type, str] = {kind: name for name, kind in rpc_errors_dict.items()}
_WAITS = (
    errors.FloodWaitError,
    errors.FloodPremiumWaitError,
    errors.SlowModeWaitError,
    errors.FloodTestPhoneWaitError,
    errors.TakeoutInitDelayError,
)
_BROKEN = (
    errors.AuthKeyNotFound,
    errors.BadMessageError,
    errors.InvalidBufferError,
    errors.InvalidChecksumError,
    errors.SecurityError,
    errors.TypeNotFoundError,
)
REFUSALS: tuple[type[Exception], ...] = (errors.RPCError, OSError, EOFError, TimeoutError, ValueError, *_BROKEN)


class PremiumWaitError(FloodWaitError):
    """A wait that only accounts without Premium are given, to slow their uploads down.

    An account that counts as Premium has probably lapsed.
    """


class PartMissingError(TelegramError):
    """Telegram no longer has part `index` of a file that was to be sent."""

    def __init__(self, index: int) -> None:
        super().__init__(f"Telegram has lost part {index} of the file", name=f"FILE_PART_{index}_MISSING")
        self.index = index


class FileLostError(TelegramError):
    """Telegram no longer has so much of an uploaded file that it is to be uploaded anew."""

    def __init__(self, why: str) -> None:
        super().__init__(f"Telegram has lost an uploaded file: {why}", name="FILE_PARTS_INVALID")


async def answer(sender: Any, request: Any) -> Any:
    """Send one request on one connection, once, and wait for its answer.

    A connection that breaks is opened again by Telethon and the request repeated on it. Raises FloodWaitError,
    TelegramError, or UnavailableError where the answer is not known.
    """
    try:
        return await sender.send(request)
    except asyncio.CancelledError:
        # Telethon cancels what is pending when it gives a connection up; that is not a cancellation of ours.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise UnavailableError("the connection to Telegram was closed") from None
    except REFUSALS as error:
        raise translated(error, method_name(request)) from error


async def ask(client: Any, request: Any) -> Any:
    """Send a request that may be repeated freely: short waits and passing errors are sat out by the client.

    Raises as `answer` does.
    """
    try:
        return await client(request)
    except REFUSALS as error:
        raise translated(error, method_name(request)) from error


def translated(error: Exception, request: str) -> TelecineError:
    """Our own error for one that came up during `request` (a method's name)."""
    match error:
        case errors.FloodPremiumWaitError():
            return PremiumWaitError(float(error.seconds), request)
        case _ if isinstance(error, _WAITS):
            return FloodWaitError(float(getattr(error, "seconds", 0)), request)
        case errors.RPCError():
            return _refusal(error, request)
        case errors.AuthKeyNotFound():
            return TelegramError("Telegram does not know this session any more", name="AUTH_KEY_UNREGISTERED")
        case _:
            return UnavailableError(f"no answer from Telegram to {request}: {type(error).__name__}: {error}")


def method_name(request: Any) -> str:
    """TL name of a request, such as `messages.sendMedia`, seen through what it is wrapped in."""
    while isinstance(request, (functions.InvokeWithoutUpdatesRequest, functions.InvokeWithLayerRequest)):
        request = request.query
    name = type(request).__name__.removesuffix("Request")
    namespace = type(request).__module__.rpartition(".")[2]
    spelled = name[:1].lower() + name[1:]
    return spelled if namespace == "functions" else f"{namespace}.{spelled}"


def _refusal(error: Any, request: str) -> TelecineError:
    if isinstance(error, (errors.FilePart0MissingError, errors.FilePartMissingError)):
        return PartMissingError(int(getattr(error, "which", 0)))
    name = _NAMES.get(type(error)) or str(error.message)
    passing = isinstance(error, (errors.ServerError, errors.TimedOutError)) or abs(int(error.code or 0)) >= 500
    if passing and name != RANDOM_ID_DUPLICATE:
        return UnavailableError(f"Telegram has trouble of its own with {request}: {name}")
    return TelegramError(f"Telegram refuses {request}: {name}", name=name)
