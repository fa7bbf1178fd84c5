"""How packets are framed on a TCP connection (core.telegram.org/mtproto/mtproto-transports).

The client's first bytes tell which framing it speaks: 0xef abridged, 0xeeeeeeee intermediate, 0xdddddddd padded
intermediate; anything else is the length of a packet in the full framing, which is Telethon's default.
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple, Protocol
from zlib import crc32

PACKET_BYTES_MAX = 2 * 1024 * 1024
HEAD_BYTES = 24  # key id and message key


class FramingError(Exception):
    """The peer does not keep to its framing; the connection is of no further use."""


class Reader(Protocol):
    """Where bytes come from."""

    async def readexactly(self, count: int, /) -> bytes:
        """IncompleteReadError at the end."""
        ...


class Packet(NamedTuple):
    """A packet in two pieces, for the second one, which may be large, is decrypted by itself."""

    head: bytes
    """The first HEAD_BYTES, or all there is."""
    body: bytes


class Framing(Protocol):
    """One way to cut a stream into packets."""

    async def read(self, reader: Reader) -> Packet:
        """The next packet. FramingError, or IncompleteReadError at the end of the stream."""
        ...

    def frame(self, packet: bytes) -> bytes:
        """A packet as it goes over the wire."""
        ...


class FullFraming:
    """Length, running number, packet, CRC-32."""

    def __init__(self, first_length: bytes) -> None:
        self._first_length = first_length
        self._received = 0
        self._sent = 0

    async def read(self, reader: Reader) -> Packet:
        head, self._first_length = self._first_length or await reader.readexactly(4), b""
        length = _checked(int.from_bytes(head, "little") - 8)
        rest = await reader.readexactly(length + 4)
        body = memoryview(rest)[:-4]
        if crc32(body, crc32(head)) != int.from_bytes(rest[-4:], "little"):
            raise FramingError("checksum does not match")
        if int.from_bytes(rest[:4], "little") != self._received:
            raise FramingError("packets are out of order")
        self._received += 1
        return Packet(rest[4 : 4 + HEAD_BYTES], rest[4 + HEAD_BYTES : -4])

    def frame(self, packet: bytes) -> bytes:
        framed = struct.pack("<II", len(packet) + 12, self._sent) + packet
        self._sent += 1
        return framed + struct.pack("<I", crc32(framed))


class AbridgedFraming:
    """The length in 4-byte words, in one byte or in four."""

    async def read(self, reader: Reader) -> Packet:
        words = (await reader.readexactly(1))[0] & 0x7F  # the top bit asks for a quick ack, which is optional
        if words == 0x7F:
            words = int.from_bytes(await reader.readexactly(3), "little")
        return await _read_packet(reader, _checked(words * 4))

    def frame(self, packet: bytes) -> bytes:
        words = len(packet) // 4
        head = bytes((words,)) if words < 0x7F else b"\x7f" + words.to_bytes(3, "little")
        return head + packet


class IntermediateFraming:
    """The length in four bytes; `padded` adds up to 15 random bytes that the receiver cuts off."""

    def __init__(self, *, padded: bool) -> None:
        self._padded = padded

    async def read(self, reader: Reader) -> Packet:
        length = int.from_bytes(await reader.readexactly(4), "little") & 0x7FFFFFFF
        packet = await _read_packet(reader, _checked(length))
        return _without_padding(packet) if self._padded else packet

    def frame(self, packet: bytes) -> bytes:
        padding = os.urandom(os.urandom(1)[0] % 16) if self._padded and len(packet) > 4 else b""
        return struct.pack("<I", len(packet) + len(padding)) + packet + padding


async def accept(reader: Reader) -> Framing:
    """Read the first bytes of a connection and choose its framing."""
    first = await reader.readexactly(1)
    if first == b"\xef":
        return AbridgedFraming()
    tag = first + await reader.readexactly(3)
    if tag == b"\xee" * 4:
        return IntermediateFraming(padded=False)
    if tag == b"\xdd" * 4:
        return IntermediateFraming(padded=True)
    return FullFraming(tag)


def _checked(length: int) -> int:
    if not 0 < length <= PACKET_BYTES_MAX:
        raise FramingError(f"a packet of {length} bytes")
    return length


async def _read_packet(reader: Reader, length: int) -> Packet:
    head = await reader.readexactly(min(length, HEAD_BYTES))
    return Packet(head, await reader.readexactly(length - len(head)))


def _without_padding(packet: Packet) -> Packet:
    """An encrypted packet is 24 bytes and whole cipher blocks; a plain one tells its length."""
    head, body = packet
    if head[:8] == bytes(8):
        return Packet(head, body[: max(0, 20 + int.from_bytes(head[16:20], "little") - len(head))])
    return Packet(head, body[: len(body) - len(body) % 16])
