"""Media made on the spot: small clips of every kind that sources serve.

Nothing is downloaded and no array library is needed. The same `MediaSpec` gives the same bytes again on the same
machine; a clip that is already there is not made twice. All of it blocks: call it in a thread from asyncio.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer

from telecine.core.emulator.media.encoding import encode
from telecine.core.emulator.media.specs import Container, MediaSpec
from telecine.core.emulator.sources.host import HTML_PAGE

TKHD_MATRIX_AT = 40
_ONE, _UNIT = 1 << 16, 1 << 30
_MATRICES = {
    90: (0, _ONE, 0, -_ONE, 0, 0, 0, 0, _UNIT),
    180: (-_ONE, 0, 0, 0, -_ONE, 0, 0, 0, _UNIT),
    270: (0, -_ONE, 0, _ONE, 0, 0, 0, 0, _UNIT),
}


def generate(spec: MediaSpec, folder: Path) -> Path:
    """Make the clip `folder/spec.name`, or find it made already. Safe against other processes doing the same."""
    target = folder / spec.name
    made = target.with_name(f".{target.name}.spec")
    if target.exists() and made.exists() and made.read_text() == spec.digest:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    options = _muxer_options(spec.container, moov_first=spec.moov_first)
    with drafted(target) as draft, av.open(str(draft), "w", format=spec.container.value, options=options) as out:
        encode(spec, out)
        out.close()
        _rotate(draft, spec.rotation_deg)
    made.write_text(spec.digest)
    return target


def remux_copy(source: Path, target: Path, container: Container, *, moov_first: bool = True) -> Path:
    """The same encoded pictures and sound in another container; subtitles stay behind.

    Copy from MP4 to MKV rather than the other way round: MKV does not keep decoding times.
    """
    options = _muxer_options(container, moov_first=moov_first)
    with drafted(target) as draft, av.open(str(draft), "w", format=container.value, options=options) as out:
        given = av.open(str(source))
        assert isinstance(given, InputContainer)  # noqa: S101 - opened for reading
        with given:
            streams = {s.index: out.add_stream_from_template(s) for s in (*given.streams.video, *given.streams.audio)}
            for packet in given.demux([given.streams[index] for index in streams]):
                if packet.size:
                    packet.stream = streams[packet.stream_index]
                    out.mux(packet)
    return target


def truncate_copy(source: Path, target: Path, share: float) -> Path:
    """The first `share` (0-1) of a file: what an aborted copy leaves."""
    with drafted(target) as draft:
        draft.write_bytes(source.read_bytes()[: int(source.stat().st_size * share)])
    return target


def html_page(target: Path) -> Path:
    """The page that expired links turn into, under any name."""
    target.write_bytes(HTML_PAGE)
    return target


def _rotate(file: Path, rotation_deg: int) -> None:
    """Write into an MP4 how its first track is to be turned (ISO/IEC 14496-12, 8.3.2)."""
    if rotation_deg:
        content = bytearray(file.read_bytes())
        matrix_at = content.index(b"tkhd") + 4 + TKHD_MATRIX_AT
        content[matrix_at : matrix_at + 36] = struct.pack(">9i", *_MATRICES[rotation_deg])
        file.write_bytes(content)


@contextmanager
def drafted(target: Path) -> Iterator[Path]:
    """A file beside `target` that takes its place when all went well, and vanishes otherwise."""
    draft = target.with_name(f".{target.name}.{os.getpid()}.draft")
    try:
        yield draft
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _muxer_options(container: Container, *, moov_first: bool) -> dict[str, str]:
    options = {"fflags": "+bitexact"}
    if container in (Container.MP4, Container.MOV) and moov_first:
        options["movflags"] = "+faststart"
    return options
