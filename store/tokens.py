"""What is kept of the API's bearer tokens."""

from __future__ import annotations

import msgspec

from telecine.core.coordinator.tokens import IssuedToken, Scope
from telecine.core.errors import ConflictError, NotFoundError
from telecine.store.readers import Readers
from telecine.store.transaction import Row, Transaction
from telecine.store.writer import Writer


class SqliteTokens:
    """Implements `TokenRegistry`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def add(self, token: IssuedToken) -> None:
        await self._writer.run(lambda tx: add(tx, token))

    async def revoke(self, jti: str) -> IssuedToken:
        return await self._writer.run(lambda tx: revoke(tx, jti))

    async def revoked(self) -> frozenset[str]:
        rows = await self._readers.run(lambda tx: tx.all("revoked_tokens", {"now_ms": tx.now_ms}))
        return frozenset(row["jti"] for row in rows)

    async def issued(self) -> tuple[IssuedToken, ...]:
        rows = await self._readers.run(lambda tx: tx.all("tokens_all"))
        return tuple(map(_token, rows))


def add(tx: Transaction, token: IssuedToken) -> None:
    """Raises ConflictError for a `jti` that is there already."""
    if not tx.execute("insert_token", {**msgspec.structs.asdict(token), "scope": token.scope.value}):
        raise ConflictError(f"a token {token.jti} was issued before")


def revoke(tx: Transaction, jti: str) -> IssuedToken:
    """Raises NotFoundError."""
    row = tx.one("revoke_token", {"jti": jti, "now_ms": tx.now_ms})
    if row is None:
        raise NotFoundError(f"there is no token {jti}")
    return _token(row)


def _token(row: Row) -> IssuedToken:
    return IssuedToken(
        jti=row["jti"],
        subject=row["subject"],
        scope=Scope(row["scope"]),
        issued_at_ms=row["issued_at_ms"],
        expires_at_ms=row["expires_at_ms"],
        revoked_at_ms=row["revoked_at_ms"],
    )
