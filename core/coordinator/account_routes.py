"""Accounts: who is parked, and operators who park and unpark."""

from __future__ import annotations

from telecine.core.coordinator.calls import OPERATORS, Call, Route, answer
from telecine.core.coordinator.http.answers import Answer
from telecine.core.operator_protocol import Accounts, AccountStatus, Park


async def accounts(call: Call) -> Answer:
    """Accounts, and how long they are parked still."""
    return answer(Accounts(await call.services.operations.accounts()))


async def park(call: Call) -> Answer:
    """Let an account claim nothing, or send nothing, for a while; for longer where Telegram has said so."""
    return answer(await call.services.operations.park(call.name("name"), call.body(Park)))


async def unpark(call: Call) -> Answer:
    """End every park of an account."""
    return answer(await call.services.operations.unpark(call.name("name")))


ROUTES = (
    Route("GET", "/v1/accounts", accounts, OPERATORS, answers=Accounts),
    Route("POST", "/v1/accounts/{name}/park", park, OPERATORS, body=Park, answers=AccountStatus),
    Route("POST", "/v1/accounts/{name}/unpark", unpark, OPERATORS, answers=AccountStatus),
)
