"""What happens to the modelled queue without a word from a worker: time, imports, operators."""

from __future__ import annotations

from tests.store.queue_state import State
from tests.store.queue_things import Account, Host, Link, Target

from telecine.core.errors import ConflictError
from telecine.core.leases import (
    AttemptOutcome,
    Event,
    Swept,
    VariantState,
    expiry_event,
    transition,
)
from telecine.core.operator_protocol import ChannelState, Park, WorkerMode

EVADED_FROM_MS = 10_000  # who waits for a host that opens again sooner stays


class Steered(State):
    """All but what workers ask for."""

    # ---- ends without a report -------------------------------------------------------------------

    def sweep(self) -> Swept:
        expired = promoted = 0
        for target in self.targets:
            if target.due_at_ms is None or target.due_at_ms > self._now_ms:
                continue
            if target.state is VariantState.DELAYED:
                promoted += 1
                target.move(Event.DUE)
                target.relane(self._now_ms)
                continue
            expired += 1
            if target.due_at_ms > self.renewed_due_ms:
                self._end_silently(target, AttemptOutcome.EXPIRED)
            else:  # not beaten since nobody could
                self._note(target, AttemptOutcome.EXPIRED)
                self._give_back(target, Event.RELEASED)
        self._evade()
        return Swept(expired, promoted, min((one.due_at_ms for one in self.targets if one.due_at_ms), default=None))

    def reopen(self, *, restored: bool) -> None:
        self.epoch += restored
        self.renewed_due_ms = 0
        self.evaded = {}

    def renew(self) -> None:
        """Whoever could not beat has a whole term to do so."""
        self.renewed_due_ms = self.policy.lease_due_at_ms(self._now_ms)
        for target in self.targets:
            if target.state is VariantState.LEASED:
                target.due_at_ms = self.renewed_due_ms

    def _end_silently(self, target: Target, outcome: AttemptOutcome) -> None:
        self._note(target, outcome)
        target.silent_ends += 1
        target.move(expiry_event(target.silent_ends))
        target.relane(self._now_ms)
        self._wait_for_no_closed_host(target)

    def _give_back(self, target: Target, event: Event) -> None:
        target.move(event)
        target.attempts -= 1
        target.silent_ends = 0
        target.relane(self._now_ms)
        self._wait_for_no_closed_host(target)

    # ---- lanes -----------------------------------------------------------------------------------

    def _wait_for_no_closed_host(self, target: Target) -> None:
        """Where another link is worth another round, and all that could be tried in this one are at closed hosts."""
        left, rounds = target.links_left, target.rounds + 1
        if target.state is VariantState.READY and not left.triable and left.passing and rounds < self.policy.rounds_max:
            target.move(Event.FAILED_WORTH_RETRY)
            target.rounds, target.needs_disk_bytes = rounds, 0
            target.due_at_ms = self._now_ms + round(self.policy.rounds.pause_s(rounds) * 1000)

    def _evade(self) -> None:
        """Whoever waits for a host that stays parked, with a link elsewhere that anyone may try, goes there. Each park
        is evaded once, and again when another host opens; then what demands something finds its lane anew, too."""
        soon_ms = self._now_ms + EVADED_FROM_MS
        closed = {one.name: one for one in self.hosts if one.is_parked(soon_ms) or one.is_closed}
        until_ms = {name: None if host.is_closed else host.parked_until_ms for name, host in closed.items()}
        another_opens = bool(self.evaded.keys() - closed.keys())
        evaded = {} if another_opens else self.evaded
        for target in self.targets:
            host = closed.get(target.host.name)
            is_new = host is not None and evaded.get(host.name, 0) != until_ms[host.name]
            demands = target.needs_bytes or target.needs_disk_bytes
            if target.state is not VariantState.READY or not (is_new or (another_opens and demands)):
                continue
            anyone_s = [one for one in target.triable if not one.needs_bytes]
            elsewhere = [one for one in anyone_s if not one.host.is_parked(soon_ms) and not one.host.is_closed]
            if elsewhere:
                target.relane(soon_ms)
            elif host is not None and host.is_closed:
                self._wait_for_no_closed_host(target)
        self.evaded = until_ms

    # ---- imports ---------------------------------------------------------------------------------

    def replace(self, target: Target, link: Link, host: Host) -> None:
        """A link comes to point to another file. Who reads it is not told."""
        is_elsewhere = host is not link.host
        link.host, link.file = host, link.file + 1
        if target.worker is not None:
            link.replaced_fence = target.fence
        elif is_elsewhere:
            target.relane(self._now_ms)

    # ---- operators -------------------------------------------------------------------------------

    def cancel(self, target: Target) -> VariantState:
        worker = target.worker
        transition(target.state, Event.CANCEL)
        if worker is not None:
            self._note(target, AttemptOutcome.CANCELLED)
            target.silent_ends = 0
        target.move(Event.CANCEL)
        if worker is not None:
            target.relane(self._now_ms)
        return target.state

    def requeue(self, target: Target) -> VariantState:
        """Everything from the start; what was done before is another generation."""
        was_done = target.state in (VariantState.DONE, VariantState.WITHDRAWN)
        target.move(Event.REQUEUE)
        target.generation += was_done
        target.rounds = target.silent_ends = target.needs_bytes = target.needs_disk_bytes = 0
        for link in target.links:
            link.forget()
        target.relane(self._now_ms)
        return target.state

    def withdraw(self, target: Target) -> VariantState:
        target.move(Event.WITHDRAW)
        return target.state

    def set_mode(self, name: str, mode: WorkerMode) -> WorkerMode:
        worker = self.workers[name]
        worker.mode = mode
        if mode is WorkerMode.DISABLED:
            for target in self._held_by(worker):
                self._note(target, AttemptOutcome.RELEASED)
                self._give_back(target, Event.RELEASED)
        return mode

    def park(self, account: Account, park: Park) -> None:
        account.park(self._now_ms + round(park.seconds * 1000), uploads=park.uploads, sends=park.sends)

    def unpark(self, account: Account) -> None:
        account.rung = account.uploads_parked_until_ms = account.sends_parked_until_ms = 0

    def unpark_host(self, host: Host) -> None:
        host.rung = host.parked_until_ms = 0

    def plan_channel(self, account: Account) -> int:
        if len(self._channels_of(account)) >= self.policy.channels_per_account_max:
            raise ConflictError("the account has as many channels as it may")
        return self._plan_channel(account).id

    def retire_channel(self, channel_id: int) -> ChannelState:
        channel = self.channel(channel_id)
        channel.retired = channel.retired or ChannelState.RETIRED
        return channel.retired
