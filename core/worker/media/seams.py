"""Packets of recordings as of one film. Runs in the media child.

A recording may begin in the middle of a group of pictures, and where two were laid end to end, or a broadcaster began
its clock anew, times jump. Players follow neither: pictures that cannot be decoded are left out, and time goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from telecine.core.worker.media.packets import MediaPacket

RESTARTING = frozenset({"mpegts", "mpeg"})  # whose times may jump
JUMP_S = 10.0  # FFmpeg's own `dts_delta_threshold`
PICTURES_HELD_MAX = 300  # some players' files flag no picture as key


class Seams:
    """Where times jump. `count`: so many so far."""

    def __init__(self) -> None:
        self.count = 0
        self._offset_s = 0.0
        self._due_s: dict[int, float] = {}  # when the next packet of each track is expected
        self._latest_s: float | None = None

    def joined(self, packets: Iterable[MediaPacket]) -> Iterator[MediaPacket]:
        """The packets, with times that go on where they jump, for all tracks alike.

        Around a seam packets of both sides may alternate: each track goes on by itself then.
        """
        for packet in packets:
            stamp = packet.pts if packet.dts is None else packet.dts
            if stamp is not None and packet.size:
                self._follow(packet, stamp)
            yield packet

    def _follow(self, packet: MediaPacket, stamp: int) -> None:
        tick_s, number = float(packet.time_base), packet.stream_index
        at_s = stamp * tick_s + self._offset_s
        latest_s = at_s if self._latest_s is None else self._latest_s
        due_s = self._due_s.get(number, latest_s)
        # A track that has long been silent comes back when the others are: that is no jump.
        if at_s - latest_s > JUMP_S or (number in self._due_s and due_s - at_s > JUMP_S):
            goes_on_s = due_s if abs(latest_s - due_s) < JUMP_S else latest_s
            self._offset_s += goes_on_s - at_s
            at_s = goes_on_s
            self.count += 1
        if self._offset_s:
            _shift(packet, round(self._offset_s / tick_s))
        self._due_s[number] = at_s + (packet.duration or 0) * tick_s
        # After a jump back and forth, what was the latest may be none any more.
        self._latest_s = max(self._due_s.values())


def from_first_entry(packets: Iterable[MediaPacket], film: int) -> Iterator[MediaPacket]:
    """Leave out the pictures of track `film` that stand before its first key frame, where there is one soon."""
    held: list[MediaPacket] = []
    has_begun = False
    for packet in packets:
        if has_begun or packet.stream_index != film or not packet.size:
            yield packet
            continue
        held.append(packet)
        has_begun = packet.is_keyframe or len(held) > PICTURES_HELD_MAX
        if has_begun:
            yield from held[-1:] if packet.is_keyframe else held
            held = []
    yield from held


def _shift(packet: MediaPacket, ticks: int) -> None:
    if packet.pts is not None:
        packet.pts += ticks
    if packet.dts is not None:
        packet.dts += ticks
