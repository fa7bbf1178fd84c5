"""Everything that the model of the queue knows, and how it is looked up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.store.queue_things import Account, Channel, Host, Target, Worker

from telecine.core.clock import Clock
from telecine.core.leases import (
    AttemptOutcome,
    LeaseToken,
)
from telecine.core.policy import QueuePolicy
from telecine.core.protocol import (
    Outcome,
    SettleDone,
    SettleFailed,
    SettleFloodWait,
    SettleReleased,
)

REPORTED_AS = {
    SettleDone: AttemptOutcome.DONE,
    SettleFailed: AttemptOutcome.FAILED,
    SettleFloodWait: AttemptOutcome.FLOOD_WAIT,
    SettleReleased: AttemptOutcome.RELEASED,
}


@dataclass
class State:
    """All things by their numbers, and the history of leases."""

    clock: Clock
    policy: QueuePolicy
    hosts: list[Host] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    workers: dict[str, Worker] = field(default_factory=dict)
    channels: list[Channel] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    history: list[tuple[int, int, str, AttemptOutcome]] = field(default_factory=list)  # target, fence, worker, end
    epoch: int = 1
    renewed_due_ms: int = 0
    evaded: dict[str, int | None] = field(default_factory=dict)  # the park of a host that its targets have evaded

    def channel(self, channel_id: int) -> Channel:
        return self.channels[channel_id - 1]

    def account(self, name: str) -> Account:
        return next(account for account in self.accounts if account.name == name)

    def host(self, name: str) -> Host:
        return next(host for host in self.hosts if host.name == name)

    @property
    def _now_ms(self) -> int:
        return self.clock.now_ms()

    def _held_by(self, worker: Worker) -> Iterator[Target]:
        return (target for target in self.targets if target.worker is worker)

    def _channels_of(self, account: Account) -> list[Channel]:
        return [channel for channel in self.channels if channel.account is account]

    def _plan_channel(self, account: Account) -> Channel:
        self.channels.append(Channel(len(self.channels) + 1, account))
        return self.channels[-1]

    def _ends(self, token: LeaseToken, worker: Worker) -> set[AttemptOutcome]:
        lease = (token.variant_id, token.fence, worker.name)
        return {end for *ended, end in self.history if tuple(ended) == lease}

    def _note(self, target: Target, outcome: AttemptOutcome) -> None:
        assert target.worker is not None
        self.history.append((target.id, target.fence, target.worker.name, outcome))

    def _note_report(self, target: Target, worker: Worker, outcome: Outcome) -> None:
        """A row for each link that was tried, and one for a lease that these do not explain."""
        ends = [AttemptOutcome.FAILED if report.reason else AttemptOutcome.DONE for report in outcome.sources]
        reasons = [report.reason for report in outcome.sources]
        failed_otherwise = isinstance(outcome, SettleFailed) and outcome.reason not in reasons
        if failed_otherwise or REPORTED_AS[type(outcome)] not in ends:
            ends.append(REPORTED_AS[type(outcome)])
        self.history += [(target.id, target.fence, worker.name, end) for end in ends]
