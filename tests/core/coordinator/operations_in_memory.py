"""Operators' calls that are heard and answered with what the test has put there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from telecine.core.errors import ConflictError, NotFoundError
from telecine.core.leases import AttemptOutcome, VariantState
from telecine.core.operator_protocol import (
    AccountStatus,
    AttemptRecord,
    BackupState,
    BackupStatus,
    ChannelState,
    ChannelStatus,
    HostStatus,
    Park,
    VariantMoved,
    WorkerMode,
    WorkerStatus,
)

ACCOUNT = AccountStatus(
    "cm-ember", premium=True, uploads_parked_s=12.5, sends_parked_s=0.0, park_reason="FLOOD_WAIT", channels=3
)
CHANNEL = ChannelStatus(1, "CM_C000001", "cm-ember", 4242, ChannelState.OPEN, messages=7)
HOST = HostStatus("files.example:8080", leases=1, leases_max=None, rung=0, parked_s=0.0, park_reason=None)
WORKERS = (WorkerStatus("cm-ember", "cm-ember", "b1", 2.0, ()), WorkerStatus("cm-rora", "cm-rora", None, None, ()))


class BackupInMemory:
    async def status(self) -> BackupStatus:
        return BackupStatus(BackupState.REPLICATING, None, 4096, 0, written_ago_s=1.0, txid=7)


@dataclass
class OperationsInMemory:
    """`states` are the variants that are known. `error` is raised where accounts are asked for."""

    states: dict[str, VariantState] = field(default_factory=dict)
    heard: list[Any] = field(default_factory=list)
    error: Exception | None = None

    async def cancel(self, code: str) -> VariantState:
        return self._move(code, VariantState.CANCELLED)

    async def requeue(self, code: str) -> VariantState:
        if self.states.get(code) is VariantState.LEASED:
            raise ConflictError("an upload that is leased cannot be queued again")
        return self._move(code, VariantState.READY)

    async def withdraw(self, code: str) -> VariantState:
        return self._move(code, VariantState.WITHDRAWN)

    async def withdraw_title(self, title_id: int) -> tuple[VariantMoved, ...]:
        self.heard.append(title_id)
        return tuple(VariantMoved(code, self._move(code, VariantState.WITHDRAWN)) for code in self.states)

    async def prioritise(self, code: str, priority: int) -> VariantState:
        self.heard.append((code, priority))
        return self._move(code)

    async def pin(self, code: str, account: str | None) -> VariantState:
        self.heard.append((code, account))
        return self._move(code)

    async def set_copies(self, title_id: int, copies: int) -> None:
        self.heard.append((title_id, copies))

    async def attempts(
        self,
        *,
        code: str | None = None,
        worker: str | None = None,
        outcome: AttemptOutcome | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> tuple[AttemptRecord, ...]:
        self.heard.append((code, worker, outcome, before, limit))
        return ()

    async def workers(self) -> tuple[WorkerStatus, ...]:
        return WORKERS

    async def set_mode(self, worker: str, mode: WorkerMode) -> WorkerStatus:
        self.heard.append((worker, mode))
        return WORKERS[0]

    async def accounts(self) -> tuple[AccountStatus, ...]:
        if self.error is not None:
            raise self.error
        return (ACCOUNT,)

    async def park(self, account: str, park: Park) -> AccountStatus:
        self.heard.append((account, park))
        return ACCOUNT

    async def unpark(self, account: str) -> AccountStatus:
        self.heard.append(account)
        return ACCOUNT

    async def channels(
        self, *, account: str | None = None, after: int = 0, limit: int = 100
    ) -> tuple[ChannelStatus, ...]:
        self.heard.append((account, after, limit))
        return (CHANNEL,)

    async def plan_channel(self, account: str) -> ChannelStatus:
        self.heard.append(account)
        return CHANNEL

    async def retire_channel(self, channel_id: int) -> ChannelStatus:
        self.heard.append(channel_id)
        return CHANNEL

    async def hosts(self, *, after: str = "", limit: int = 100) -> tuple[HostStatus, ...]:
        self.heard.append((after, limit))
        return (HOST,)

    async def limit_host(self, name: str, leases_max: int | None) -> HostStatus:
        self.heard.append((name, leases_max))
        return HOST

    async def unpark_host(self, name: str) -> HostStatus:
        self.heard.append(name)
        return HOST

    def _move(self, code: str, state: VariantState | None = None) -> VariantState:
        if code not in self.states:
            raise NotFoundError(f"no variant {code}", field="code")
        self.states[code] = state or self.states[code]
        return self.states[code]
