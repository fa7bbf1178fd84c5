"""CM's token pair: how long it lasts by our own clock, and where it is kept between runs."""

from __future__ import annotations

import base64
import binascii
import contextlib
import datetime as dt
import os
import tempfile
from pathlib import Path

import msgspec

from telecine.core.config import CmTokens
from telecine.core.errors import CmError, ConfigError
from telecine.core.intake.mapping import FieldPath, parse_path, whole_number

SKEW_SHARE_MAX = 0.3  # of a lifetime at most: a token of 8 s with a skew of 30 s is still used for a while
TOKEN_CHARS_MAX = 16_384
NUMBER_MAX = 10**15  # of seconds or milliseconds: a token with a larger one does not end in our time


class TokenPair(msgspec.Struct, frozen=True):
    """An access token and what renews it. `renew_at_ms` is by our clock; None: not until it is refused."""

    access_token: str
    refresh_token: str | None = None
    renew_at_ms: int | None = None

    def __repr__(self) -> str:
        return f"TokenPair(renew_at_ms={self.renew_at_ms})"  # what is printed is logged one day

    def is_fresh(self, now_ms: int) -> bool:
        """Whether it may be used without asking for another."""
        return self.renew_at_ms is None or now_ms < self.renew_at_ms


class TokenAnswers:
    """Reads the answers to login and refresh by `[cm.auth.response]`."""

    def __init__(self, settings: CmTokens, skew_s: float) -> None:
        table = "cm.auth.response"
        self._access = parse_path(settings.access_token, f"{table}.access_token")
        self._refresh = parse_path(settings.refresh_token, f"{table}.refresh_token")
        self._expires = parse_path(settings.expires_in, f"{table}.expires_in") if settings.expires_in else None
        self._unit = settings.expires_unit
        self._skew_s = skew_s

    def read(self, document: object, asked_at_ms: int) -> TokenPair:
        """The pair in an answer to what was asked at `asked_at_ms`. Raises CmError for one that holds no token."""
        access_token = _token(self._access, document)
        if access_token is None:
            raise CmError(f"the answer to the login has no token at `{self._access.text}`", field="access_token")
        lifetime_s = jwt_lifetime_s(access_token)
        if lifetime_s is None:
            lifetime_s = self._declared_lifetime_s(document, asked_at_ms)
        return TokenPair(access_token, _token(self._refresh, document), self._renew_at_ms(lifetime_s, asked_at_ms))

    def _renew_at_ms(self, lifetime_s: float | None, asked_at_ms: int) -> int | None:
        if lifetime_s is None or lifetime_s <= 0:  # a token that is over when it comes: clocks differ, CM decides
            return None
        margin_s = min(self._skew_s, lifetime_s * SKEW_SHARE_MAX)
        return asked_at_ms + round((lifetime_s - margin_s) * 1000)

    def _declared_lifetime_s(self, document: object, asked_at_ms: int) -> float | None:
        value = self._expires.one(document) if self._expires else None
        if value is None:
            return None
        if self._unit == "iso":
            return _iso_s(value) - asked_at_ms / 1000
        number = max(-NUMBER_MAX, min(whole_number(value), NUMBER_MAX))
        if self._unit == "epoch":
            return number - asked_at_ms / 1000
        return number / 1000 if self._unit == "ms" else float(number)


class _Claims(msgspec.Struct):
    exp: float
    iat: float


def jwt_lifetime_s(token: str) -> float | None:
    """`exp` minus `iat` of a JWT, None for what is none. The signature is CM's business and is not looked at.

    The difference does not depend on CM's clock being right, only on its running.
    """
    try:
        payload = token.split(".")[1]
        claims = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=_Claims)
    except (IndexError, ValueError, binascii.Error, msgspec.DecodeError, RecursionError):
        return None
    return max(-NUMBER_MAX, min(claims.exp - claims.iat, NUMBER_MAX))


class _Kept(msgspec.Struct):
    base_url: str
    pair: TokenPair


class TokenFile:
    """One file, mode 0600, that holds the pair of one CM: always the old one or the new one, whole."""

    def __init__(self, path: Path, base_url: str) -> None:
        self._path = path
        self._base_url = base_url

    def load(self) -> TokenPair | None:
        """The pair kept; None where there is none, or one of another CM, or a file that cannot be read as one.

        Raises ConfigError for a file that must not be read.
        """
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        except OSError as error:
            raise ConfigError(f"cm.auth.token_file: {self._path} cannot be read: {error.strerror}") from error
        return kept.pair if kept.base_url == self._base_url else None

    def save(self, pair: TokenPair) -> None:
        """Keep a pair, on the disk when this returns. Raises ConfigError where that is not possible."""
        document = msgspec.json.encode(_Kept(self._base_url, pair))
        try:
            self._replace(document)
        except OSError as error:
            raise ConfigError(f"cm.auth.token_file: {self._path} cannot be written: {error.strerror}") from error

    def _replace(self, document: bytes) -> None:
        folder = self._path.parent
        folder.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(dir=folder, prefix=f".{self._path.name}.")  # mkstemp makes it 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(document)
                file.flush()
                os.fsync(file.fileno())
            Path(scratch).replace(self._path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(scratch).unlink()
            raise
        _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _token(path: FieldPath, document: object) -> str | None:
    try:
        value = path.one(document)
    except CmError:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= TOKEN_CHARS_MAX:
        return None
    return value if value.isascii() and value.isprintable() else None


def _iso_s(value: object) -> float:
    try:
        moment = dt.datetime.fromisoformat(str(value))
    except ValueError:
        raise CmError("the answer to the login has no ISO 8601 time where the settings expect one") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
