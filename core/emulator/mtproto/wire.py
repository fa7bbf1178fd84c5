"""TL, as Telethon's generated classes read and write it, behind a typed edge."""

from __future__ import annotations

import datetime as dt
import struct
from typing import Any

import msgspec
from telethon.errors import TypeNotFoundError
from telethon.extensions import BinaryReader

# Constructors that are told apart before anything is parsed.
MSG_CONTAINER = 0x73F1F8DC
GZIP_PACKED = 0x3072CFA1
MSGS_ACK = 0x62D6B459
RPC_RESULT = 0xF35C6D01
SAVE_BIG_FILE_PART = 0xDE7B673D
_BOOL_TRUE = struct.pack("<I", 0x997275B5)
_BOOL_FALSE = struct.pack("<I", 0xBC799737)
_VECTOR = 0x1CB5C415

TLValue = Any  # an object of Telethon's generated classes, a bool, an int or a list of these


class UnknownConstructorError(Exception):
    """Bytes that are no TL object of the layer that Telethon knows."""


def constructor_of(body: bytes | memoryview) -> int:
    """The constructor id that a serialized object begins with."""
    if len(body) < 4:
        raise UnknownConstructorError("empty")
    return int(struct.unpack_from("<I", body)[0])


def read_object(body: bytes) -> Any:
    return read_object_and_length(body)[0]


def read_object_and_length(body: bytes) -> tuple[Any, int]:
    """A TL object and how many bytes it took. UnknownConstructorError for what Telethon cannot read."""
    reader = BinaryReader(body)
    try:
        value = reader.tgread_object()
    except TypeNotFoundError as error:
        raise UnknownConstructorError(f"{error.invalid_constructor_id:08x}") from error
    except Exception as error:  # generated readers raise what they like on bytes that no client meant
        raise UnknownConstructorError(f"{constructor_of(body):08x} is damaged") from error
    return value, int(reader.tell_position())


def write_value(value: TLValue) -> bytes:
    """A result as it goes into `rpc_result`."""
    if value is True:
        return _BOOL_TRUE
    if value is False:
        return _BOOL_FALSE
    if isinstance(value, list):
        return struct.pack("<Ii", _VECTOR, len(value)) + b"".join(map(write_value, value))
    if isinstance(value, int):
        return struct.pack("<i", value)
    return bytes(value)


class BigPart(msgspec.Struct, frozen=True):
    """The arguments of `upload.saveBigFilePart`."""

    file_id: int
    index: int
    total: int
    content: bytes


def read_big_part(body: memoryview) -> BigPart:
    """Read `upload.saveBigFilePart` without building an object: half a megabyte goes through here each time."""
    try:
        file_id, index, total = struct.unpack_from("<qii", body, 4)
    except struct.error as error:
        raise UnknownConstructorError("saveBigFilePart is damaged") from error
    return BigPart(file_id, index, total, read_bytes(body, 20))


def read_bytes(body: bytes | memoryview, offset: int) -> bytes:
    """The byte string that stands at `offset`: its length in one byte, or 254 and three."""
    if offset >= len(body):
        raise UnknownConstructorError("byte string is missing")
    length, start = body[offset], offset + 1
    if length == 254:
        length, start = int.from_bytes(body[offset + 1 : offset + 4], "little"), offset + 4
    if start + length > len(body):
        raise UnknownConstructorError("byte string is cut off")
    return bytes(body[start : start + length])


def method_name(query: Any) -> str:
    """Telegram's name of a request, such as `messages.sendMedia`."""
    kind = query if isinstance(query, type) else type(query)
    group = kind.__module__.rpartition("telethon.tl.functions")[2].lstrip(".")
    bare = kind.__name__.removesuffix("Request")
    bare = bare[0].lower() + bare[1:]
    return f"{group}.{bare}" if group else bare


def moment(date_s: int) -> dt.datetime:
    """A date as Telethon's classes take it."""
    return dt.datetime.fromtimestamp(date_s, dt.UTC)
