"""Links move between uploads while imports declare, workers measure and operators steer: none is ever lost."""

from __future__ import annotations

import itertools
import random
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from tests.store.conftest import Scene, episode, film, link, series, uploaded

from telecine.core.catalogue import PROBED, ImportedTitle
from telecine.core.errors import ConflictError, LeaseLostError, NotFoundError
from telecine.core.leases import VariantState
from telecine.core.protocol import Lease, ObjectReport, SettleDone, SettleFailed, SettleReleased, SourceReport
from telecine.core.quality import Quality
from telecine.core.reasons import Reason

if TYPE_CHECKING:
    from telecine.core.catalogue import ImportedLink

STEPS = 150
WORKERS = ("w", "v")
QUALITIES = (Quality.HD, Quality.SD, Quality.UHD, Quality.AUTO)
FAILURES = (Reason.GONE, Reason.STALLED, *[Reason.WRONG_CONTENT] * 4)
LINKS = ("a", "b", "c", "d", "e", "f", "g")

STRAYS = """
SELECT l.cm_id, count(v.id)
FROM source_links l LEFT JOIN variant_sources s ON s.link_id = l.id
LEFT JOIN upload_variants v ON v.id = s.variant_id AND v.copy = 1
GROUP BY l.id HAVING count(v.id) <> 1
"""
MISPLACED = """
SELECT v.code, l.cm_id FROM variant_sources s
JOIN source_links l ON l.id = s.link_id JOIN upload_variants v ON v.id = s.variant_id
WHERE v.title_id <> l.title_id OR v.episode_id IS NOT l.episode_id
   OR (v.copy = 1 AND l.evidence = ? AND v.quality <> l.quality)
"""
ASTRAY = """
WITH triable AS (
  SELECT v.code, v.host_id = l.host_id AS is_here
  FROM upload_variants v JOIN variant_sources s ON s.variant_id = v.id JOIN source_links l ON l.id = s.link_id
  WHERE v.state = 'ready'
    AND (s.fate = 'untried' OR (s.passing AND s.failed_round < v.rounds) OR s.file_bytes IS NOT NULL))
SELECT code FROM triable GROUP BY code HAVING max(is_here) = 0
"""

IDLE = """
SELECT v.code FROM upload_variants v
WHERE v.state = 'ready' AND NOT EXISTS (
  SELECT 1 FROM variant_sources s
  WHERE s.variant_id = v.id
    AND (s.fate = 'untried' OR (s.passing AND s.failed_round < v.rounds) OR s.file_bytes IS NOT NULL))
"""
LINKLESS = """
SELECT code FROM upload_variants v
WHERE v.state = 'dead' AND NOT EXISTS (SELECT 1 FROM variant_sources s WHERE s.variant_id = v.id)
"""


class Walk:
    """A scene, what its workers hold, and a die."""

    def __init__(self, scene: Scene, seed: int) -> None:
        self.scene = scene
        self.die = random.Random(seed)
        self.held: list[tuple[str, Lease]] = []
        self.attempts = 0
        self.probed_max = 0
        self._messages = itertools.count(1)

    async def step(self) -> None:
        """One thing that somebody does. What is refused changes nothing."""
        doings = (self._claim, self._claim, self._end, self._end, self.declare, self._steer, self._wait)
        with suppress(ConflictError, NotFoundError, LeaseLostError):
            await self.die.choice(doings)()

    async def declare(self) -> None:
        """An import that lists most of the links, under whatever quality."""
        a, b, c, *rest = (self._link(name) for name in LINKS)
        titles: tuple[ImportedTitle, ...] = (
            film("1", *self._some(a, b, c)),
            series("2", episode("x", 1, 1, *self._some(*rest[:2])), episode("y", 1, 2, *self._some(*rest[2:]))),
        )
        await self.scene.imports(*titles)

    def check(self) -> None:
        assert self.scene.sql(STRAYS) == [], "each link belongs to one original"
        assert self.scene.sql(MISPLACED, PROBED) == [], "and what was measured, to the one of its quality"
        assert self.scene.sql(ASTRAY) == [], "and each upload waits where a link of it can be tried"
        assert self.scene.sql(IDLE) == [], "and none is ready without one"
        assert self.scene.sql(LINKLESS) == [], "nor dead for want of any"
        ((probed,),) = self.scene.sql("SELECT count(*) FROM source_links WHERE evidence = ?", PROBED)
        self.probed_max = max(self.probed_max, probed)
        ((attempts,),) = self.scene.sql("SELECT count(*) FROM upload_attempts")
        assert attempts >= self.attempts, "history stays"
        self.attempts = attempts

    async def finish(self) -> None:
        """Every worker uploads what it gets, until there is nothing to get."""
        for worker, held in self.held:
            with suppress(LeaseLostError):
                await self.scene.store.queue.settle(worker, held.lease, SettleReleased())
        for worker in (*WORKERS, *WORKERS):
            self.scene.clock.advance(24 * 3600)
            await self.scene.store.sweeper.sweep()
            while (lease := await self.scene.claim(worker)) is not None:
                await self.scene.done(worker, lease, next(self._messages))

    async def _claim(self) -> None:
        worker = self.die.choice(WORKERS)
        lease = await self.scene.claim(worker)
        if lease is not None:
            assert lease.sources, "every lease has a link to try"
            self.held.append((worker, lease))

    async def _end(self) -> None:
        if not self.held:
            return
        worker, lease = self.held.pop(self.die.randrange(len(self.held)))
        count = self.die.randint(0, len(lease.sources))
        failed = tuple(self._failure(source.link_id) for source in lease.sources[:count])
        outcome = self.die.choice((SettleFailed(Reason.WRONG_CONTENT, failed), SettleReleased(failed)))
        if count < len(lease.sources) and self.die.random() < 0.4:
            objects: tuple[ObjectReport, ...] = uploaded(lease, next(self._messages)).objects
            used = SourceReport(lease.sources[count].link_id, None)
            await self.scene.store.queue.settle(worker, lease.lease, SettleDone(objects, (*failed, used), "direct"))
        else:
            await self.scene.store.queue.settle(worker, lease.lease, outcome)

    def _failure(self, link_id: int) -> SourceReport:
        reason = self.die.choice(FAILURES)
        measured = self.die.choice((None, *QUALITIES)) if reason is Reason.WRONG_CONTENT else None
        return SourceReport(link_id, reason, quality=measured)

    async def _steer(self) -> None:
        (code,) = self.die.choice(self.scene.sql("SELECT code FROM upload_variants ORDER BY code"))
        operations = self.scene.store.operations
        await self.die.choice((operations.requeue, operations.requeue, operations.cancel, operations.withdraw))(code)

    async def _wait(self) -> None:
        self.scene.clock.advance(self.die.choice((1, 40, 90_000)))
        await self.scene.store.sweeper.sweep()

    def _link(self, name: str) -> ImportedLink:
        key = self.die.choice(("", "?key=1", "?key=2"))
        path = self.die.choice((*[name] * 9, "moved"))
        return link(name, self.die.choice(QUALITIES), f"http://{name}.example/{path}.mkv{key}")

    def _some(self, *links: ImportedLink) -> tuple[ImportedLink, ...]:
        return tuple(one for one in links if self.die.random() < 0.9)


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_is_measured_and_declared_no_link_is_lost(scene: Scene, seed: int) -> None:
    for worker in WORKERS:
        await scene.enrol(worker)
    walk = Walk(scene, seed)
    await scene.imports(film("1", link("a")), series("2"))
    for title_id in (1, 2):
        await scene.store.operations.set_copies(title_id, 2)
    await walk.declare()
    for _ in range(STEPS):
        await walk.step()
        walk.check()
    await walk.finish()
    walk.check()
    assert walk.attempts > 20, "the walk leads past the workers"
    assert walk.probed_max > 0, "and past what they measure"
    waiting = {str(state) for (state,) in scene.sql("SELECT DISTINCT state FROM upload_variants")}
    assert not waiting & {VariantState.READY, VariantState.LEASED, VariantState.DELAYED}
