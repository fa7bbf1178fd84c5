"""A lease under way, as it stands in the database."""

from __future__ import annotations

import msgspec

from telecine.store.transaction import Row


class HeldLease(msgspec.Struct, frozen=True, gc=False):
    """Who holds which variant, and how far it is. `expiries`: leases before this one that ended without a word."""

    variant_id: int
    code: str
    fence: int
    rounds: int
    expiries: int
    leased_at_ms: int
    stage: str | None
    progress_link_id: int | None
    worker_id: int
    account_id: int

    @classmethod
    def of(cls, row: Row) -> HeldLease:
        return cls(
            variant_id=row["id"],
            code=row["code"],
            fence=row["fence"],
            rounds=row["rounds"],
            expiries=row["expiries"],
            leased_at_ms=row["leased_at_ms"],
            stage=row["stage"],
            progress_link_id=row["progress_link_id"],
            worker_id=row["worker_id"],
            account_id=row["account_id"],
        )


class ReportedLease(HeldLease, frozen=True, gc=False):
    """A lease of which a worker reports the end, and what decides what follows: a row of `leases_to_settle`. `number`:
    which report it is. The channel is where its parts are expected."""

    number: int
    channel_id: int
    channel_telegram_id: int | None
    channel_account_id: int
    account_rung: int
    hosts_climbed: int
    host_limited: int
