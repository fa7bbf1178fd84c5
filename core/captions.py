"""Captions of storage messages: what lets the index be rebuilt from the channels alone.

    CM_S000045_S01E03_720P_P02OF03
    TC1 t=NDU e=MTIwMw d=n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg

The first line is the part's code and nothing else, for people and look-ups. The second is for machines: its version,
then CM's ids of title and episode and the SHA-256 of the bytes sent, each in base64 without padding. It tells a reader
of the channel nothing at a glance, also where CM's ids are readable names; it is no secret from one who decodes it.

The alphabet holds nothing that a Telegram client takes for markup or a link (`_`, `*`, `~`, `|`, `.`), since a person
who edits a caption sends it through one. Captions of the first line alone are older and stay valid.
"""

from __future__ import annotations

import base64
import binascii
import re

import msgspec

from telecine.core import codes
from telecine.core.codes import PartCode
from telecine.core.errors import InputError

CAPTION_CHARS_MAX = 1024  # UTF-16 code units; what is written is ASCII, where they are characters
SHA256_BYTES = 32

_MARK = "TC1"
_MARKED = re.compile(rf"\b{_MARK}\b(?P<fields>.*)", re.DOTALL)
_FIELD = re.compile(r"(?<![^\s])(?P<name>[ted])=(?P<value>[A-Za-z0-9+/]*)(?![^\s])", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Origin(msgspec.Struct, frozen=True, order=True):
    """What CM calls the title that a file is of, and the episode where it is one of a series."""

    title: str
    episode: str | None = None


class Caption(msgspec.Struct, frozen=True):
    """What the caption of a storage message says. `sha256` is an `ObjectReport`'s: in lower-case hexadecimal digits.

    Raises InputError for another spelling of it.
    """

    code: PartCode
    origin: Origin | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        if self.sha256 is not None and not _SHA256.fullmatch(self.sha256):
            raise InputError(f"{self.sha256!r} is not a SHA-256 in lower-case hexadecimal digits", field="sha256")


def write(caption: Caption) -> str:
    """The text of a caption, never longer than Telegram takes.

    What does not fit is left out: CM's id of the episode first, then that of the title, the digest last. All fit as
    long as both ids together have 650 bytes in UTF-8; ids that CM makes have tens.
    """
    digest = {} if caption.sha256 is None else {"d": bytes.fromhex(caption.sha256)}
    title, episode = _origin_fields(caption.origin)
    for fields in ({**title, **episode, **digest}, {**title, **digest}, digest):
        text = _text(caption.code, fields)
        if len(text) <= CAPTION_CHARS_MAX:
            return text
    return str(caption.code)  # not reached: a code and a digest are short


def parse(text: str) -> Caption | None:
    """What a caption says; None without a code. Whatever else has become of the text, this takes from it what is left:
    a field that is damaged or gone is None."""
    code = codes.find(text)
    if code is None:
        return None
    fields = _fields(text)
    title, episode = _id_of(fields.get("t")), _id_of(fields.get("e"))
    digest = fields.get("d")
    return Caption(
        code=code,
        origin=None if title is None else Origin(title, episode),
        sha256=digest.hex() if digest is not None and len(digest) == SHA256_BYTES else None,
    )


def code_of(text: str) -> str | None:
    """The code that a caption begins with, by which a message is looked up; None where there is none."""
    code = codes.find(text)
    return None if code is None else str(code)


def _origin_fields(origin: Origin | None) -> tuple[dict[str, bytes], dict[str, bytes]]:
    if origin is None:
        return {}, {}
    return {"t": origin.title.encode()}, {} if origin.episode is None else {"e": origin.episode.encode()}


def _text(code: PartCode, fields: dict[str, bytes]) -> str:
    if not fields:
        return str(code)
    words = (f"{name}={base64.b64encode(value).decode().rstrip('=')}" for name, value in fields.items())
    return f"{code}\n{' '.join((_MARK, *words))}"


def _fields(text: str) -> dict[str, bytes]:
    """The fields behind the mark; of two with one name the first."""
    marked = _MARKED.search(text)
    fields: dict[str, bytes] = {}
    for match in _FIELD.finditer(marked["fields"] if marked else ""):
        value = _decoded(match["value"])
        if value is not None:
            fields.setdefault(match["name"], value)
    return fields


def _decoded(value: str) -> bytes | None:
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except binascii.Error:
        return None


def _id_of(value: bytes | None) -> str | None:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
