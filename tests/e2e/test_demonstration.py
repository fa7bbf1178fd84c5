"""A film goes from CM to a user's chat: the real programs, as processes, on the emulator."""

import io
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from telecine.core.clock import SystemClock
from telecine.core.demo import stage
from telecine.core.demo.demonstration import Demonstration
from telecine.core.demo.screen import Screen
from telecine.core.demo.titles import FILMS, SERIES, Title

LIGHTHOUSE, RAIN, REEL, NOTHING = FILMS[0], FILMS[3], FILMS[7], FILMS[9]
RAIN_BUT_ONE = msgspec.structs.replace(RAIN, links=RAIN.links[1:])  # the link that breaks off is resumed for long
HARBOUR = msgspec.structs.replace(SERIES[0], episodes=SERIES[0].episodes[:1])
FEW: tuple[Title, ...] = (LIGHTHOUSE, RAIN_BUT_ONE, REEL, NOTHING, HARBOUR)


@pytest.fixture
def screen() -> Screen:
    return Screen(Console(file=io.StringIO(), width=120))


@pytest.fixture
async def demonstration(tmp_path: Path, screen: Screen) -> AsyncIterator[Demonstration]:
    few = Demonstration(stage.build(tmp_path / "demo"), screen, SystemClock(), FEW)
    yield few
    await few.cast.stop()


async def test_what_has_a_good_link_reaches_the_viewer_picture_for_picture_whatever_dies_on_the_way(
    demonstration: Demonstration,
) -> None:
    report = await demonstration.run()
    assert report.failures == ()
    assert report.not_met == ()
    assert report.ok
    assert (report.titles, report.movies, report.series, report.episodes) == (5, 4, 1, 1)
    assert report.variants_by_state["done"] == report.deliverable == report.deliveries == report.parts == 5
    assert report.variants_by_state["dead"] == 1
    assert report.sent_by_file_id == 5
    assert report.frames_compared == 4 * 48 + 96
    assert (report.links, report.links_lost) == (15, 0)
    assert report.workers_killed == 1
    assert report.duplicate_messages == report.orphan_messages == 0
