"""How safe what is committed is."""

from __future__ import annotations

from telecine.core.coordinator.calls import OPERATORS, Call, Route, answer
from telecine.core.coordinator.http.answers import Answer
from telecine.core.operator_protocol import BackupStatus


async def backup(call: Call) -> Answer:
    """Whether the database is replicated, and whether replication moves."""
    return answer(await call.services.backup.status())


ROUTES = (Route("GET", "/v1/backup", backup, OPERATORS, answers=BackupStatus),)
