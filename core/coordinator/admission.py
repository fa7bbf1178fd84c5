"""Who may make a call, and how many at once."""

from __future__ import annotations

from telecine.core.coordinator.http.requests import RequestRefusedError
from telecine.core.coordinator.tokens import Identity, Scope, Tokens
from telecine.core.errors import ForbiddenError

CALLS_PER_TOKEN_MAX = 64  # at once: a worker makes a few, and long polls are among them


class Admission:
    """Lets through whom a call is for."""

    def __init__(self, tokens: Tokens, *, calls_per_token_max: int = CALLS_PER_TOKEN_MAX) -> None:
        self._tokens = tokens
        self._calls_max = calls_per_token_max
        self._calling: dict[str, int] = {}

    def admit(self, header: str | None, scopes: frozenset[Scope]) -> Identity:
        """Who an `Authorization` header speaks for. Raises UnauthorizedError, ForbiddenError for the wrong scope."""
        identity = self._tokens.verify(header)
        if identity.scope not in scopes:
            wanted = " or ".join(sorted(scopes))
            raise ForbiddenError(f"this call needs a token of scope {wanted}, not {identity.scope.value}")
        return identity

    def enter(self, jti: str) -> None:
        """A call with this token begins; `leave` ends it. Raises RequestRefusedError where too many are under way."""
        calls = self._calling.get(jti, 0)
        if calls >= self._calls_max:
            raise RequestRefusedError(429, f"{self._calls_max} calls with this token are being answered already")
        self._calling[jti] = calls + 1

    def leave(self, jti: str) -> None:
        calls = self._calling.pop(jti) - 1
        if calls:
            self._calling[jti] = calls
