"""What hosts have under the names of films."""

from __future__ import annotations

import random
import struct
import zlib
from pathlib import Path
from typing import Any

import av
from av.packet import Packet

from telecine.core.emulator.media.files import generate
from telecine.core.emulator.media.specs import Container, MediaSpec
from telecine.core.emulator.media.vast import vast
from telecine.core.reasons import Reason

MEMORY_BYTES_MAX = 512 * 1024**2  # that a parser may use
BOMB_SIDE_PX = 24_000  # of a picture that takes more when it is unpacked

REASONS = {
    "empty.mp4": Reason.NOT_MEDIA,
    "garbage.mp4": Reason.NOT_MEDIA,
    "page.mp4": Reason.NOT_MEDIA,
    "nowhere.m3u8": Reason.GONE,
    "cut.mp4": Reason.TRUNCATED,
    "cut.mkv": Reason.TRUNCATED,
    "sound.mp4": Reason.NOT_MEDIA,
    "trailer.mp4": Reason.WRONG_CONTENT,
    "bomb.mov": Reason.WRONG_CONTENT,  # its heading tells how large it would be; whoever unpacks it dies
}


def make(media: Path, film: bytes) -> None:
    """All of them, in the place of an MP4 of eight seconds. Blocks."""
    (media / "empty.mp4").write_bytes(b"")
    (media / "garbage.mp4").write_bytes(random.Random(1).randbytes(len(film)))
    (media / "page.mp4").write_text("<!doctype html><title>gone</title>" + "<p>gone</p>" * 1000)
    (media / "nowhere.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:8\n#EXTINF:8,\nnothing.ts\n#EXT-X-ENDLIST\n")
    (media / "cut.mp4").write_bytes(film[: len(film) // 2])
    matroska = vast(media / "whole.mkv", size_bytes=len(film), seconds=8, container=Container.MKV).read_bytes()
    (media / "cut.mkv").write_bytes(matroska[: len(matroska) // 2])
    generate(MediaSpec(name="trailer.mp4", width_px=320, height_px=180, seconds=2.0), media)
    _sound_alone(media / "whole.mkv", media / "sound.mp4")
    _bomb(media / "bomb.mov")


def _sound_alone(source: Path, target: Path) -> None:
    with av.open(str(source)) as given, av.open(str(target), "w", format="mp4") as out:
        (track,) = given.streams.audio
        copy = out.add_stream_from_template(track)
        for packet in given.demux(track):
            if packet.size:
                packet.stream = copy
                out.mux(packet)


def _bomb(target: Path) -> None:
    """A gray picture, a hundred thousand times smaller than what it unpacks to."""
    with av.open(str(target), "w", format="mov") as out:
        track: Any = out.add_stream("png", rate=1)
        track.width, track.height, track.pix_fmt = 320, 180, "gray"
        packet: Packet[Any] = Packet(_png(BOMB_SIDE_PX))
        packet.stream, packet.pts, packet.dts, packet.is_keyframe = track, 0, 0, True
        out.mux(packet)


def _png(side_px: int) -> bytes:
    packer = zlib.compressobj(1)
    line = bytes(1 + side_px)
    packed = b"".join(packer.compress(line) for _ in range(side_px)) + packer.flush()
    heading = struct.pack(">IIBBBBB", side_px, side_px, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", heading) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _chunk(name: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")
