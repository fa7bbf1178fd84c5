"""How daemons' lines look: one for people, two for what collects them.

Whatever the format, an event is its name and its fields, not a sentence to be taken apart.
"""

from __future__ import annotations

import enum
import logging
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

import click
import msgspec

from telecine.cmd.wording import printable
from telecine.core.log_fields import Field, fields_of

PACKAGE = "telecine."
Command = TypeVar("Command", bound=Callable[..., object])

_BARE = re.compile(r"[^\s\"=\x00-\x1f\x7f-\x9f]+")


class LogFormat(enum.StrEnum):
    AUTO = "auto"
    LIVE = "live"  # a picture of what is at hand, below lines for people
    TEXT = "text"
    LOGFMT = "logfmt"
    JSON = "json"


class TextFormatter(logging.Formatter):
    """`12:00:03 planned  code=CM_M000321_1080P plan=remux`: for who sits before it."""

    def format(self, record: logging.LogRecord) -> str:
        clock = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        pairs = " ".join(_pair(name, value) for name, value in fields_of(record).items())
        line = f"{clock} {level}{printable(record.getMessage())}" + (f"  {pairs}" if pairs else "")
        return line if record.exc_info is None else f"{line}\n{self.formatException(record.exc_info)}"


class LogfmtFormatter(logging.Formatter):
    """`time=... level=info logger=core.worker.gauge msg=planned code=CM_M000321_1080P plan=remux`."""

    def format(self, record: logging.LogRecord) -> str:
        return " ".join(_pair(name, value) for name, value in _everything(self, record).items())


class JsonFormatter(logging.Formatter):
    """The same as an object in a line."""

    def format(self, record: logging.LogRecord) -> str:
        return msgspec.json.encode(_everything(self, record)).decode()


def log_format_option(*formats: LogFormat) -> Callable[[Command], Command]:
    """`--log-format`, with what a command can do."""
    return click.option(
        "--log-format",
        type=click.Choice([one.value for one in (LogFormat.AUTO, *formats)]),
        default=LogFormat.AUTO.value,
        show_default=True,
        envvar="TELECINE_LOG_FORMAT",
        show_envvar=True,
        help=f"How lines look on standard error; auto: {formats[0]} on a terminal, else logfmt.",
    )


def formatter(log_format: LogFormat) -> logging.Formatter:
    """What makes lines of records. AUTO: for people on a terminal, else for what collects them."""
    if log_format is LogFormat.AUTO:
        log_format = LogFormat.TEXT if sys.stderr.isatty() else LogFormat.LOGFMT
    match log_format:
        case LogFormat.LOGFMT:
            return LogfmtFormatter()
        case LogFormat.JSON:
            return JsonFormatter()
        case _:
            return TextFormatter()


def _everything(formatting: logging.Formatter, record: logging.LogRecord) -> dict[str, Field]:
    told = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    traceback = None if record.exc_info is None else formatting.formatException(record.exc_info)
    return {
        "time": told.replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name.removeprefix(PACKAGE),
        "msg": record.getMessage(),
        **fields_of(record),
        **({} if traceback is None else {"traceback": traceback}),
    }


def _pair(name: str, value: Field) -> str:
    """`name=value`; a value that is no single bare word is quoted as a JSON string is."""
    if isinstance(value, bool) or value is None:
        return f"{name}={str(value).lower()}"
    text = str(value)
    bare = _BARE.fullmatch(text) is not None
    return f"{name}={text if bare else msgspec.json.encode(text).decode()}"
