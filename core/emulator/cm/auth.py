"""CM's sign-in: short JWT access tokens and refresh tokens that rotate and die at once, as Directus has them."""

from __future__ import annotations

import secrets

import jwt
import msgspec

from telecine.core.clock import Clock
from telecine.core.emulator.cm.refusals import (
    EXPIRED_TOKEN,
    INVALID_CREDENTIALS,
    INVALID_TOKEN,
    CmRefusalError,
)

ALGORITHM = "HS256"
ISSUER = "directus"


class CmCredentials(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may read CM, and for how long a token holds."""

    email: str = "importer@cm.example"
    password: str = "importer"  # noqa: S105 - the emulator's own, printed when it starts
    access_ttl_ms: int = 900_000
    refresh_ttl_ms: int = 604_800_000
    static_token: str | None = None
    """A bearer token that never expires, as Directus gives to a user on request."""


class CmTokens(msgspec.Struct, frozen=True):
    """What a login or a refresh answers; `expires` in milliseconds from now."""

    expires: int
    refresh_token: str
    access_token: str


class CmAuthState(msgspec.Struct):
    """What outlives a restart."""

    secret: str = msgspec.field(default_factory=lambda: secrets.token_hex(32))
    refresh_until_ms: dict[str, int] = msgspec.field(default_factory=dict)
    issued: int = 0
    """Serial number of the newest access token."""
    expired_up_to: int = 0
    """Access tokens up to this serial number are expired on demand."""


class CmAuth:
    """Issues and verifies the tokens of one CM."""

    def __init__(self, credentials: CmCredentials, clock: Clock, state: CmAuthState | None = None) -> None:
        self.credentials = credentials
        self.state = state or CmAuthState()
        self._clock = clock

    def login(self, email: str, password: str) -> CmTokens:
        """A first pair of tokens. Raises CmRefusalError for a wrong address or password."""
        given = f"{email}\0{password}".encode()
        if not secrets.compare_digest(given, f"{self.credentials.email}\0{self.credentials.password}".encode()):
            raise CmRefusalError(INVALID_CREDENTIALS)
        return self._issue()

    def refresh(self, refresh_token: str) -> CmTokens:
        """The next pair; the token given is spent even if the answer gets lost."""
        until_ms = self.state.refresh_until_ms.pop(refresh_token, 0)
        if until_ms <= self._clock.now_ms():
            raise CmRefusalError(INVALID_CREDENTIALS)
        return self._issue()

    def logout(self, refresh_token: str) -> None:
        """Spend a refresh token."""
        if self.state.refresh_until_ms.pop(refresh_token, None) is None:
            raise CmRefusalError(INVALID_CREDENTIALS)

    def verify(self, token: str) -> None:
        """Raises CmRefusalError unless this access token holds now."""
        if self.credentials.static_token and secrets.compare_digest(token, self.credentials.static_token):
            return
        try:
            jwt.get_unverified_header(token)
        except jwt.DecodeError as error:
            # No JWT at all is looked up as a static token, and there is none such.
            raise CmRefusalError(INVALID_CREDENTIALS) from error
        claims = self._claims(token)
        if claims.exp * 1000 <= self._clock.now_ms() or int(claims.jti) <= self.state.expired_up_to:
            raise CmRefusalError(EXPIRED_TOKEN)

    def expire_access_tokens(self) -> None:
        """Every access token issued so far is answered with TOKEN_EXPIRED from now on."""
        self.state.expired_up_to = self.state.issued

    def revoke_refresh_tokens(self) -> None:
        """Every refresh token issued so far is answered with INVALID_CREDENTIALS from now on."""
        self.state.refresh_until_ms.clear()

    def _claims(self, token: str) -> _Claims:
        try:
            claims = jwt.decode(
                token,
                self.state.secret,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                # The time is the clock's, not the system's.
                options={"verify_exp": False, "verify_iat": False},
            )
            return msgspec.convert(claims, _Claims)
        except (jwt.InvalidTokenError, msgspec.ValidationError) as error:
            raise CmRefusalError(INVALID_TOKEN) from error

    def _issue(self) -> CmTokens:
        now_ms = self._clock.now_ms()
        self.state.issued += 1
        claims = {
            "id": "9e1c5c36-importer",
            "role": "4ac3-importers",
            "app_access": False,
            "admin_access": False,
            "iat": now_ms // 1000,
            "exp": (now_ms + self.credentials.access_ttl_ms) // 1000,
            "iss": ISSUER,
            "jti": str(self.state.issued),
        }
        refresh_token = secrets.token_urlsafe(48)
        self.state.refresh_until_ms[refresh_token] = now_ms + self.credentials.refresh_ttl_ms
        return CmTokens(
            expires=self.credentials.access_ttl_ms,
            refresh_token=refresh_token,
            access_token=jwt.encode(claims, self.state.secret, algorithm=ALGORITHM),
        )


class _Claims(msgspec.Struct, frozen=True):
    exp: int
    jti: str
