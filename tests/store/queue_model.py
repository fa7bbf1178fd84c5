"""The queue in plain Python: what the store is to do, said without a database.

One object a thing, changed in place; every call takes and gives the messages of the protocol, or raises what the store
raises and has changed nothing. The model shares with the store what `core` says: the states, the table of consequences,
the ladders and the policy. Everything else it works out in its own way, by looking at everything there is.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.store.queue_state import REPORTED_AS
from tests.store.queue_steered import Steered
from tests.store.queue_things import Account, Channel, Host, Link, Target, Worker

from telecine.core.errors import ConflictError, InputError, LeaseLostError
from telecine.core.leases import (
    AttemptOutcome,
    Event,
    LeaseToken,
    LinksLeft,
    VariantState,
    failure_event,
)
from telecine.core.operator_protocol import ChannelState, WorkerMode
from telecine.core.protocol import (
    BeatAnswer,
    BeatRequest,
    ChannelRef,
    ClaimRequest,
    Lease,
    LeaseVerdict,
    Outcome,
    Settled,
    SettleDone,
    SettleFailed,
    SettleFloodWait,
    SettleReleased,
    SourceRef,
    SourceReport,
    Verdict,
)
from telecine.core.quality import Quality
from telecine.core.reasons import CONSEQUENCES, ForAccount, ForHost

RUNTIME_S = 5400


class Model(Steered):
    """Everything there is, and what workers ask of it."""

    # ---- workers ---------------------------------------------------------------------------------

    def hello(self, name: str, boot_id: str) -> tuple[ChannelRef, ...]:
        """Leases of an earlier process end without a word. The account has a channel then, unless it had too many."""
        worker = self.workers[name]
        if worker.boot_id != boot_id:
            for target in self._held_by(worker):
                self._end_silently(target, AttemptOutcome.RESTARTED)
        worker.boot_id = boot_id
        own = self._channels_of(worker.account)
        if all(channel.retired for channel in own) and len(own) < self.policy.channels_per_account_max:
            own.append(self._plan_channel(worker.account))
        return tuple(channel.ref for channel in own if channel.retired is None)

    def channel_opened(self, channel_id: int, telegram_id: int) -> None:
        self.channel(channel_id).telegram_id = telegram_id

    def channel_lost(self, channel_id: int) -> None:
        """Whatever it was retired for before: it is lost now."""
        self.channel(channel_id).retired = ChannelState.LOST

    # ---- claims ----------------------------------------------------------------------------------

    def claim(self, name: str, request: ClaimRequest) -> Lease | None:
        worker = self.workers[name]
        if worker.boot_id != request.boot_id:
            raise ConflictError("another process speaks for the worker")
        for target in self._held_by(worker):
            if target.request_id == request.request_id:  # its reply was lost: asking again is a sign of life
                target.due_at_ms = self.policy.lease_due_at_ms(self._now_ms)
                return self._lease(target, worker, self._in_order(target, target.links, request))
        offers = self.offers(worker, request)
        if not offers:
            return None
        target = min(offers, key=lambda one: (one.priority, one.id))
        channel = self._channel_for(target, worker.account)
        if channel is None:
            return None
        target.move(Event.CLAIM)
        target.worker, target.request_id, target.channel = worker, request.request_id, channel
        target.due_at_ms = self.policy.lease_due_at_ms(self._now_ms)
        target.fence += 1
        target.attempts += 1
        open_links = [link for link in target.links if not link.host.is_parked(self._now_ms)]
        return self._lease(target, worker, self._in_order(target, open_links, request))

    def offers(self, worker: Worker, request: ClaimRequest) -> list[Target]:
        """What a new claim of the worker may lead to, if there is a channel for it."""
        if not self._may_claim(worker):
            return []
        return [target for target in self.targets if self._is_claimable(target, worker, request)]

    def _may_claim(self, worker: Worker) -> bool:
        """Parts are uploaded ahead of messages that are parked, for as long as Telegram keeps them."""
        ahead_until_ms = self._now_ms + round(self.policy.sends_ahead_s_max * 1000)
        return (
            worker.mode is WorkerMode.ACTIVE
            and worker.account.uploads_parked_until_ms <= self._now_ms
            and worker.account.sends_parked_until_ms <= ahead_until_ms
        )

    def _is_claimable(self, target: Target, worker: Worker, request: ClaimRequest) -> bool:
        return (
            target.state is VariantState.READY
            and target.pinned in (None, worker.account)
            and target.needs_bytes <= request.file_bytes_max
            and target.needs_disk_bytes <= request.disk_free_bytes
            and not target.host.is_parked(self._now_ms)
            and not self._is_busy(target.host)
        )

    def _limit(self, host: Host) -> int | None:
        return self.policy.host_leases_max if host.leases_max is None else host.leases_max

    def _is_busy(self, host: Host) -> bool:
        limit = self._limit(host)
        reading = [one for one in self.targets if one.state is VariantState.LEASED and one.host is host]
        return limit is not None and len(reading) >= limit

    def _channel_for(self, target: Target, account: Account) -> Channel | None:
        """Where it was sent before, the least loaded, the first that is planned, a new one; None: there are enough."""
        if target.channel is not None and target.channel.is_open and target.channel.account is account:
            return target.channel
        own = self._channels_of(account)
        is_open = sorted((one for one in own if one.is_open), key=lambda one: (one.messages, one.id))
        planned = [one for one in own if one.telegram_id is None and one.retired is None]
        if is_open or planned:
            return (is_open or planned)[0]
        return self._plan_channel(account) if len(own) < self.policy.channels_per_account_max else None

    def _in_order(self, target: Target, links: Sequence[Link], request: ClaimRequest) -> list[Link]:
        """Those that the worker's account may send. Links of other hosts that are limited are left to leases that count
        there."""
        counted = [link for link in links if self._is_counted(target, link)]
        return target.in_order([link for link in counted if (link.needs_bytes or 0) <= request.file_bytes_max])

    def _is_counted(self, target: Target, link: Link) -> bool:
        """Whether a lease may read from a link; it keeps those that came to point elsewhere while it is held."""
        is_own = link.host is target.host or link.replaced_fence == target.fence
        return is_own or self._limit(link.host) is None

    def _lease(self, target: Target, worker: Worker, links: list[Link]) -> Lease:
        assert target.channel is not None
        return Lease(
            lease=str(LeaseToken(self.epoch, target.id, target.fence)),
            code=target.code,
            quality=Quality.HD,
            generation=target.generation,
            ttl_s=self.policy.lease_ttl_s,
            channel=target.channel.ref,
            sources=tuple(SourceRef(link.id, link.url, link.position) for link in links),
            runtime_s=RUNTIME_S,
            sends_parked_s=max(0, worker.account.sends_parked_until_ms - self._now_ms) / 1000,
        )

    # ---- beats -----------------------------------------------------------------------------------

    def beat(self, name: str, request: BeatRequest) -> BeatAnswer:
        worker = self.workers[name]
        if worker.boot_id != request.boot_id:
            return BeatAnswer(tuple(LeaseVerdict(one.lease, Verdict.LOST, 0.0) for one in request.leases))
        verdicts = tuple(self._verdict(worker, progress.lease) for progress in request.leases)
        stands_still = worker.mode is WorkerMode.PAUSED
        return BeatAnswer(
            verdicts,
            drain=worker.mode is not WorkerMode.ACTIVE,
            pause=stands_still,
            sends_parked_s=max(0, worker.account.sends_parked_until_ms - self._now_ms) / 1000,
        )

    def _verdict(self, worker: Worker, lease: str) -> LeaseVerdict:
        token = LeaseToken.parse(lease)
        target = self.targets[token.variant_id - 1]
        if token.epoch == self.epoch and target.is_held_by(worker, token.fence):
            target.due_at_ms = self.policy.lease_due_at_ms(self._now_ms)
            return LeaseVerdict(lease, Verdict.GO_ON, self.policy.lease_ttl_s)
        cancelled = token.epoch == self.epoch and AttemptOutcome.CANCELLED in self._ends(token, worker)
        return LeaseVerdict(lease, Verdict.CANCEL if cancelled else Verdict.LOST, 0.0)

    # ---- settlements -----------------------------------------------------------------------------

    def settle(self, name: str, lease: str, outcome: Outcome) -> Settled:
        worker, token = self.workers[name], LeaseToken.parse(lease)
        target = self.targets[token.variant_id - 1]
        if token.epoch != self.epoch:
            raise LeaseLostError("leases from before a restore are lost")
        if not target.is_held_by(worker, token.fence):
            return self._settle_again(target, worker, token, outcome)
        channel = self._channel_of(outcome, worker) if isinstance(outcome, SettleDone) else None
        for report in outcome.sources:
            self._learn(target, report)
        self._note_report(target, worker, outcome)
        match outcome:
            case SettleDone():
                self._end_done(target, worker, channel, messages=len(outcome.objects))
            case SettleFailed():
                self._end_failed(target, worker, outcome)
            case SettleFloodWait():
                self._obey(worker.account, outcome)
                self._end_unfinished(target, Event.FLOOD_WAIT, outcome)
            case SettleReleased():
                self._end_unfinished(target, Event.RELEASED, outcome, needs_disk_bytes=outcome.disk_bytes)
        target.silent_ends = 0  # who reports has survived
        return Settled(target.code, target.state)

    def _settle_again(self, target: Target, worker: Worker, token: LeaseToken, outcome: Outcome) -> Settled:
        """Nothing changes any more, but that Telegram makes an account wait is true, once."""
        ends = self._ends(token, worker)
        known = bool(ends & {*REPORTED_AS.values(), AttemptOutcome.CANCELLED})
        if isinstance(outcome, SettleDone):
            known = AttemptOutcome.DONE in ends
        if isinstance(outcome, SettleFloodWait) and ends and AttemptOutcome.FLOOD_WAIT not in ends:
            known = True
            self._obey(worker.account, outcome)
            self.history.append((target.id, token.fence, worker.name, AttemptOutcome.FLOOD_WAIT))
        if not known:
            raise LeaseLostError("the lease is no longer the worker's")
        return Settled(target.code, target.state, repeated=True)

    def _learn(self, target: Target, report: SourceReport) -> None:
        """What is said of a file that the link does not point to any more is only that the upload was made of it."""
        link = next(link for link in target.links if link.id == report.link_id)
        is_former = link.replaced_fence == target.fence
        if report.reason is None or not is_former:
            link.learn(report, target.rounds)
        if is_former:
            return
        if report.reason is None:
            link.host.rung = self.policy.hosts.down(link.host.rung)
        elif CONSEQUENCES[report.reason].host is ForHost.CLIMBS:
            asked_ms = round((report.retry_after_s or 0) * 1000)
            link.host.climb(self.policy.hosts, self._now_ms, asked_ms=asked_ms)

    def _channel_of(self, outcome: SettleDone, worker: Worker) -> Channel:
        telegram_id = outcome.objects[0].channel_id
        channel = next((one for one in self.channels if one.telegram_id == telegram_id), None)
        if channel is None or channel.account is not worker.account:
            raise InputError("the parts are in a channel of another account")
        return channel

    def _end_done(self, target: Target, worker: Worker, channel: Channel | None, *, messages: int) -> None:
        assert channel is not None
        channel.messages += messages
        if channel.retired is None and channel.messages >= self.policy.channel_messages_max:
            channel.retired = ChannelState.FULL
        worker.account.rung = self.policy.accounts.down(worker.account.rung)
        target.channel = channel
        target.move(Event.DONE)

    def _end_failed(self, target: Target, worker: Worker, outcome: SettleFailed) -> None:
        reasons = [*(report.reason for report in outcome.sources if report.reason), outcome.reason]
        if any(CONSEQUENCES[reason].account is ForAccount.CLIMBS for reason in reasons):
            worker.account.climb(self.policy.accounts, self._now_ms)
        self._end_round(target, tried=bool(outcome.sources))

    def _end_round(self, target: Target, *, tried: bool, left: LinksLeft | None = None) -> None:
        rounds = target.rounds + 1
        event = failure_event(left or target.links_left, tried=tried, rounds=rounds, rounds_max=self.policy.rounds_max)
        target.move(event)
        target.needs_disk_bytes = 0
        if event is not Event.FAILED_SOURCES_LEFT:
            target.rounds = rounds
        if target.state is VariantState.DELAYED:
            target.due_at_ms = self._now_ms + round(self.policy.rounds.pause_s(rounds) * 1000)
        target.relane(self._now_ms)

    def _end_unfinished(self, target: Target, event: Event, outcome: Outcome, *, needs_disk_bytes: int = 0) -> None:
        """Back into the queue with the attempt unspent, unless the report leaves it without a link to try now. What may
        work later does not wait for more disk."""
        left = target.links_left
        if needs_disk_bytes and left.passing and target.rounds + 1 < self.policy.rounds_max:
            self._end_round(target, tried=True, left=LinksLeft(triable=0, passing=left.passing))
            return
        if not (left.triable or left.larger) and not (left.closed and not outcome.sources):
            self._end_round(target, tried=True)
            return
        target.needs_disk_bytes = needs_disk_bytes or target.needs_disk_bytes
        self._give_back(target, event)

    def _obey(self, account: Account, outcome: SettleFloodWait) -> None:
        """Parts and messages apart, as Telegram does."""
        uploads = outcome.request.startswith("upload.")
        account.park(self._now_ms + round(outcome.wait_s * 1000), uploads=uploads, sends=not uploads)
