"""Recordings: they begin anywhere, and their clock may begin anew."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest

from telecine.core.emulator.media.pictures import frame_digests
from telecine.core.emulator.media.specs import Container, MediaSpec
from telecine.core.plans import Recipe
from telecine.core.worker.media.seams import PICTURES_HELD_MAX, Seams, from_first_entry

from .conftest import Clip, Sources, child, muxed

RECORDING = MediaSpec(
    name="recording.ts", container=Container.MPEG_TS, width_px=160, height_px=90, seconds=12, b_frames=2, seed=71
)
FILM, SOUND = 0, 1


def packet(track: int, at_s: float, *, is_keyframe: bool = True) -> Any:
    pts = round(at_s * 1000)
    return SimpleNamespace(
        stream_index=track, pts=pts, dts=pts, duration=500, size=1, time_base=Fraction(1, 1000), is_keyframe=is_keyframe
    )


def heard(*stamps: tuple[int, float]) -> list[tuple[int, float]]:
    """Tracks and times as they come out, in seconds."""
    return [(one.stream_index, (one.dts or 0) / 1000) for one in Seams().joined(packet(*stamp) for stamp in stamps)]


@pytest.mark.parametrize("restart_s", [0.0, 1000.0, 90_000.0])
def test_time_goes_on_where_the_clock_begins_anew(restart_s: float) -> None:
    before = [(FILM, 100.0), (SOUND, 100.0), (FILM, 100.5), (SOUND, 100.5)]
    after = [(FILM, restart_s), (SOUND, restart_s), (FILM, restart_s + 0.5), (SOUND, restart_s + 0.5)]
    assert heard(*before, *after) == [*before, (FILM, 101.0), (SOUND, 101.0), (FILM, 101.5), (SOUND, 101.5)]


def test_tracks_that_pass_a_seam_one_after_the_other_keep_together() -> None:
    stamps = [(FILM, 100.0), (SOUND, 100.0), (FILM, 0.0), (SOUND, 100.5), (FILM, 0.5), (SOUND, 0.5), (FILM, 1.0)]
    due = [(FILM, 100.0), (SOUND, 100.0), (FILM, 100.5), (SOUND, 100.5), (FILM, 101.0), (SOUND, 101.0), (FILM, 101.5)]
    assert heard(*stamps) == due


def test_sound_that_was_silent_for_long_comes_back_when_it_is_heard() -> None:
    stamps = [(SOUND, 0.0), *((FILM, at_s / 2) for at_s in range(120)), (SOUND, 60.0), (FILM, 60.0)]
    assert heard(*stamps) == stamps


def test_a_recording_of_two_pieces_runs_as_long_as_both() -> None:
    seams = Seams()
    list(seams.joined(packet(FILM, at_s) for at_s in (0.0, 0.5, 1.0)))
    assert seams.count == 0
    list(seams.joined(packet(FILM, at_s) for at_s in (100.0, 100.5)))
    assert seams.count == 1


@pytest.mark.parametrize("part_bytes_max", [None, 8 * 1024 * 1024])
async def test_recordings_laid_end_to_end_play_one_after_the_other(
    part_bytes_max: int | None, clip: Clip, sources: Sources, tmp_path: Path
) -> None:
    sources.add("both.ts", clip(RECORDING).read_bytes() * 2)
    async with child(sources, sources.folder / "both.ts") as (media, _):
        (made,) = await muxed(media, Recipe(part_bytes_max=part_bytes_max), tmp_path)
    once = list(frame_digests(clip(RECORDING)))
    assert list(frame_digests(tmp_path / "1.mp4")) == once * 2
    assert made.duration_s == pytest.approx(24, abs=0.3)


async def test_a_recording_begins_with_its_first_key_frame(clip: Clip, sources: Sources, tmp_path: Path) -> None:
    content = clip(RECORDING).read_bytes()
    sources.add("tail.ts", content[len(content) // 5 // 188 * 188 :])
    async with child(sources, sources.folder / "tail.ts") as (media, _):
        await muxed(media, Recipe(), tmp_path)
    with av.open(str(tmp_path / "1.mp4")) as container:
        assert next(container.demux(video=0)).is_keyframe


def test_pictures_none_of_which_is_called_key_are_all_kept() -> None:
    pictures = [packet(FILM, at_s, is_keyframe=False) for at_s in range(PICTURES_HELD_MAX * 2)]
    assert list(from_first_entry(pictures, FILM)) == pictures
    assert list(from_first_entry(pictures[:9], FILM)) == pictures[:9]
