"""Signing a worker's account in: phone, code, and the second password where there is one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from telethon import errors

from telecine.core.config import TelegramSettings
from telecine.core.errors import InputError
from telecine.core.worker.telegram.account import open_client, who
from telecine.core.worker.telegram.calls import REFUSALS, translated

TRIES_MAX = 3  # wrong codes or passwords before giving up
FLOOD_WAIT_IN_PLACE_S = 5.0

Ask = Callable[[], Awaitable[str]]

_NUMBERS = (errors.PhoneNumberInvalidError, errors.PhoneNumberBannedError, errors.PhoneNumberUnoccupiedError)
_CODES = (errors.PhoneCodeInvalidError, errors.PhoneCodeEmptyError)
_PASSWORDS = (errors.PasswordHashInvalidError,)


class SignedIn(msgspec.Struct, frozen=True):
    """Whose account a session belongs to. `already`: nothing had to be asked."""

    user_id: int
    name: str
    premium: bool
    already: bool


async def sign_in(
    telegram: TelegramSettings, session: Path, *, phone: str, ask_code: Ask, ask_password: Ask
) -> SignedIn:
    """Sign `session` in as the account of `phone`; `ask_code` and `ask_password` are called when they are needed.

    Raises InputError for a number, code or password that Telegram refuses, ConfigError where the session is in use,
    FloodWaitError, TelegramError, UnavailableError.
    """
    async with open_client(telegram, session, flood_wait_in_place_s=FLOOD_WAIT_IN_PLACE_S) as client:
        user = await who(client)
        already = user is not None
        if user is None:
            await _enter(client, phone, ask_code, ask_password)
            user = await who(client)
        if user is None:
            raise InputError("Telegram did not sign the account in", field="phone")
        return SignedIn(int(user.id), user.first_name or "", bool(user.premium), already)


async def _enter(client: Any, phone: str, ask_code: Ask, ask_password: Ask) -> None:
    try:
        await client.send_code_request(phone)
        await _repeat(ask_code, lambda code: client.sign_in(phone, code), _CODES)
    except errors.SessionPasswordNeededError:
        await _password(client, ask_password)
    except _NUMBERS as error:
        raise InputError(f"Telegram does not take the number {phone}", field="phone") from error
    except REFUSALS as error:
        raise translated(error, "auth.signIn") from error


async def _password(client: Any, ask_password: Ask) -> None:
    try:
        await _repeat(ask_password, lambda password: client.sign_in(password=password), _PASSWORDS)
    except REFUSALS as error:
        raise translated(error, "auth.checkPassword") from error


async def _repeat(ask: Ask, use: Callable[[str], Awaitable[object]], mistakes: tuple[type[Exception], ...]) -> None:
    """Ask until what is answered is taken, TRIES_MAX times at most."""
    for left in reversed(range(TRIES_MAX)):
        try:
            await use((await ask()).strip())
        except mistakes as error:
            if not left:
                raise InputError(f"Telegram refuses it: {error}", field="code") from error
        else:
            return
