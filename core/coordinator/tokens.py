"""The API's bearer tokens: JWTs that the coordinator signs for workers and operators and verifies on every call.

A token says who (`sub`), what for (`scope`) and until when; nothing about it need be looked up but whether it was
revoked, and of that a copy is kept in memory. HS256 is the only algorithm that is ever accepted.
"""

from __future__ import annotations

import enum
import logging
from collections import OrderedDict
from typing import Protocol

import jwt
import msgspec

from telecine.core.clock import Clock
from telecine.core.errors import ConfigError, InputError, StoreError, UnauthorizedError, UnavailableError

ALGORITHM = "HS256"
ISSUER = "telecine"
AUDIENCE = "telecine-api"
SECRET_BYTES_MIN = 32  # RFC 7518 section 3.2: a key at least as long as the hash
CLOCK_SKEW_S = 60  # a token may be this much younger than now: our own clock may have been set back
VERIFIED_MAX = 4096  # tokens whose signature is remembered as good
TOKEN_CHARS_MAX = 4096
REISSUE_HINT = "`telecine token issue` makes a new one"
TOKEN_TTL_S_MAX = 10 * 365 * 86_400

logger = logging.getLogger(__name__)


class Scope(enum.StrEnum):
    """What a token is good for. Neither scope reaches the other's calls."""

    WORKER = "worker"
    OPERATOR = "operator"


class Identity(msgspec.Struct, frozen=True):
    """Who is calling. `account` is the Telegram account that a worker uploads with."""

    subject: str
    scope: Scope
    jti: str
    account: str


class IssuedToken(msgspec.Struct, frozen=True):
    """What is kept of a token: everything but the token."""

    jti: str
    subject: str
    scope: Scope
    issued_at_ms: int
    expires_at_ms: int
    revoked_at_ms: int | None = None


class TokenRegistry(Protocol):
    """Where issued tokens are kept."""

    async def add(self, token: IssuedToken) -> None:
        """Keep a token. Raises ConflictError for a `jti` that is there already."""
        ...

    async def revoke(self, jti: str) -> IssuedToken:
        """Mark a token as revoked now; one that is revoked already keeps its time. Raises NotFoundError."""
        ...

    async def revoked(self) -> frozenset[str]:
        """The `jti` of every revoked token that has not expired."""
        ...

    async def issued(self) -> tuple[IssuedToken, ...]:
        """Every token, newest first."""
        ...


class TokenClaims(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a token carries. `iat` and `exp` are whole seconds since 1970-01-01 UTC."""

    iss: str
    aud: str
    sub: str
    scope: Scope
    jti: str
    iat: int
    exp: int
    account: str | None = None


class Tokens:
    """Issues, verifies and revokes. `load` must have run before the first `verify`."""

    def __init__(self, secret: str, clock: Clock, registry: TokenRegistry) -> None:
        if len(secret.encode()) < SECRET_BYTES_MIN:
            raise ConfigError(f"coordinator.secret: expected at least {SECRET_BYTES_MIN} bytes")
        self._secret = secret
        self._clock = clock
        self._registry = registry
        self._revoked: frozenset[str] = frozenset()
        self._verified: OrderedDict[str, tuple[TokenClaims, Identity]] = OrderedDict()

    async def load(self) -> None:
        """Read which tokens are revoked."""
        loaded = await self._registry.revoked()
        self._revoked |= loaded  # nothing is ever un-revoked, and `revoke` may have run meanwhile

    async def load_forever(self, interval_s: float) -> None:
        """Load every `interval_s` until cancelled: `telecine token revoke` writes from a process of its own."""
        while True:
            await self._clock.sleep(interval_s)
            try:
                await self.load()
            except (StoreError, UnavailableError) as error:
                logger.warning("revoked tokens could not be read; trying again in %g s: %s", interval_s, error)

    async def issue(
        self, subject: str, scope: Scope, *, ttl_s: int, jti: str, account: str | None = None
    ) -> tuple[str, IssuedToken]:
        """Sign a token and keep note of it. Raises InputError, and ConflictError for a `jti` used before."""
        if not subject:
            raise InputError("a token needs a subject", field="subject")
        if not 0 < ttl_s <= TOKEN_TTL_S_MAX:
            raise InputError(f"ttl_s must be between 1 and {TOKEN_TTL_S_MAX}", field="ttl_s")
        now_s = self._clock.now_ms() // 1000
        claims = TokenClaims(ISSUER, AUDIENCE, subject, scope, jti, now_s, now_s + ttl_s, account)
        issued = IssuedToken(jti, subject, scope, claims.iat * 1000, claims.exp * 1000)
        await self._registry.add(issued)
        return jwt.encode(msgspec.to_builtins(claims), self._secret, algorithm=ALGORITHM), issued

    async def revoke(self, jti: str) -> IssuedToken:
        """Make a token worthless from now on. Raises NotFoundError."""
        revoked = await self._registry.revoke(jti)
        self._revoked |= {jti}
        return revoked

    async def issued(self) -> tuple[IssuedToken, ...]:
        """Every token that was issued, newest first."""
        return await self._registry.issued()

    def verify(self, header: str | None) -> Identity:
        """Who an `Authorization` header speaks for. Raises UnauthorizedError that never repeats the token."""
        claims, identity = self._verified.get(header or "") or self._check(header)
        if claims.exp <= self._clock.now_ms() // 1000:
            raise UnauthorizedError("the token has expired", hint=REISSUE_HINT)
        if claims.jti in self._revoked:
            raise UnauthorizedError("the token was revoked", hint=REISSUE_HINT)
        return identity

    def _check(self, header: str | None) -> tuple[TokenClaims, Identity]:
        """Verify the signature, which costs more than a claim from the queue, and remember the header that held it."""
        token = _bearer(header)
        try:
            # Expiry is checked against our own clock, on every call, by `verify`.
            payload = jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                audience=AUDIENCE,
                options={"require": ["iss", "aud", "iat", "exp", "jti"], "verify_exp": False, "verify_iat": False},
            )
            claims = msgspec.convert(payload, TokenClaims)
        except (jwt.InvalidTokenError, msgspec.ValidationError, RecursionError) as error:
            raise UnauthorizedError("the token does not hold", hint=REISSUE_HINT) from error
        if claims.iat > self._clock.now_ms() // 1000 + CLOCK_SKEW_S:
            raise UnauthorizedError("the token is from the future", hint="compare the clocks of the machines")
        verified = claims, Identity(claims.sub, claims.scope, claims.jti, claims.account or claims.sub)
        self._verified[header or ""] = verified
        if len(self._verified) > VERIFIED_MAX:
            self._verified.popitem(last=False)
        return verified


def _bearer(header: str | None) -> str:
    if header is None:
        raise UnauthorizedError("this call needs a token", hint="send `Authorization: Bearer …`")
    scheme, _, token = header.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token.isascii() or not 0 < len(token) <= TOKEN_CHARS_MAX:
        raise UnauthorizedError("the Authorization header holds no bearer token")
    return token
