"""What the model of the queue is made of: hosts, accounts, workers, channels, and targets with their links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from telecine.core import codes
from telecine.core.backoff import Ladder
from telecine.core.leases import Event, LinkFate, LinksLeft, VariantState, transition
from telecine.core.operator_protocol import ChannelState, WorkerMode
from telecine.core.plans import file_bytes_max
from telecine.core.protocol import ChannelRef, SourceReport
from telecine.core.reasons import CONSEQUENCES, ForLink, Reason


@dataclass
class Host:
    """Where links point to."""

    name: str
    rung: int = 0
    parked_until_ms: int = 0
    leases_max: int | None = None

    @property
    def is_closed(self) -> bool:
        return self.leases_max == 0

    def is_parked(self, now_ms: int) -> bool:
        return self.parked_until_ms > now_ms

    def climb(self, ladder: Ladder, now_ms: int, *, asked_ms: int) -> None:
        """One trouble counts once, however many leases meet it; what the host asks for counts always."""
        until_ms = now_ms + asked_ms
        if not self.is_parked(now_ms):
            self.rung = ladder.up(self.rung)
            until_ms = max(until_ms, now_ms + round(ladder.pause_s(self.rung) * 1000))
        self.parked_until_ms = max(self.parked_until_ms, until_ms)


@dataclass
class Account:
    """Who is parked, and how high on the ladder."""

    name: str
    rung: int = 0
    uploads_parked_until_ms: int = 0
    sends_parked_until_ms: int = 0

    def park(self, until_ms: int, *, uploads: bool, sends: bool) -> None:
        """Never for a shorter time than was said before."""
        if uploads:
            self.uploads_parked_until_ms = max(self.uploads_parked_until_ms, until_ms)
        if sends:
            self.sends_parked_until_ms = max(self.sends_parked_until_ms, until_ms)

    def climb(self, ladder: Ladder, now_ms: int) -> None:
        """One trouble counts once."""
        if self.uploads_parked_until_ms <= now_ms:
            self.rung = ladder.up(self.rung)
            self.park(now_ms + round(ladder.pause_s(self.rung) * 1000), uploads=True, sends=False)


@dataclass
class Worker:
    """A worker and the process that speaks for it."""

    name: str
    account: Account
    boot_id: str
    mode: WorkerMode = WorkerMode.ACTIVE


@dataclass
class Channel:
    """A channel; planned until it has an id in Telegram, retired for one reason or not at all."""

    id: int
    account: Account
    telegram_id: int | None = None
    messages: int = 0
    retired: ChannelState | None = None

    @property
    def is_open(self) -> bool:
        return self.telegram_id is not None and self.retired is None

    @property
    def ref(self) -> ChannelRef:
        return ChannelRef(self.id, codes.channel_code(self.id), self.telegram_id)


@dataclass
class Link:
    """A link of a target. `needs_bytes`: too large for who tried it, not for an account that may send so much. `file`:
    which one it points to; `replaced_fence`: under which lease that became another."""

    id: int
    host: Host
    position: int
    fate: LinkFate = LinkFate.UNTRIED
    reason: Reason | None = None
    failed_round: int | None = None
    needs_bytes: int | None = None
    file: int = 0
    replaced_fence: int | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host.name}/{self.id}-{self.file}.mkv"

    @property
    def may_pass(self) -> bool:
        return self.reason is not None and self.reason.is_passing

    def is_triable(self, rounds: int) -> bool:
        """Whether some account can try it in this round."""
        again = self.may_pass and self.failed_round is not None and self.failed_round < rounds
        return self.fate is LinkFate.UNTRIED or again or self.needs_bytes is not None

    def learn(self, report: SourceReport, rounds: int) -> None:
        """What became of it, in a round."""
        self.forget()
        self.fate = LinkFate.USED
        if report.reason is not None:
            self.fate, self.reason, self.failed_round = LinkFate.FAILED, report.reason, rounds
            some_account_may = 0 < (report.size_bytes or 0) <= file_bytes_max(premium=True)
            if some_account_may and CONSEQUENCES[report.reason].link is ForLink.LARGER_ACCOUNT:
                self.needs_bytes = report.size_bytes

    def forget(self) -> None:
        self.fate, self.reason, self.failed_round, self.needs_bytes = LinkFate.UNTRIED, None, None, None


@dataclass
class Target:
    """An upload target. `host` and `needs_bytes` are those of the link that it waits to be read from."""

    id: int
    code: str
    links: Sequence[Link]
    host: Host
    state: VariantState = VariantState.READY
    priority: int = 2
    pinned: Account | None = None
    needs_bytes: int = 0
    needs_disk_bytes: int = 0
    channel: Channel | None = None
    generation: int = 0
    fence: int = 0
    attempts: int = 0
    silent_ends: int = 0
    rounds: int = 0
    due_at_ms: int | None = None
    worker: Worker | None = None
    request_id: str | None = None

    def move(self, event: Event) -> None:
        """Raises ConflictError where the event leads nowhere; no lease and no delay outlives a move."""
        self.state = transition(self.state, event)
        self.due_at_ms = self.worker = self.request_id = None

    @property
    def triable(self) -> list[Link]:
        return [link for link in self.links if link.is_triable(self.rounds)]

    def in_order(self, links: Sequence[Link]) -> list[Link]:
        """Those that can be tried, the untried ones first, but before them one of the host that it stands at."""
        tried = [link for link in links if link.is_triable(self.rounds)]
        tried.sort(key=lambda link: (link.fate is not LinkFate.UNTRIED, link.position))
        first = next((link for link in tried if link.host is self.host), None)
        return tried if first is None else [first, *(link for link in tried if link is not first)]

    @property
    def links_left(self) -> LinksLeft:
        at_open_hosts = [link for link in self.triable if not link.host.is_closed]
        larger = sum(link.needs_bytes is not None for link in at_open_hosts)
        passing = sum(link.may_pass for link in self.links if link not in self.triable)
        closed = len(self.triable) - len(at_open_hosts)
        return LinksLeft(len(at_open_hosts) - larger, passing, closed, larger)

    def relane(self, now_ms: int) -> None:
        """Wait for the link that is best to try next, or soonest; without one, stay."""

        def how_good(link: Link) -> tuple[bool, int, int, bool, int]:
            host = link.host
            return (
                host.is_closed,
                link.needs_bytes or 0,
                max(host.parked_until_ms, now_ms),
                link.fate is not LinkFate.UNTRIED,
                link.position,
            )

        best = min(self.triable, key=how_good, default=None)
        if best is not None:
            self.host, self.needs_bytes = best.host, best.needs_bytes or 0

    def is_held_by(self, worker: Worker, fence: int) -> bool:
        return self.worker is worker and self.fence == fence
