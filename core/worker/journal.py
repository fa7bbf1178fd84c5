"""What a worker was about to send, and what it has sent, kept on disk until the coordinator knows.

A message in a channel cannot be taken out of a transaction, so its sending is written down before the call and its
id after it; what a crash leaves open is settled or withdrawn at the next start. Append-only JSON lines, each flushed
to the disk before the call that it announces; rewritten without what is closed when the file is opened.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from telecine.core.errors import ConfigError
from telecine.core.protocol import Int64, ObjectReport, SourceReport
from telecine.core.worker.telegram.sessions import make_secret

IDLE_BYTES_MAX = 1024 * 1024  # a file larger than this is emptied as soon as nothing in it is open


class UnsentObject(ObjectReport, frozen=True):
    """What will be reported of a message, but for its id, which is 0."""

    message_id: Int64


class Sending(msgspec.Struct, frozen=True, tag="sending"):
    """A message is about to be sent. `object` is what will be reported of it.

    `code` is the caption, `variant` the code of the whole target, `after_message_id` the newest message that the
    channel held before. `upload` names the record of the file's parts, which are gone with the message; None: there is
    none.
    """

    lease: str
    boot_id: str
    variant: str
    code: str
    random_id: int
    after_message_id: int
    object: UnsentObject
    plan: str
    sources: tuple[SourceReport, ...]
    upload: str | None = None


class Taken(msgspec.Struct, frozen=True, tag="taken"):
    """Telegram has taken part `part_no` and posts it when it has converted it: the message is sure to come."""

    lease: str
    part_no: int


class Sent(msgspec.Struct, frozen=True, tag="sent"):
    """The message of part `part_no` is in the channel."""

    lease: str
    part_no: int
    message_id: int


class Closed(msgspec.Struct, frozen=True, tag="closed"):
    """Nothing is open any more about a lease: settled, withdrawn, or never sent."""

    lease: str


Record = Sending | Taken | Sent | Closed


class Posting(msgspec.Struct, frozen=True):
    """One message that is not settled yet. `message_id` None: not in the channel as far as is known; `taken`: it will
    be."""

    sending: Sending
    message_id: int | None = None
    taken: bool = False


class Journal:
    """The file, open for appending. One process at a time: the session's lock guards it too."""

    def __init__(self, path: Path) -> None:
        """Read what is open, and rewrite the file with nothing else. Raises ConfigError, naming the file."""
        self.path = path
        self._open: dict[str, dict[int, Posting]] = {}
        make_secret(path)
        for record in _read(path):
            self._apply(record)
        self._descriptor = self._rewritten()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._descriptor)

    def open_leases(self) -> tuple[str, ...]:
        """Leases that something is open about, oldest first."""
        return tuple(self._open)

    def postings(self, lease: str) -> tuple[Posting, ...]:
        """What is open about a lease, by part number."""
        parts = self._open.get(lease, {})
        return tuple(parts[part_no] for part_no in sorted(parts))

    def append(self, record: Record) -> None:
        """Write one record down; it is on the disk when this returns."""
        _write(self._descriptor, (record,))
        self._apply(record)
        if not self._open and os.fstat(self._descriptor).st_size > IDLE_BYTES_MAX:
            os.ftruncate(self._descriptor, 0)

    def _apply(self, record: Record) -> None:
        match record:
            case Sending():
                self._open.setdefault(record.lease, {})[record.object.part_no] = Posting(record)
            case Taken():
                self._amend(record, taken=True)
            case Sent():
                self._amend(record, message_id=record.message_id)
            case Closed():
                self._open.pop(record.lease, None)

    def _amend(self, record: Taken | Sent, **known: int | bool) -> None:
        parts = self._open.get(record.lease, {})
        if record.part_no in parts:
            parts[record.part_no] = msgspec.structs.replace(parts[record.part_no], **known)

    def _rewritten(self) -> int:
        scratch = self.path.with_name(self.path.name + ".new")
        scratch.unlink(missing_ok=True)
        make_secret(scratch)
        descriptor = os.open(scratch, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        _write(descriptor, tuple(self._records()))
        scratch.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return descriptor

    def _records(self) -> list[Record]:
        records: list[Record] = []
        for parts in self._open.values():
            for part_no, posting in parts.items():
                records.append(posting.sending)
                if posting.taken:
                    records.append(Taken(posting.sending.lease, part_no))
                if posting.message_id is not None:
                    records.append(Sent(posting.sending.lease, part_no, posting.message_id))
        return records


_decoder = msgspec.json.Decoder(Record)


def _read(path: Path) -> list[Record]:
    *lines, torn = path.read_bytes().split(b"\n")
    del torn  # a record cut short by a crash announces a call that was never made
    records: list[Record] = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(_decoder.decode(line))
        except msgspec.MsgspecError as error:
            raise ConfigError(
                f"{path}: line {number} is not a record of the journal: {error}",
                hint="move the file away only if its messages may stay in the channels unreported",
            ) from error
    return records


def _write(descriptor: int, records: tuple[Record, ...]) -> None:
    data = b"".join(msgspec.json.encode(record) + b"\n" for record in records)
    size = os.fstat(descriptor).st_size
    try:
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)  # half a record would hide the ones behind it
        raise
