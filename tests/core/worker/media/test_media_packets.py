from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
from av.packet import Packet
from hypothesis import given
from hypothesis import strategies as st

from telecine.core.emulator.media.specs import SAMPLES, Container, MediaSpec
from telecine.core.worker.media.packets import HELD_PACKETS_MAX, MediaPacket, timed

from .conftest import Clip

MILLISECONDS = Fraction(1, 1000)


def packet(pts: int | None, dts: int | None, duration: int = 40) -> MediaPacket:
    made: MediaPacket = Packet(b"picture")
    made.pts, made.dts, made.duration, made.time_base = pts, dts, duration, MILLISECONDS
    return made


def test_missing_decoding_times_are_counted_back() -> None:
    given_packets = [packet(0, None), packet(120, None), packet(40, 40), packet(80, 80)]
    assert [one.dts for one in timed(given_packets)] == [-40, 0, 40, 80]


def test_no_packet_is_lost_where_no_time_is_ever_told() -> None:
    made = list(timed(packet(None, None) for _ in range(HELD_PACKETS_MAX * 2)))
    assert len(made) == HELD_PACKETS_MAX * 2


def test_empty_packets_that_end_a_track_are_left_out() -> None:
    end: MediaPacket = Packet()
    assert list(timed([end])) == []


times = st.none() | st.integers(-1000, 1_000_000)


@given(st.lists(st.tuples(times, times), max_size=40))
def test_times_grow_and_no_picture_is_shown_before_it_is_decoded(stamps: list[tuple[int | None, int | None]]) -> None:
    made = list(timed(packet(pts, dts) for pts, dts in stamps))
    decoded = [one.dts for one in made if one.dts is not None]
    assert len(made) == len(stamps)
    assert decoded == sorted(set(decoded))
    assert all(one.pts >= one.dts for one in made if one.pts is not None and one.dts is not None)


def test_sound_is_snapped_to_whole_frames(clip: Clip) -> None:
    with av.open(str(clip("mkv"))) as container:
        sound = list(timed(container.demux(container.streams.audio[0])))
    starts = [one.pts for one in sound if one.pts is not None]
    assert {after - before for before, after in pairwise(starts)} == {1024}
    assert {one.time_base for one in sound} == {Fraction(1, 48_000)}


def test_gap_in_the_sound_stays_a_gap(clip: Clip, tmp_path: Path) -> None:
    spec = MediaSpec(name="gap.mkv", container=Container.MKV, width_px=64, height_px=48, seed=SAMPLES["mkv"].seed)
    with av.open(str(clip(spec))) as container:
        kept = [
            one for one in container.demux(container.streams.audio[0]) if one.pts is None or not 500 < one.pts < 900
        ]
        starts = [one.pts or 0 for one in timed(kept)]
    steps = [after - before for before, after in pairwise(starts)]
    assert max(steps) > 0.3 * 48_000
    assert steps.count(1024) == len(steps) - 1
