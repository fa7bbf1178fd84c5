"""Cuts a film into files in one pass: at pictures where decoding may begin, each file within a limit.

Pictures come in groups, each from one that a file may begin with to the next; a group is held until it is whole, and
then goes behind the others in the open file, or into a new one. Sound goes by the time it is heard: what is heard
before the first picture of a file belongs to the file before, even where it stands behind that picture in the source.

In some films (`open GOP`) a few pictures that are shown before the first of a group stand behind it, since they look
both at it and at the group before. Cut there, the old file gets them together with that picture, which it decodes but
does not show; the new one begins with that picture and goes without them. So each picture is shown once, and decodes.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Protocol

from telecine.core.reasons import Reason
from telecine.core.worker.media.reader import MediaError
from telecine.core.worker.media.samples import NS_PER_S, Sample

HELD_BYTES_MAX = 64 * 1024 * 1024  # of a group; a longer one goes on into its file unseen
SOUND_WAIT_NS = 10 * NS_PER_S  # how far sound may stand behind the picture that it is heard with
SOUND_WAIT_BYTES = 24 * 1024 * 1024


class OpenFile(Protocol):
    """The file that is being filled."""

    def has_room(self, samples: list[Sample]) -> bool:
        """Whether these samples fit into what is left of the limit."""
        ...

    def write(self, sample: Sample) -> None:
        """The sample becomes part of the file."""
        ...


class Files(Protocol):
    """Where files are made, one after the other."""

    def begin(self, first: Sample) -> OpenFile:
        """A new file, whose zero is when `first` is shown."""
        ...

    def end(self, cut: Sample, beyond: list[Sample]) -> None:
        """The open file ends where `cut` is shown. `beyond`: written to it, but only decoded, or shown before."""
        ...


class Pace(Protocol):
    """Says where files should end, so that they are of equal size."""

    def is_due(self, first: Sample) -> bool:
        """Whether the next file should begin with `first`."""
        ...

    def begin(self, first: Sample) -> None:
        """A file begins."""
        ...


class Group:
    """Pictures from one that a file may begin with to the next, and the sound that is heard meanwhile."""

    def __init__(self, first: Sample) -> None:
        self.first = first
        self.samples = [first]
        self.size_bytes = first.size_bytes
        self.leading: list[Sample] = []  # pictures that stand behind the first and are shown before it
        self.may_be_led = True  # by further ones
        self.last_picture = first
        self.is_placed = False  # in a file already, although it goes on

    def add(self, sample: Sample) -> None:
        self.samples.append(sample)
        self.size_bytes += sample.size_bytes
        if not sample.track.is_film:
            return
        self.last_picture = sample
        if self.may_be_led and sample.at_ns < self.first.at_ns:
            self.leading.append(sample)
        else:
            self.may_be_led = False

    @property
    def beyond(self) -> list[Sample]:
        """What the file before needs of this group, where it ends here."""
        return [self.first, *self.leading] if self.leading else []


class Cutter:
    """Takes the samples of a source in their order. Raises MediaError TOO_LARGE for a group larger than any file."""

    def __init__(self, files: Files, pace: Pace, sound_tracks: int) -> None:
        self._files = files
        self._pace = pace
        self._sound_tracks = sound_tracks
        self._file: OpenFile | None = None
        self._files_begun = 0
        self._groups: deque[Group] = deque()  # only the first may be placed; to the others sound may still come
        self._early: list[Sample] = []  # sound of which it is not known yet which group it is for
        self._heard_ns: dict[int, int] = {}
        self._decoded_ns = 0

    def put(self, sample: Sample) -> None:
        """The next sample of the source."""
        if sample.track.is_film:
            self._decoded_ns = sample.dts_ns
            if sample.begins or not self._groups:
                self._groups.append(Group(sample))
            else:
                self._add(self._groups[-1], sample)
        else:
            self._heard_ns[sample.track.number] = sample.at_ns
            self._early.append(sample)
        if self._early and self._groups:
            self._hand_out(max(self._decoded_ns, self._groups[-1].first.at_ns - 1))
        while len(self._groups) > 1 and self._first_is_whole():
            self._place_first()

    def finish(self) -> None:
        """The source has ended."""
        if self._groups:
            self._hand_out(None)
        while self._groups:
            self._place_first()

    def _hand_out(self, known_ns: int | None) -> None:
        """Sound up to `known_ns` goes to its group: no picture that a file may begin with is shown before that."""
        later: list[Sample] = []
        for sample in self._early:
            if known_ns is None or sample.at_ns <= known_ns:
                heard_with = (group for group in reversed(self._groups) if group.first.at_ns <= sample.at_ns)
                self._add(next(heard_with, self._groups[0]), sample)
            else:
                later.append(sample)
        self._early = later

    def _add(self, group: Group, sample: Sample) -> None:
        if group.is_placed and self._file is not None:
            group.last_picture = sample if sample.track.is_film else group.last_picture
            self._write(self._file, [sample], beyond=[])
            return
        group.add(sample)
        if group.size_bytes > HELD_BYTES_MAX and group is self._groups[0]:
            self._place(group, beyond=[])
            group.is_placed = True
            group.samples = []

    def _first_is_whole(self) -> bool:
        """Whether nothing can come any more for the first group."""
        following = self._groups[1]
        start_ns = following.first.at_ns
        if following.may_be_led and len(self._groups) == 2:
            return False
        if self._decoded_ns - start_ns > SOUND_WAIT_NS:
            return True
        if sum(group.size_bytes for group in islice(self._groups, 1, None)) > SOUND_WAIT_BYTES:
            return True
        return sum(heard_ns >= start_ns for heard_ns in self._heard_ns.values()) == self._sound_tracks

    def _place_first(self) -> None:
        group = self._groups.popleft()
        beyond: list[Sample] = []
        if self._groups:
            beyond = self._groups[0].beyond
            _lengthen(group.last_picture, self._groups[0].first)
        if not group.is_placed:
            self._place(group, beyond)
        elif self._file is not None:
            self._write(self._file, [], beyond)

    def _place(self, group: Group, beyond: list[Sample]) -> None:
        """Into the open file, or into a new one where it does not fit or the open one is to end."""
        file, samples = self._file, group.samples
        if file is not None and (self._pace.is_due(group.first) or not file.has_room([*samples, *beyond])):
            self._files.end(group.first, group.beyond)
            file = None
        if file is None:
            file = self._file = self._files.begin(group.first)
            self._pace.begin(group.first)
            if self._files_begun:
                samples = [sample for sample in samples if sample not in group.leading]
            self._files_begun += 1
        self._write(file, samples, beyond)

    def _write(self, file: OpenFile, samples: list[Sample], beyond: list[Sample]) -> None:
        if not file.has_room([*samples, *beyond]):
            raise MediaError(Reason.TOO_LARGE, "runs on without a picture to cut at for longer than a file may be")
        for sample in samples:
            file.write(sample)


def _lengthen(last: Sample, following: Sample) -> None:
    """The last picture before a cut is shown until the next, which the muxer does not see."""
    if following.dts > last.dts:
        last.duration = following.dts - last.dts
