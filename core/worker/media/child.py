"""The process in which untrusted media is parsed: `python -m telecine.core.worker.media.child`.

It has neither network nor disk: it asks the worker for the bytes of the source over one pipe and sends what it makes
of them over another. Before the first byte it gives up the right to open anything else.
"""

from __future__ import annotations

import importlib
import os
import resource

import av.logging

from telecine.core.reasons import Reason
from telecine.core.worker.media import probe as media_probe
from telecine.core.worker.media.mux import mux
from telecine.core.worker.media.reader import MediaError, SourceFile
from telecine.core.worker.media.sink import PartBytes
from telecine.core.worker.media.wire import (
    ChildPipe,
    Confine,
    Data,
    Failed,
    FindOut,
    Mux,
    Muxed,
    Order,
    Part,
    Probed,
    Read,
    TakeThumbnail,
    Thumbnail,
    ToWorker,
)

LATE_IMPORTS = (
    "logging",
    "av.audio.codeccontext",
    "av.audio.stream",
    "av.subtitles.codeccontext",
    "av.subtitles.stream",
    "av.video.codeccontext",
    "av.video.stream",
)
"""What PyAV imports on first use, when no file can be opened any more."""


def main() -> None:
    """Serve one worker until it hangs up."""
    pipe = _take_pipes()
    av.logging.set_level(av.logging.PANIC)
    terms = pipe.receive()
    if not isinstance(terms, Confine):
        raise SystemExit("terms first")
    _confine(terms)
    session = _Session(pipe, terms)
    try:
        while True:
            session.obey(pipe.receive())
    except (EOFError, BrokenPipeError):
        return


class _Session:
    """What goes on over the pipe."""

    def __init__(self, pipe: ChildPipe, terms: Confine) -> None:
        self._pipe = pipe
        self._file = SourceFile(self._read_at, terms.size_bytes, seekable=terms.seekable)

    def obey(self, order: object) -> None:
        """Carry one order out and answer it."""
        if not isinstance(order, Order):
            raise SystemExit("no order")
        try:
            answer = self._answer(order)
        except MediaError as error:
            answer = Failed(error.reason, str(error))
        except MemoryError:
            answer = Failed(Reason.NOT_MEDIA, "takes more memory than any film should")
        self._pipe.send(answer)

    def _answer(self, order: Order) -> ToWorker:
        match order:
            case FindOut():
                return Probed(media_probe.probe(self._file))
            case TakeThumbnail():
                return Thumbnail(media_probe.thumbnail(self._file))
            case Mux(recipe):
                mux(self._file, recipe, self._emit, self._pipe.send)
                return Muxed()

    def _emit(self, file_no: int, index: int, data: PartBytes) -> None:
        self._pipe.send(Part(file_no, index, bytes(data)))

    def _read_at(self, offset: int, length: int) -> bytes:
        self._pipe.send(Read(offset, length))
        answer = self._pipe.receive()
        if not isinstance(answer, Data):
            raise SystemExit("no data")
        return answer.data


def _take_pipes() -> ChildPipe:
    """Keep the two pipes for ourselves, so that a library that prints cannot garble them."""
    pipe = ChildPipe(os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 0)
    os.dup2(2, 1)
    return pipe


def _confine(terms: Confine) -> None:
    """Give up what parsing does not need. No descriptor can be opened after this: no file, no socket."""
    for module in LATE_IMPORTS:
        importlib.import_module(module)
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 0),
        (resource.RLIMIT_CPU, terms.cpu_s_max),
        (resource.RLIMIT_AS, terms.memory_bytes_max),
    ):
        _, ceiling = resource.getrlimit(kind)
        allowed = most if ceiling == resource.RLIM_INFINITY else min(most, ceiling)
        resource.setrlimit(kind, (allowed, allowed))


if __name__ == "__main__":
    main()
