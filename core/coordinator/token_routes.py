"""Bearer tokens: what is kept of them, and their end. They are issued on the coordinator's own machine alone."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from telecine.core.coordinator.calls import OPERATORS, Call, Route, answer
from telecine.core.coordinator.http.answers import Answer
from telecine.core.coordinator.paging import PAGE_ROWS, PageRows, last_of
from telecine.core.coordinator.tokens import IssuedToken
from telecine.core.errors import InputError
from telecine.core.operator_protocol import TokenPage, TokenRecord


class TokensQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of `GET /v1/tokens`."""

    after: Annotated[str, Meta(max_length=128)] | None = None
    limit: PageRows = PAGE_ROWS


async def tokens(call: Call) -> Answer:
    """What is kept of the tokens, the newest first; never the tokens."""
    query = call.query(TokensQuery)
    issued = await call.services.tokens.issued()
    page = _behind(issued, query.after)[: query.limit]
    last = last_of(page, query.limit)
    now_ms = call.services.clock.now_ms()
    return answer(TokenPage(tuple(_record(token, now_ms) for token in page), after=last.jti if last else None))


async def revoke_token(call: Call) -> Answer:
    """Make a token worthless from now on."""
    revoked = await call.services.tokens.revoke(call.name("jti"))
    return answer(_record(revoked, call.services.clock.now_ms()))


def _behind(issued: tuple[IssuedToken, ...], jti: str | None) -> tuple[IssuedToken, ...]:
    if jti is None:
        return issued
    for position, token in enumerate(issued):
        if token.jti == jti:
            return issued[position + 1 :]
    raise InputError(f"there is no token {jti} to go on behind", field="after")


def _record(token: IssuedToken, now_ms: int) -> TokenRecord:
    return TokenRecord(
        jti=token.jti,
        subject=token.subject,
        scope=token.scope.value,
        issued_ago_s=max(0, now_ms - token.issued_at_ms) / 1000,
        expires_s=(token.expires_at_ms - now_ms) / 1000,
        revoked=token.revoked_at_ms is not None,
    )


ROUTES = (
    Route("GET", "/v1/tokens", tokens, OPERATORS, query=TokensQuery, answers=TokenPage),
    Route("POST", "/v1/tokens/{jti}/revoke", revoke_token, OPERATORS, answers=TokenRecord),
)
