"""Everything an operator wants to see first, and what Prometheus makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from telecine.core.coordinator.services import Services
from telecine.core.leases import VariantState
from telecine.core.operator_protocol import BackupState, BackupStatus, Status

Gauge = tuple[str, dict[str, str], float]

GAUGES_KEPT_S = 5.0  # /metrics is open to anyone who reaches the port, and counting a catalogue is not free


class Overview:
    """Looks at the whole system."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._counting = asyncio.Lock()
        self._gauges: tuple[Gauge, ...] = ()
        self._gauges_until_s = float("-inf")

    async def status(self) -> Status:
        """As it is now."""
        services = self._services
        accounts = await services.operations.accounts()
        return Status(
            version=services.version,
            counts=await services.catalogue.counts(),
            workers=await services.operations.workers(),
            accounts=accounts,
            channels=sum(account.channels for account in accounts),
        )

    async def gauges(self) -> tuple[Gauge, ...]:
        """As it was at most `GAUGES_KEPT_S` ago, however many ask."""
        async with self._counting:
            if self._services.clock.monotonic_s() >= self._gauges_until_s:
                self._gauges = (
                    *_measure(await self.status(), self._services.settings.lease_ttl_s),
                    *_measure_backup(await self._services.backup.status()),
                )
                self._gauges_until_s = self._services.clock.monotonic_s() + GAUGES_KEPT_S
            return self._gauges


def _measure(status: Status, lease_ttl_s: float) -> Iterator[Gauge]:
    for state in VariantState:  # zeros too: an alarm on the first that is dead must know that there was none
        yield "telecine_variants", {"state": state.value}, status.counts.variants_by_state.get(state.value, 0)
    for fate, count in status.counts.links_by_fate.items():
        yield "telecine_links", {"fate": fate}, count
    yield "telecine_objects", {}, status.counts.objects
    yield "telecine_deliveries", {}, status.counts.deliveries
    ages_s = [worker.seen_ago_s for worker in status.workers]
    yield "telecine_workers_seen", {}, sum(age_s is not None and age_s <= lease_ttl_s for age_s in ages_s)
    for account in status.accounts:
        yield "telecine_account_parked_seconds", {"account": account.name}, account.parked_s


def _measure_backup(backup: BackupStatus) -> Iterator[Gauge]:
    yield "telecine_database_bytes", {}, backup.database_bytes
    yield "telecine_wal_bytes", {}, backup.wal_bytes
    if backup.state is not BackupState.OFF:
        yield "telecine_replicating", {}, backup.state is BackupState.REPLICATING
