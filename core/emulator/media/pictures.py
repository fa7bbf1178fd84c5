"""What tells whether two files are the same film: their decoded pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import av
import msgspec
from av.video.frame import VideoFrame


class Pictures(msgspec.Struct, frozen=True):
    """The decoded pictures of a film in brief: how many there are, and a digest of them all in order."""

    frames: int
    digest: str


def frame_digests(path: Path) -> Iterator[str]:
    """MD5 of each decoded picture of the first video track, as displayed, in order. One frame in memory at a time."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            digest = hashlib.md5(f"{frame.format.name} {frame.width}x{frame.height}".encode(), usedforsecurity=False)
            for row in _rows(frame):
                digest.update(row)
            yield digest.hexdigest()


def pictures(path: Path) -> Pictures:
    """Count and digest of all pictures of a film: equal for two files whose decoded frames are identical."""
    frames, whole = 0, hashlib.md5(usedforsecurity=False)
    for digest in frame_digests(path):
        frames += 1
        whole.update(digest.encode())
    return Pictures(frames, whole.hexdigest())


def _rows(frame: VideoFrame) -> Iterator[memoryview]:
    """The pixels of a frame, without the padding that decoders leave at the end of lines."""
    component_bytes = (frame.format.components[0].bits + 7) // 8
    for plane in frame.planes:
        pixels, row_bytes = memoryview(plane), plane.width * component_bytes
        if row_bytes == plane.line_size:
            yield pixels[: row_bytes * plane.height]
            continue
        for start in range(0, plane.height * plane.line_size, plane.line_size):
            yield pixels[start : start + row_bytes]
