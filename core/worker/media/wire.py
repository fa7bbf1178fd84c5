"""What a worker and its media child say to each other: msgpack messages, each after its length in four bytes.

What is large, bytes of the source and parts of files, goes through the memory that they share.
"""

from __future__ import annotations

import struct
from typing import Annotated, BinaryIO

import msgspec

from telecine.core.plans import Probe, Recipe
from telecine.core.reasons import Reason

HEADER = struct.Struct("<I")
MESSAGE_BYTES_MAX = 1024 * 1024  # a picture or a probe with room for what is around it

# What the child tells is checked: it may be under foreign control.
Natural = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
Positive = Annotated[int, msgspec.Meta(ge=1, lt=2**53)]
DURATION_S_MAX = 10**9
FRAME_SIDE_MAX_PX = 2**16 - 1  # of what an MP4 can say of a track
Seconds = Annotated[float, msgspec.Meta(ge=0, le=DURATION_S_MAX)]
Pixels = Annotated[int, msgspec.Meta(ge=0, le=FRAME_SIDE_MAX_PX)]


class Confine(msgspec.Struct, frozen=True, tag=True):
    """First message to the child: what it may use, and what there is to read. `memory_fd`: the shared memory."""

    memory_fd: int
    size_bytes: int | None
    seekable: bool
    memory_bytes_max: int
    cpu_s_max: int


class FindOut(msgspec.Struct, frozen=True, tag=True):
    """Order: probe. Answered by `Probed`."""


class TakeThumbnail(msgspec.Struct, frozen=True, tag=True):
    """Order: picture. Answered by `Thumbnail`."""


class Mux(msgspec.Struct, frozen=True, tag=True):
    """Order: make MP4s. Answered, file after file, by `PartReady`s and a `PartMade`; by `Muxed` at last."""

    recipe: Recipe


class Data(msgspec.Struct, frozen=True, tag=True):
    """The answer to `Read`: so many bytes are there, fewer than asked for only at the end of the source."""

    length: int


class Taken(msgspec.Struct, frozen=True, tag=True):
    """The part in that place has been copied; it may be used again."""

    place: int


class Read(msgspec.Struct, frozen=True, tag=True):
    """The child needs bytes of the source in a place for reads. Answered by `Data`."""

    place: Natural
    offset: Natural
    length: Positive


class Probed(msgspec.Struct, frozen=True, tag=True):
    probe: Probe


class Thumbnail(msgspec.Struct, frozen=True, tag=True):
    """`jpeg` None: there is no picture that would do."""

    jpeg: bytes | None


class Part(msgspec.Struct, frozen=True):
    """Upload part `index` of file `file_no`, which counts from 1. Those of the file's head come last."""

    file_no: int
    index: int
    data: bytes


class PartReady(msgspec.Struct, frozen=True, tag=True):
    """A `Part` is in a place for parts. Answered by `Taken`."""

    file_no: Positive
    index: Natural
    place: Natural
    length: Positive


class PartMade(msgspec.Struct, frozen=True, tag=True):
    """What a file turned out to be, after the last of its parts. `streamable`: its index stands in front."""

    file_no: Positive
    size_bytes: Natural
    duration_s: Seconds
    width_px: Pixels
    height_px: Pixels
    has_audio: bool
    streamable: bool


class Muxed(msgspec.Struct, frozen=True, tag=True):
    """There are no more files."""


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The order cannot be carried out, because of the source."""

    reason: Reason
    message: str


Order = FindOut | TakeThumbnail | Mux
ToChild = Confine | FindOut | TakeThumbnail | Mux | Data | Taken
ToWorker = Read | Probed | Thumbnail | PartReady | PartMade | Muxed | Failed

_to_child: msgspec.msgpack.Decoder[ToChild] = msgspec.msgpack.Decoder(ToChild)
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_encoder = msgspec.msgpack.Encoder()


def framed(message: ToChild | ToWorker) -> bytes:
    """A message as it goes over the pipe."""
    frame = bytearray(HEADER.size)
    _encoder.encode_into(message, frame, HEADER.size)
    HEADER.pack_into(frame, 0, len(frame) - HEADER.size)
    return bytes(frame)


def parse_to_worker(frame: bytes) -> ToWorker:
    """Raises msgspec.DecodeError or ValidationError: the child may be under foreign control."""
    return _to_worker.decode(frame)


class ChildPipe:
    """The child's end. Blocks."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self._reader = reader
        self._writer = writer

    def receive(self) -> ToChild:
        """Raises EOFError when the worker is gone."""
        (length,) = HEADER.unpack(self._exactly(HEADER.size))
        return _to_child.decode(self._exactly(length))

    def send(self, message: ToWorker) -> None:
        self._writer.write(framed(message))
        self._writer.flush()

    def _exactly(self, length: int) -> bytes:
        data = self._reader.read(length)
        if len(data) < length:
            raise EOFError
        return data
