"""The process in which untrusted media is parsed: `python -m telecine.core.worker.media.child`.

It has neither network nor disk: it asks the worker for the bytes of the source over one pipe and sends what it makes
of them over another; the bytes themselves stand in memory that both share. Before the first of them it gives up the
right to open anything else.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import resource
import signal
from collections import deque

import av.logging

from telecine.core.reasons import Reason
from telecine.core.worker.media import probe as media_probe
from telecine.core.worker.media.mux import mux
from telecine.core.worker.media.reader import MediaError, SourceFile
from telecine.core.worker.media.reads import Reads
from telecine.core.worker.media.shared import PART_PLACES, SharedMemory
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
    PartReady,
    Probed,
    Read,
    Taken,
    TakeThumbnail,
    Thumbnail,
    ToChild,
    ToWorker,
)

PR_SET_PDEATHSIG = 1  # prctl(2)
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
    _die_with_the_worker()
    pipe = _take_pipes()
    av.logging.set_level(av.logging.PANIC)
    terms = pipe.receive()
    if not isinstance(terms, Confine):
        raise SystemExit("terms first")
    memory = SharedMemory(terms.memory_fd)
    os.close(terms.memory_fd)
    _confine(terms)
    session = _Session(pipe, memory, terms)
    while True:
        session.hear(pipe.receive())


class _WorkersPipe(ChildPipe):
    """Ends the process when the worker is gone: what is raised within a call of FFmpeg's, FFmpeg goes on from."""

    def receive(self) -> ToChild:
        try:
            return super().receive()
        except (EOFError, ConnectionError):
            os._exit(0)

    def send(self, message: ToWorker) -> None:
        try:
            super().send(message)
        except ConnectionError:
            os._exit(0)


class _Session:
    """What goes on over the pipe."""

    def __init__(self, pipe: ChildPipe, memory: SharedMemory, terms: Confine) -> None:
        self._pipe = pipe
        self._memory = memory
        self._places = deque(range(PART_PLACES))  # for parts, free by now
        self._lengths: deque[int] = deque()  # of reads that were answered
        self._reads = Reads(memory, self._ask, self._answered)
        self._file = SourceFile(self._reads.read, terms.size_bytes, seekable=terms.seekable)

    def hear(self, message: ToChild) -> None:
        """Carry an order out and answer it. Answers may still come to what an order before it has sent."""
        match message:
            case Data(length):
                self._lengths.append(length)
            case Taken(place):
                self._places.append(place)
            case Confine():
                raise SystemExit("terms twice")
            case order:
                self._obey(order)

    def _obey(self, order: Order) -> None:
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
        while not self._places:
            self.hear(self._pipe.receive())
        place = self._places.popleft()
        self._memory.put_part(place, data)
        self._pipe.send(PartReady(file_no, index, place, len(data)))

    def _ask(self, place: int, offset: int, length: int) -> None:
        self._pipe.send(Read(place, offset, length))

    def _answered(self) -> int:
        while not self._lengths:
            self.hear(self._pipe.receive())
        return self._lengths.popleft()


def _die_with_the_worker() -> None:
    """A worker that is killed tells nobody, and a hostile film may keep FFmpeg from ever asking for more."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


def _take_pipes() -> _WorkersPipe:
    """Keep the two pipes for ourselves, so that a library that prints cannot garble them."""
    pipe = _WorkersPipe(os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb"))
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
