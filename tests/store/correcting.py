"""Workers that find links to be of another quality than they were taken for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from telecine.core.events import VariantChanged
from telecine.core.leases import LinkFate, VariantState
from telecine.core.protocol import (
    Lease,
    Settled,
    SettleFailed,
    SourceReport,
)
from telecine.core.quality import Quality
from telecine.core.reasons import Reason

if TYPE_CHECKING:
    from tests.store.conftest import Scene

HD, SD, COPY = "CM_M000001_720P", "CM_M000001_480P", "CM_M000001_720P_C02"


def measured(link_id: int, quality: Quality | None = Quality.SD) -> SourceReport:
    return SourceReport(link_id, Reason.WRONG_CONTENT, "the picture is 854x480", 10, 1.0, quality=quality)


async def settles(scene: Scene, worker: str, lease: Lease, *reports: SourceReport) -> Settled:
    return await scene.store.queue.settle(worker, lease.lease, SettleFailed(Reason.WRONG_CONTENT, reports))


async def corrects(scene: Scene, worker: str, quality: Quality = Quality.SD) -> Settled:
    """A worker leases, and measures the first link."""
    lease = await scene.lease(worker)
    return await settles(scene, worker, lease, measured(lease.sources[0].link_id, quality))


async def state(scene: Scene, code: str) -> VariantState:
    return (await scene.store.catalogue.variant(code)).state


async def links(scene: Scene, code: str) -> list[tuple[str, int, LinkFate]]:
    sources = (await scene.store.catalogue.variant(code)).sources
    return [(source.cm_id, source.position, source.fate) for source in sources]


async def changes(scene: Scene, before: int) -> list[VariantChanged]:
    told = await scene.store.events.after(before, limit=50)
    return [msgspec.json.decode(one.data, type=VariantChanged) for one in told if one.kind == "variant"]
