"""What daemons write: an event and its fields, in a line each."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from telecine.cmd.logs import JsonFormatter, LogfmtFormatter, LogFormat, TextFormatter, formatter
from telecine.core.log_fields import Field, fields


def record(
    msg: str, *args: object, level: int = logging.INFO, exc_info: Any = None, **more: Field
) -> logging.LogRecord:
    made = logging.LogRecord("telecine.core.worker.gauge", level, "gauge.py", 1, msg, args, exc_info)
    made.created = 1_700_000_000.25
    for name, value in fields(**more).items():
        setattr(made, name, value)
    return made


def failure() -> Any:
    try:
        return 1 // 0
    except ZeroDivisionError:
        return sys.exc_info()


def test_logfmt_writes_an_event_as_pairs() -> None:
    line = LogfmtFormatter().format(record("planned", code="CM_M000321_1080P", link=7, plan="remux"))
    assert line == (
        "time=2023-11-14T22:13:20.250Z level=info logger=core.worker.gauge msg=planned "
        "code=CM_M000321_1080P link=7 plan=remux"
    )


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("two words", '"two words"'),
        ('a "quoted" one', '"a \\"quoted\\" one"'),
        ("a=b", '"a=b"'),
        ("two\nlines\x1b[2J", '"two\\nlines\\u001b[2J"'),
        ("", '""'),
        (1.5, "1.5"),
        (True, "true"),
    ],
)
def test_logfmt_quotes_what_is_no_single_word(value: Field, written: str) -> None:
    line = LogfmtFormatter().format(record("link failed", detail=value))
    assert line.endswith(f' msg="link failed" detail={written}')
    assert "\n" not in line


def test_json_is_an_object_in_a_line() -> None:
    line = JsonFormatter().format(record("settled", code="CM_M000321_1080P", seconds=12.5, bytes=10))
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "info",
        "logger": "core.worker.gauge",
        "msg": "settled",
        "code": "CM_M000321_1080P",
        "seconds": 12.5,
        "bytes": 10,
    }


@pytest.mark.parametrize("kind", [LogfmtFormatter, JsonFormatter])
def test_a_traceback_stays_in_its_line(kind: type[logging.Formatter]) -> None:
    line = kind().format(record("a fault of ours", level=logging.ERROR, exc_info=failure()))
    assert "\n" not in line
    assert "ZeroDivisionError: " in line


def test_text_is_for_people() -> None:
    line = TextFormatter().format(record("%s drains", "cm-ember", level=logging.WARNING))
    assert line[8:] == " warning: cm-ember drains"
    event = TextFormatter().format(record("sent", code="CM_M000321_1080P", part="1/3"))
    assert event[8:] == " sent  code=CM_M000321_1080P part=1/3"


def test_text_from_elsewhere_does_not_steer_the_terminal() -> None:
    assert "\x1b" not in TextFormatter().format(record("told: %s", "\x1b[2J", detail="\x1b[2J"))


def test_what_is_not_known_is_left_out() -> None:
    assert "None" not in LogfmtFormatter().format(record("opening", link=None, host=None))


@pytest.mark.parametrize(
    ("terminal", "log_format", "kind"),
    [
        (True, LogFormat.AUTO, TextFormatter),
        (False, LogFormat.AUTO, LogfmtFormatter),
        (True, LogFormat.JSON, JsonFormatter),
        (False, LogFormat.TEXT, TextFormatter),
        (True, LogFormat.LOGFMT, LogfmtFormatter),
    ],
)
def test_auto_writes_for_whoever_reads(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, log_format: LogFormat, kind: type[logging.Formatter]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    assert type(formatter(log_format)) is kind
