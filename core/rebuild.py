"""From the messages that are left in the channels back to uploads: which of them count, and what could not be told."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

LISTED_MAX = 1000  # of each kind, in a report; all are counted


class FoundPart(msgspec.Struct, frozen=True):
    """A message that holds one part of an upload."""

    part_no: int
    part_count: int
    channel_id: int
    message_id: int
    sent_at_ms: int


class LeftOver(msgspec.Struct, frozen=True):
    """A message that counts for nothing: where it is, and what its text begins with."""

    channel: str
    message_id: int
    text: str


class RebuildReport(msgspec.Struct, frozen=True):
    """What came of a rebuild.

    `uploads` are done, with `parts` messages. `incomplete` ones lack a part, or all but a copy: they wait for links.
    `doubles` are messages in whose place a newer one counts, or that are what is left of an incomplete upload;
    `unknown` are those without a code or a file, and those whose code has become another title's. The lists hold the
    first LISTED_MAX of each kind, the numbers count all. `unnamed_titles` and `unnamed_episodes`: no caption says what
    CM calls them; an import does not recognize them. `renumbered` channels bear a title that another one bears, too, or
    that nobody gave them.
    """

    accounts: int
    channels: int
    messages: int
    titles: int
    episodes: int
    uploads: int
    parts: int
    unnamed_titles: int
    unnamed_episodes: int
    undigested_parts: int
    incomplete_count: int
    doubles_count: int
    unknown_count: int
    incomplete: tuple[str, ...] = ()
    doubles: tuple[LeftOver, ...] = ()
    unknown: tuple[LeftOver, ...] = ()
    renumbered: tuple[str, ...] = ()


def newest_upload(parts: Iterable[FoundPart]) -> tuple[FoundPart, ...]:
    """The parts of the newest upload of one target that is whole, in order; nothing where none is.

    The parts of one upload are in one channel, sent one after the other. A part that comes again takes the place of the
    one before and of what followed it: parts of different uploads are not cut at the same places.
    """
    whole: list[tuple[FoundPart, ...]] = []
    runs: dict[tuple[int, int], list[FoundPart]] = {}
    for part in sorted(parts, key=lambda one: one.message_id):
        run = runs.setdefault((part.channel_id, part.part_count), [])
        if len(run) < part.part_no - 1:
            continue  # the one before it is missing
        run[part.part_no - 1 :] = [part]
        if len(run) == part.part_count:
            whole.append(tuple(run))
    return max(whole, key=_age, default=())


def _age(upload: tuple[FoundPart, ...]) -> tuple[int, int, int]:
    newest = upload[-1]
    return newest.sent_at_ms, newest.channel_id, newest.message_id
