"""What a worker would make of a source, without making it."""

from __future__ import annotations

import msgspec

from telecine.core import plans
from telecine.core.config import WorkerSettings
from telecine.core.plans import Expectation, Plan, PlanKind, Probe, Recipe
from telecine.core.worker.cargo import cargo
from telecine.core.worker.media.process import MediaChild, MediaLimits
from telecine.core.worker.sources.sources import Sources

AAC_BITS_PER_S = 160_000  # of a stereo track that was encoded anew


class Forecast(msgspec.Struct, frozen=True):
    """A source, the plan for it, and what would be sent.

    `file_count` None: only the end tells. `file_bytes` is about how large each file would be, None where that is not
    known beforehand. `extension` is that of the files. `bytes_read` is what finding out has cost.
    """

    probe: Probe
    plan: Plan
    file_count: int | None
    file_bytes: int | None
    extension: str | None
    bytes_read: int


async def foresee(sources: Sources, url: str, expected: Expectation, settings: WorkerSettings) -> Forecast:
    """Probe what is behind a link and plan it. Raises SourceError."""
    limits = MediaLimits(memory_bytes_max=settings.media_memory_bytes_max)
    async with sources.open(url, quality=expected.quality) as source, MediaChild.start(source, limits) as media:
        probe = await media.probe()
        plan = plans.plan(probe, expected, settings.plan)
        if plan.kind is PlanKind.REJECT:
            return Forecast(probe, plan, 0, None, None, source.bytes_read)
        extension, _ = cargo(plan, source, media, probe, limits).kind
        count = plan.recipe.part_count if plan.recipe else 1
        total_bytes = _made_bytes(probe, plan.recipe)
        each_bytes = total_bytes // count if count and total_bytes is not None else None
        return Forecast(probe, plan, count, each_bytes, extension, source.bytes_read)


def _made_bytes(probe: Probe, recipe: Recipe | None) -> int | None:
    """About how large all files are together: sound that is left or encoded anew weighs less, or more."""
    if probe.size_bytes is None or recipe is None or probe.duration_s is None:
        return probe.size_bytes
    gone = sum(probe.audio[index].bit_rate or 0 for index in (*recipe.leave, *recipe.transcode))
    new = AAC_BITS_PER_S * sum(1 for index in recipe.transcode if probe.audio[index].bit_rate)
    return max(0, probe.size_bytes + int((new - gone) / 8 * probe.duration_s))
