"""MPEG transport streams (ISO 13818-1), as far as to tell whether two of them carry the same kinds of tracks."""

from __future__ import annotations

from collections.abc import Iterator

PACKET_BYTES = 188
SYNC = 0x47
PROGRAMS_PID = 0
PROGRAMS_TABLE, TRACKS_TABLE = 0x00, 0x02


def kinds_of_tracks(data: bytes) -> tuple[int, ...] | None:
    """The stream types that the first program in `data` announces; None where it announces none."""
    map_pid = None
    for pid, section in _sections(data):
        if pid == PROGRAMS_PID and section[:1] == bytes([PROGRAMS_TABLE]) and len(section) >= 12:
            map_pid = _pid(section, 10)
        elif pid == map_pid and section[:1] == bytes([TRACKS_TABLE]) and len(section) >= 12:
            return tuple(_kinds(section))
    return None


def _sections(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The tables that begin in a packet, each with the id of the packet; those that go on in the next are cut."""
    for at in range(0, len(data) - PACKET_BYTES + 1, PACKET_BYTES):
        packet = data[at : at + PACKET_BYTES]
        if packet[0] != SYNC:
            return
        begins, has_adaptation, has_payload = packet[1] & 0x40, packet[3] & 0x20, packet[3] & 0x10
        start = 5 + packet[4] if has_adaptation else 4
        if begins and has_payload and start < PACKET_BYTES:
            yield _pid(packet, 1), packet[start + 1 + packet[start] :]


def _kinds(section: bytes) -> Iterator[int]:
    end = min(len(section), 3 + _twelve_bits(section, 1) - 4)  # without the checksum
    at = 12 + _twelve_bits(section, 10)
    while at + 5 <= end:
        yield section[at]
        at += 5 + _twelve_bits(section, at + 3)


def _pid(data: bytes, at: int) -> int:
    return (data[at] & 0x1F) << 8 | data[at + 1]


def _twelve_bits(data: bytes, at: int) -> int:
    return (data[at] & 0x0F) << 8 | data[at + 1]
