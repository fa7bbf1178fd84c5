"""What is known after a run: from the ledgers, from the channels, and from the database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from pysqlite3 import dbapi2
from tests.e2e.crash import channels_on_disk, ledger
from tests.e2e.crash.channels_on_disk import Address
from tests.e2e.crash.ledger import Acknowledged, Booted, Held, Prolonged, Refused, Settling, Stopped
from tests.e2e.crash.stage import Stage
from tests.e2e.crash.uploader import Part

from telecine.core.leases import AttemptOutcome, LeaseToken, VariantState
from telecine.core.reasons import Reason
from telecine.core.worker.journal import Journal

T = TypeVar("T")

ATTEMPTS = """SELECT a.variant_id, a.fence, w.name AS worker, a.link_id, a.outcome, a.reason,
  a.outcome = 'expired' AND a.detail IS NOT NULL AS is_excused
  FROM upload_attempts a JOIN workers w ON w.id = a.worker_id ORDER BY a.id"""
OBJECTS = """SELECT o.variant_id, o.fence, o.part_no, o.part_count, c.telegram_id AS channel_id, o.message_id, o.sha256,
  o.retired_at_ms IS NOT NULL AS is_retired FROM telegram_objects o JOIN channels c ON c.id = o.channel_id"""
VARIANTS = "SELECT id, code, state, fence, attempts, expiries, worker_id, due_at_ms FROM upload_variants ORDER BY id"
USED_LINKS = "SELECT variant_id, link_id FROM variant_sources WHERE fate = 'used'"


class AttemptRow(msgspec.Struct, frozen=True):
    variant_id: int
    fence: int
    worker: str
    link_id: int | None
    outcome: AttemptOutcome
    reason: Reason | None
    is_excused: bool = False  # ran out while there was no coordinator to beat to


class ObjectRow(msgspec.Struct, frozen=True):
    variant_id: int
    fence: int
    part_no: int
    part_count: int
    channel_id: int
    message_id: int
    sha256: str
    is_retired: bool


class VariantRow(msgspec.Struct, frozen=True):
    id: int
    code: str
    state: VariantState
    fence: int
    attempts: int
    expiries: int
    worker_id: int | None
    due_at_ms: int | None


class LinkRow(msgspec.Struct, frozen=True):
    variant_id: int
    link_id: int


@dataclass
class Report:
    """A report that a worker has made, and the answer, if it lived to read one."""

    settling: Settling
    answer: Acknowledged | Refused | None = None


@dataclass
class Tenancy:
    """One fence of one variant: what its worker says of it, and what the history says."""

    token: LeaseToken
    workers: set[str] = field(default_factory=set)
    held: list[Held] = field(default_factory=list)
    until_s: float = 0.0  # as its worker reckons
    stopped_at_s: float | None = None  # earlier than that
    reports: list[Report] = field(default_factory=list)
    rows: list[AttemptRow] = field(default_factory=list)
    objects: list[ObjectRow] = field(default_factory=list)

    def stop(self, at_s: float) -> None:
        """The worker does not work on it any more."""
        if self.stopped_at_s is None:
            self.stopped_at_s = at_s

    @property
    def valid_until_s(self) -> float:
        """The last moment at which its worker may have worked on it."""
        return self.until_s if self.stopped_at_s is None else min(self.until_s, self.stopped_at_s)

    @property
    def outcomes(self) -> frozenset[AttemptOutcome]:
        return frozenset(row.outcome for row in self.rows)


@dataclass
class Evidence:
    tenancies: dict[tuple[int, int], Tenancy]
    variants: list[VariantRow]
    used_links: dict[int, list[int]]
    messages: set[Address]
    open_leases: dict[str, tuple[str, ...]]
    integrity: list[Any]
    dangling: list[Any]

    def of_variant(self, variant_id: int) -> list[Tenancy]:
        """All fences of a variant, in their order."""
        return [self.tenancies[key] for key in sorted(self.tenancies) if key[0] == variant_id]


def gather(stage: Stage) -> Evidence:
    """Read everything; all processes have ended."""
    tenancies: dict[tuple[int, int], Tenancy] = {}
    for part in stage.parts:
        _read_ledger(part, tenancies)
    raw = dbapi2.connect(str(stage.database))
    try:
        for row in _rows(raw, ATTEMPTS, AttemptRow):
            _tenancy(tenancies, row.variant_id, row.fence).rows.append(row)
        for kept in _rows(raw, OBJECTS, ObjectRow):
            _tenancy(tenancies, kept.variant_id, kept.fence).objects.append(kept)
        used: defaultdict[int, list[int]] = defaultdict(list)
        for link in _rows(raw, USED_LINKS, LinkRow):
            used[link.variant_id].append(link.link_id)
        return Evidence(
            tenancies=tenancies,
            variants=_rows(raw, VARIANTS, VariantRow),
            used_links=used,
            messages={address for part in stage.parts for address in channels_on_disk.messages(part.channels)},
            open_leases={part.name: _open_leases(part.journal) for part in stage.parts},
            integrity=raw.execute("PRAGMA integrity_check").fetchall(),
            dangling=raw.execute("PRAGMA foreign_key_check").fetchall(),
        )
    finally:
        raw.close()


def _read_ledger(part: Part, tenancies: dict[tuple[int, int], Tenancy]) -> None:
    of_this_boot: list[Tenancy] = []
    for entry in ledger.read(part.ledger):
        if isinstance(entry, Booted):
            for tenancy in of_this_boot:
                tenancy.stop(entry.at_s)  # who worked on it is dead
            of_this_boot.clear()
            continue
        token = LeaseToken.parse(entry.lease)
        tenancy = _tenancy(tenancies, token.variant_id, token.fence)
        tenancy.workers.add(part.name)
        of_this_boot.append(tenancy)
        _tell(tenancy, entry)


def _tell(tenancy: Tenancy, entry: Held | Prolonged | Stopped | Settling | Acknowledged | Refused) -> None:
    match entry:
        case Held():
            tenancy.held.append(entry)
            tenancy.until_s = max(tenancy.until_s, entry.until_s)
        case Prolonged():
            tenancy.until_s = max(tenancy.until_s, entry.until_s)
        case Stopped():
            tenancy.stop(entry.at_s)
        case Settling():
            tenancy.stop(entry.at_s)
            tenancy.reports.append(Report(entry))
        case Acknowledged() | Refused():
            tenancy.reports[-1].answer = entry


def _tenancy(tenancies: dict[tuple[int, int], Tenancy], variant_id: int, fence: int) -> Tenancy:
    return tenancies.setdefault((variant_id, fence), Tenancy(LeaseToken(1, variant_id, fence)))


def _rows(raw: Any, statement: str, kind: type[T]) -> list[T]:
    cursor = raw.execute(statement)
    names = [column[0] for column in cursor.description]
    records: Iterable[dict[str, Any]] = (dict(zip(names, row, strict=True)) for row in cursor)
    return [msgspec.convert(record, kind, strict=False) for record in records]


def _open_leases(path: Path) -> tuple[str, ...]:
    with Journal(path) as journal:
        return journal.open_leases()
