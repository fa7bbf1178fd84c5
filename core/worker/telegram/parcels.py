"""What is sent: a file with what Telegram is told of it, and whether what Telegram keeps is the same."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from telethon.tl import types

from telecine.core.errors import TelegramError
from telecine.core.worker.telegram.channels import StoredMessage
from telecine.core.worker.telegram.uploaded import UploadedFile

FILE_NAME_CHARS_KEPT = 60  # Telegram cuts longer names
DURATION_SLACK_S = 1.0  # some of Telegram's layers keep whole seconds


class Film(msgspec.Struct, frozen=True):
    """What Telegram is told of a file that plays. `streamable`: from its first bytes on, for its index is in front."""

    duration_s: float
    width_px: int
    height_px: int
    has_audio: bool
    streamable: bool = True


class ExistingFile(msgspec.Struct, frozen=True):
    """A message of one of the account's channels that holds the same bytes."""

    channel_id: int
    message_id: int


class Parcel(msgspec.Struct, frozen=True):
    """One file to send. `film` None: it is stored as a document. `thumbnail` is an uploaded JPEG.

    `existing`: a message that holds the very bytes of `file` already; its file is sent once more, so that Telegram
    keeps one copy. Where it is gone, or of another kind, `file` is sent.
    """

    channel_id: int
    caption: str
    file: UploadedFile
    file_name: str
    mime_type: str
    film: Film | None = None
    thumbnail: UploadedFile | None = None
    existing: ExistingFile | None = None


def random_id(code: str, generation: int, channel_id: int, turn: int = 0) -> int:
    """The int64 that names one sending to Telegram. `turn` grows where Telegram remembers an id of a message that
    has since been deleted."""
    seed = f"{code}:{generation}:{channel_id}:{turn}".encode()
    return int.from_bytes(hashlib.blake2b(seed, digest_size=8).digest(), "little", signed=True)


def uploaded_media(parcel: Parcel) -> Any:
    """The TL object of a parcel whose file has been uploaded."""
    return types.InputMediaUploadedDocument(
        file=parcel.file.as_input(),
        mime_type=parcel.mime_type,
        attributes=_attributes(parcel),
        thumb=parcel.thumbnail.as_input() if parcel.thumbnail else None,
        force_file=parcel.film is None,
        nosound_video=parcel.film is not None and not parcel.film.has_audio,  # or it becomes an animation
    )


def check(parcel: Parcel, message: StoredMessage, *, exactly: bool) -> None:
    """What Telegram keeps must be what was sent: it cannot be mended later. Raises TelegramError with the differences.

    Not `exactly`: size and kind only, for a copy keeps the name and the picture of its original, and a video that
    Telegram has converted what it made of them.
    """
    differing = _difference_in_kind(parcel, message)
    if exactly:
        differing += _differences(parcel, message)
    if differing:
        raise TelegramError(f"Telegram keeps another file than was sent: {', '.join(differing)}", name="MEDIA_CHANGED")


def is_alike(parcel: Parcel, message: StoredMessage) -> bool:
    """Whether a message may stand in for the uploaded file."""
    return not _difference_in_kind(parcel, message)


def _difference_in_kind(parcel: Parcel, message: StoredMessage) -> list[str]:
    differing = []
    if message.size_bytes != parcel.file.size_bytes:
        differing.append(f"{message.size_bytes} bytes in place of {parcel.file.size_bytes}")
    if message.is_video != (parcel.film is not None):
        differing.append("a video" if message.is_video else "a document")
    return differing


def _differences(parcel: Parcel, message: StoredMessage) -> list[str]:
    pairs: list[tuple[str, object, object]] = [("type", message.mime_type, parcel.mime_type)]
    if len(parcel.file_name) <= FILE_NAME_CHARS_KEPT:
        pairs.append(("name", message.file_name, parcel.file_name))
    if parcel.film is not None and message.is_video:
        pairs.append(("width", message.width_px, parcel.film.width_px))
        pairs.append(("height", message.height_px, parcel.film.height_px))
        pairs.append(("streaming", message.streams, parcel.film.streamable))
        if abs((message.duration_s or 0.0) - parcel.film.duration_s) > DURATION_SLACK_S:
            pairs.append(("duration", message.duration_s, parcel.film.duration_s))
    if parcel.thumbnail is not None:
        pairs.append(("thumbnail", message.has_thumbnail, True))
    return [f"{what} {kept!r} in place of {sent!r}" for what, kept, sent in pairs if kept != sent]


def _attributes(parcel: Parcel) -> list[Any]:
    attributes: list[Any] = [types.DocumentAttributeFilename(parcel.file_name)]
    if parcel.film is not None:
        attributes.append(
            types.DocumentAttributeVideo(
                duration=parcel.film.duration_s,
                w=parcel.film.width_px,
                h=parcel.film.height_px,
                supports_streaming=parcel.film.streamable,
            )
        )
    return attributes
