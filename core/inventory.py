"""What the storage channels of an account hold, as it was found there: a file that an index can be rebuilt from.

One JSON record a line: the account, then channels and the messages in them as they were read, and at last an ending.
A file without its ending was cut off; it can be gone on with.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
from msgspec import Meta

from telecine.core.errors import ConflictError, InputError
from telecine.core.protocol import TelegramId

VERSION = 1
SECRET_MODE = 0o600  # what a private catalogue consists of

# What is read is checked against these: a file may have been tampered with.
Bytes = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Pixels = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]  # what Telegram has, even nonsense
TimeOfDay = Annotated[int, Meta(ge=0, le=2**40)]


class FoundAccount(msgspec.Struct, frozen=True, tag_field="what", tag="account"):
    """Whose channels they are: the coordinator's name for the account, and who it is in Telegram."""

    name: Annotated[str, Meta(min_length=1)]
    telegram_user_id: TelegramId
    premium: bool
    version: int = VERSION


class FoundChannel(msgspec.Struct, frozen=True, tag_field="what", tag="channel"):
    """A storage channel by its id in Telegram, with its coded title."""

    channel_id: TelegramId
    title: str


class FoundFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file as Telegram keeps it. Duration and frame are None for what is stored as a document."""

    size_bytes: Bytes
    mime_type: str
    duration_s: float | None = None
    width_px: Pixels | None = None
    height_px: Pixels | None = None


class FoundMessage(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="what", tag="message"):
    """A message with its text, which is the caption where there is a file."""

    channel_id: TelegramId
    message_id: TelegramId
    sent_at_s: TimeOfDay
    text: str
    file: FoundFile | None = None


class Ending(msgspec.Struct, frozen=True, tag_field="what", tag="end"):
    """Everything has been read: so many channels, so many messages."""

    channels: int
    messages: int


Found = FoundChannel | FoundMessage
_AGAIN = "collect it once more, into another file"
_Record = FoundAccount | FoundChannel | FoundMessage | Ending

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Record)


class Inventory:
    """A finished file, read from its beginning as often as needed.

    Raises InputError, naming the file, for one that is not an inventory.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        first = next(_records(path), None)
        if not isinstance(first, FoundAccount):
            raise InputError(f"{path}: this is no inventory", hint="`telecine rebuild collect` writes one")
        if first.version != VERSION:
            raise InputError(f"{path}: written by another version ({first.version}); this one reads {VERSION}")
        self.account = first

    def found(self) -> Iterator[Found]:
        """Channels and messages: each channel before its messages, and these in the order of their ids. Raises
        InputError at the end of a file that was cut off, and for one that is not as it was written."""
        tally = _Tally()
        records = _records(self._path)
        next(records, None)  # the account
        for record in records:
            match record:
                case FoundChannel() | FoundMessage():
                    if not tally.takes(record):
                        raise InputError(
                            f"{self._path}: something of channel {record.channel_id} is out of place", hint=_AGAIN
                        )
                    yield record
                case Ending():
                    if record != tally.ending:
                        raise InputError(f"{self._path}: something is missing from it", hint=_AGAIN)
                    if next(records, None) is not None:  # two files in one: the second would be passed over
                        raise InputError(f"{self._path}: it goes on behind its end", hint="give each file by itself")
                    return
                case FoundAccount():  # two files in one, of which the first was cut off
                    raise InputError(f"{self._path}: it goes on with {record.name}", hint="give each file by itself")
        raise InputError(f"{self._path}: it was not finished", hint="the same `telecine rebuild collect` goes on")


class _Tally:
    """What stands in a file: its channels with the newest message of each, and how many messages."""

    def __init__(self) -> None:
        self.newest: dict[int, int] = {}
        self.messages = 0

    @property
    def ending(self) -> Ending:
        return Ending(len(self.newest), self.messages)

    def takes(self, record: Found) -> bool:
        """Count what comes next; whether it may."""
        if isinstance(record, FoundChannel):
            is_new = record.channel_id not in self.newest
            self.newest.setdefault(record.channel_id, 0)
            return is_new
        if record.message_id <= self.newest.get(record.channel_id, record.message_id):
            return False
        self.newest[record.channel_id] = record.message_id
        self.messages += 1
        return True


class InventoryFile:
    """A file that is being written. Made by `open_inventory`."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self._tally = _Tally()

    @property
    def messages(self) -> int:
        """How many are in it."""
        return self._tally.messages

    def has(self, channel_id: int) -> bool:
        """Whether the channel is in it, with all or some of its messages."""
        return channel_id in self._tally.newest

    def newest(self, channel_id: int) -> int:
        """The id of the newest message of a channel that is in it; 0 for none."""
        return self._tally.newest.get(channel_id, 0)

    def add(self, found: Iterable[Found]) -> None:
        """Write; it is on the disk when this returns. Messages of a channel come in the order of their ids.

        Raises InputError where the disk takes no more.
        """
        records = tuple(found)
        self._write(records)
        for record in records:
            self.note(record)

    def end(self) -> None:
        """Mark it as whole."""
        self._write([self._tally.ending])

    def note(self, record: Found) -> None:
        """Count what stands in the file."""
        self._tally.takes(record)

    def begin(self, account: FoundAccount) -> None:
        """Write the first line of a new file."""
        self._write([account])

    def _write(self, records: Iterable[_Record]) -> None:
        try:
            self._file.write(_encoder.encode_lines(records))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _not_writable(self._path, error) from error


@contextmanager
def open_inventory(path: Path, account: FoundAccount) -> Iterator[InventoryFile]:
    """Begin a file, for its owner's eyes alone, or go on with one that was cut off.

    Raises ConflictError for one that is finished or of another account, InputError for a file that is no inventory or
    cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, SECRET_MODE)
    except OSError as error:
        raise _not_writable(path, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError(f"{path}: is no regular file, and one that is cut off could not be gone on with", field="out")
    with os.fdopen(descriptor, "r+b") as file:
        inventory = InventoryFile(path, file)
        is_begun = bool(os.fstat(descriptor).st_size)
        if is_begun:
            _resume(path, file, inventory, account)
        os.fchmod(descriptor, SECRET_MODE)  # not before it is known to be an inventory
        if not is_begun:
            inventory.begin(account)
        yield inventory


def is_finished(path: Path) -> bool:
    """Whether there is a file with its ending. Raises InputError for one that is no inventory."""
    return path.exists() and any(isinstance(record, Ending) for record in _records(path))


def _resume(path: Path, file: BinaryIO, inventory: InventoryFile, account: FoundAccount) -> None:
    begun = Inventory(path).account
    if begun.telegram_user_id != account.telegram_user_id:
        raise ConflictError(f"{path}: what is in it is of another account, {begun.name}", hint="name another file")
    for record in _records(path):
        if isinstance(record, Ending):
            raise ConflictError(f"{path}: it is finished already", hint="name another file, or take this one away")
        if not isinstance(record, FoundAccount):
            inventory.note(record)
    file.truncate(_whole_bytes(path))
    file.seek(0, os.SEEK_END)


def _records(path: Path) -> Iterator[_Record]:
    """The records in their order; a last line that was cut off is none. Raises InputError."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    return
                try:
                    yield _decoder.decode(line)
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    raise InputError(f"{path}, line {number}: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def _whole_bytes(path: Path) -> int:
    """How long the file is without a last line that was cut off."""
    with path.open("rb") as file:
        return sum(len(line) for line in file if line.endswith(b"\n"))


def _not_writable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path}: cannot be written: {error.strerror}", field="out")
