"""People and bots: seeding, look-up, codes, passwords, keys."""

from __future__ import annotations

import random
from collections.abc import Callable

from telecine.core.emulator.telegram.entities import AuthKey, Bot, User, WorldState
from telecine.core.emulator.telegram.limits import TelegramLimits
from telecine.core.emulator.telegram.refusals import bad_request
from telecine.core.errors import ConflictError, InputError, NotFoundError

ACCESS_HASH_BITS = 62


class Directory:
    """Everybody in one world, by id, phone, username and token."""

    def __init__(
        self, state: WorldState, rng: random.Random, limits: TelegramLimits, changed: Callable[[], None]
    ) -> None:
        self._state = state
        self._rng = rng
        self._limits = limits
        self._changed = changed
        self._codes: dict[str, _Code] = {}

    def add_user(
        self,
        phone: str,
        name: str,
        *,
        premium: bool = False,
        password: str | None = None,
        first_name: str | None = None,
        username: str | None = None,
    ) -> User:
        """Seed an account. `phone` is digits (a leading + is dropped); ConflictError if phone or name is taken."""
        digits = _digits(phone)
        if any(user.phone == digits or user.name == name for user in self._state.users.values()):
            raise ConflictError(f"an account with phone {digits} or name {name!r} exists", field="phone")
        if username is not None:
            self._check_username_free(username)
        user = User(
            id=self._state.next_user_id,
            access_hash=self._access_hash(),
            phone=digits,
            name=name,
            first_name=first_name or name,
            username=username,
            premium=premium,
            password=password,
        )
        self._state.next_user_id += 1
        self._state.users[user.id] = user
        self._changed()
        return user

    def add_bot(self, token: str, username: str, *, first_name: str | None = None) -> Bot:
        """Seed a bot; its id is the number before the colon of `token`."""
        head, colon, secret = token.partition(":")
        if not (head.isdecimal() and colon and secret):
            raise InputError("a bot token looks like 123456:secret", field="token")
        if int(head) in self._state.bots or int(head) in self._state.users:
            raise ConflictError(f"bot {head} exists", field="token")
        self._check_username_free(username)
        bot = Bot(
            id=int(head),
            access_hash=self._access_hash(),
            token=token,
            username=username.removeprefix("@"),
            first_name=first_name or username,
        )
        self._state.bots[bot.id] = bot
        self._changed()
        return bot

    def user(self, user_id: int) -> User:
        """NotFoundError if there is no such person (a bot is not one)."""
        try:
            return self._state.users[user_id]
        except KeyError:
            raise NotFoundError(f"no user {user_id}", field="user_id") from None

    def user_named(self, name: str) -> User:
        """The account labelled `name`; NotFoundError if there is none."""
        for user in self._state.users.values():
            if user.name == name:
                return user
        raise NotFoundError(f"no account named {name!r}", field="account")

    def user_by_phone(self, phone: str) -> User | None:
        digits = _digits(phone)
        return next((user for user in self._state.users.values() if user.phone == digits), None)

    def users(self) -> list[User]:
        return list(self._state.users.values())

    def bots(self) -> list[Bot]:
        return list(self._state.bots.values())

    def bot_by_token(self, token: str) -> Bot | None:
        bot = self._state.bots.get(int(token.partition(":")[0])) if token.partition(":")[0].isdecimal() else None
        return bot if bot is not None and bot.token == token else None

    def peer(self, user_id: int) -> User | Bot | None:
        """A person or a bot by id."""
        return self._state.users.get(user_id) or self._state.bots.get(user_id)

    def by_username(self, username: str) -> User | Bot | None:
        wanted = username.removeprefix("@").casefold()
        everybody: tuple[User | Bot, ...] = (*self._state.users.values(), *self._state.bots.values())
        return next((one for one in everybody if (one.username or "").casefold() == wanted), None)

    def send_code(self, phone: str) -> tuple[User, str]:
        """Make a login code for a phone and return whom it is for and the hash that goes with it."""
        user = self.user_by_phone(phone)
        if user is None:
            raise bad_request("PHONE_NUMBER_INVALID")
        code = _Code(f"{self._rng.randrange(100_000):05d}", f"{self._rng.getrandbits(64):016x}")
        self._codes[user.phone] = code
        return user, code.hash

    def login_code(self, phone: str) -> str | None:
        """The code last sent to a phone and not used yet: what a person would read in their Telegram app."""
        code = self._codes.get(_digits(phone))
        return None if code is None else code.digits

    def take_code(self, phone: str, code_hash: str, digits: str) -> User:
        """Check a code and use it up. Refusals: PHONE_CODE_EXPIRED, PHONE_CODE_INVALID and their like."""
        user = self.user_by_phone(phone)
        if user is None:
            raise bad_request("PHONE_NUMBER_UNOCCUPIED")
        code = self._codes.get(user.phone)
        if code is None or code.hash != code_hash:
            raise bad_request("PHONE_CODE_EXPIRED")
        if not digits:
            raise bad_request("PHONE_CODE_EMPTY")
        if code.digits != digits:
            code.attempts += 1
            if code.attempts >= self._limits.code_attempts_max:
                del self._codes[user.phone]
            raise bad_request("PHONE_CODE_INVALID")
        del self._codes[user.phone]
        return user

    def auth_key(self, key_id: int) -> AuthKey | None:
        return self._state.auth_keys.get(key_id)

    def keep_auth_key(self, key: AuthKey) -> None:
        self._state.auth_keys[key.id] = key
        self._changed()

    def sign(self, key: AuthKey, user_id: int | None, *, pending_user_id: int | None = None) -> None:
        """Bind a key to a user, or loose it with None; `pending_user_id` still owes the password."""
        key.user_id = user_id
        key.pending_user_id = pending_user_id
        self._changed()

    def _access_hash(self) -> int:
        return self._rng.getrandbits(ACCESS_HASH_BITS) | 1

    def _check_username_free(self, username: str) -> None:
        if self.by_username(username) is not None:
            raise ConflictError(f"the username {username!r} is taken", field="username")


class _Code:
    def __init__(self, digits: str, code_hash: str) -> None:
        self.digits = digits
        self.hash = code_hash
        self.attempts = 0


def _digits(phone: str) -> str:
    digits = "".join(filter(str.isdecimal, phone))
    if not digits:
        raise InputError(f"{phone!r} is not a phone number", field="phone")
    return digits
