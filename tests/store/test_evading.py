"""What waits for a host that is left alone, and could be read from another, goes there."""

from __future__ import annotations

from contextlib import closing

import pytest
from pysqlite3 import dbapi2
from tests.store.conftest import Scene, film, link

from telecine.store import lanes
from telecine.store.sql import STATEMENTS

STEPS_OF_A_SLICE = 100  # of SQLite's machine, a row: a place in the index, three columns, their order


async def test_a_slice_of_a_long_lane_reads_nothing_of_what_stands_before_it(scene: Scene) -> None:
    count = 5 * lanes.SLICE_ROWS
    await scene.imports(*(film(str(n), link(str(n), url=f"http://one.example/{n}.mkv")) for n in range(count)))
    slice_ = STATEMENTS["lane_slice"]
    place = {"host_id": 1, "lane": 0, "priority": 2, "id": count - 10, "limit": lanes.SLICE_ROWS}
    steps: list[None] = []
    with closing(dbapi2.connect(str(scene.path))) as raw:
        raw.set_progress_handler(lambda: steps.append(None), 1)
        rows = raw.execute(slice_.sql, slice_.values(place)).fetchall()
    assert [row[0] for row in rows] == list(range(count - 9, count + 1))
    assert len(steps) < STEPS_OF_A_SLICE * len(rows)


async def test_slice_by_slice_all_of_a_lane_are_seen_whatever_their_order(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "SLICE_ROWS", 2)
    await scene.enrol("w")
    await scene.enrol("x")
    for number in range(1, 13):
        hosts = ("one", "two")
        await scene.imports(
            film(str(number), *(link(f"{number}{host}", url=f"http://{host}.example/{number}.mkv") for host in hosts))
        )
        code = f"CM_M{number:06d}_720P"
        await scene.store.operations.prioritise(code, number * 5 % 4)
        await scene.store.operations.pin(code, (None, "w", "x")[number % 3])
    await scene.store.operations.limit_host("one.example", 0)
    await scene.store.sweeper.sweep()
    assert scene.sql("SELECT h.name, count(*) FROM upload_variants v JOIN hosts h ON h.id = v.host_id GROUP BY 1") == [
        ("two.example", 12)
    ]
