"""What the demonstration found: `build/demo.json` and the table at its end."""

from __future__ import annotations

import msgspec

from telecine.core.demo.audit import ChannelAudit
from telecine.core.emulator.control.messages import Stats
from telecine.core.operator_protocol import Status


class Mismatch(msgspec.Struct, frozen=True):
    """A target that should have arrived as it was sent, and did not."""

    code: str
    why: str


class Delivery(msgspec.Struct, frozen=True):
    """What became of a target at the viewer's end. `why` None: it arrived, picture for picture."""

    code: str
    arrived: bool
    frames: int = 0
    why: str | None = None


class Viewing(msgspec.Struct, frozen=True):
    """The viewer's evening: what could have been delivered, what was, and what the queue never got done."""

    deliverable: int
    deliveries: tuple[Delivery, ...]
    missing: tuple[Mismatch, ...]

    @property
    def failures(self) -> tuple[Mismatch, ...]:
        return self.missing + tuple(Mismatch(d.code, d.why) for d in self.deliveries if d.why)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Every number of a run. `ok` is what the exit status says.

    `not_met` names what should have gone wrong and did not: a run in which nothing happens shows nothing.
    """

    ok: bool
    titles: int
    movies: int
    series: int
    episodes: int
    links: int
    links_lost: int
    variants: int
    variants_by_state: dict[str, int]
    deliverable: int
    parts: int
    channels: int
    deliveries: int
    sent_by_file_id: int
    retries: int
    attempts_by_outcome: dict[str, int]
    faults: dict[str, int]
    workers_killed: int
    not_met: tuple[str, ...]
    duplicate_messages: int
    orphan_messages: int
    mute_messages: int
    mismatches: int
    frames_compared: int
    failures: tuple[Mismatch, ...]
    seconds: float = 0.0
    seconds_by_phase: dict[str, float] = {}


def compose(
    status: Status,
    telegram: Stats,
    channels: ChannelAudit,
    viewing: Viewing,
    *,
    links_lost: int,
    workers_killed: int,
    workers_to_kill: int,
) -> Report:
    """Put the numbers together.

    Good is: everything deliverable arrived, unchanged and once, no link was lost, and all that was to go wrong did.
    """
    counts, failures = status.counts, viewing.failures
    delivered = sum(delivery.arrived for delivery in viewing.deliveries)
    not_met = _not_met(status, telegram, workers_killed=workers_killed, workers_to_kill=workers_to_kill)
    wrong = len(failures) + len(not_met) + channels.duplicates + channels.orphans + channels.mute + links_lost
    return Report(
        ok=wrong == 0 and delivered == viewing.deliverable > 0,
        titles=counts.titles,
        movies=counts.movies,
        series=counts.series,
        episodes=counts.episodes,
        links=counts.links,
        links_lost=links_lost,
        variants=counts.variants,
        variants_by_state=counts.variants_by_state,
        deliverable=viewing.deliverable,
        parts=counts.objects,
        channels=status.channels,
        deliveries=delivered,
        sent_by_file_id=sum(telegram.requests.get(f"bot.{method}", 0) for method in ("sendVideo", "sendDocument")),
        retries=sum(count for outcome, count in counts.attempts_by_outcome.items() if outcome != "done"),
        attempts_by_outcome=counts.attempts_by_outcome,
        faults=telegram.faults_taken,
        workers_killed=workers_killed,
        not_met=not_met,
        duplicate_messages=channels.duplicates,
        orphan_messages=channels.orphans,
        mute_messages=channels.mute,
        mismatches=len(failures),
        frames_compared=sum(delivery.frames for delivery in viewing.deliveries),
        failures=failures,
    )


def _not_met(status: Status, telegram: Stats, *, workers_killed: int, workers_to_kill: int) -> tuple[str, ...]:
    met = {
        "a worker killed in the middle of an upload": workers_killed >= workers_to_kill,
        "a flood wait that parks an account": status.counts.attempts_by_outcome.get("flood_wait", 0) > 0,
        "a reply that was lost": telegram.faults_taken.get("lost_reply", 0) > 0,
    }
    return tuple(what for what, happened in met.items() if not happened)
