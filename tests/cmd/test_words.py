"""What is typed and what is shown: durations, codes, sizes, text from elsewhere."""

from __future__ import annotations

import asyncio
import io
import json
import unicodedata
from collections.abc import AsyncIterator

import click
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from telecine.cmd import arguments
from telecine.cmd.showing import display, document, document_of_pages, facts, table
from telecine.cmd.wording import amount, by_state, complaint, duration, printable, size
from telecine.core.errors import InputError


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"), (-3, "0 s"), (0.42, "0.4 s"), (12, "12 s"), (59.7, "1 min"), (303, "5 min 3 s"), (3605, "1 h"),
        (7500, "2 h 5 min"), (90_061, "1 d 1 h"), (30 * 86_400, "30 d"),
    ],
)  # fmt: skip
def test_a_duration_is_said_in_two_units_at_most(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90), ("45s", 45), ("30min", 1800), ("30m", 1800), ("2h", 7200), ("1d12h", 129_600), ("1 d", 86_400),
        (" 2 h 5 min ", 7500), ("0", 0),
    ],
)  # fmt: skip
def test_a_duration_is_read_as_people_write_it(text: str, seconds: float) -> None:
    assert arguments.duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", " ", "soon", "-1", "2x", "2h30x", "1h 1d", "1.5h", "٣h", "inf", "1h30", "2d 12", "9" * 400, "9" * 5000 + "d"],
)
def test_what_is_not_a_duration_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="not a duration"):
        arguments.duration(text)


@given(st.integers(0, 10**8))
def test_a_duration_that_is_said_can_be_typed_and_is_less_than_a_hundredth_off(seconds: int) -> None:
    assert abs(arguments.duration(duration(seconds)) - seconds) <= max(60, seconds / 24)


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (1_999_999_999, "2.0 GB"),
        (10**13, "10.0 TB"),
    ],
)
def test_a_size_is_said_in_the_unit_that_fits(count: int, said: str) -> None:
    assert size(count) == said


@pytest.mark.parametrize(
    ("message", "field", "said"),
    [
        ("Expected `str` of length >= 1", "account", "account: Expected `str` of length >= 1"),
        ("Expected `str` of length >= 1", "q", "q: Expected `str` of length >= 1"),
        ("there is no account 'ada'", "account", "there is no account 'ada'"),
        ("too late", None, "too late"),
    ],
)
def test_an_error_names_the_field_at_fault_once(message: str, field: str | None, said: str) -> None:
    assert complaint(InputError(message, field=field)) == said


def test_one_thing_is_not_many() -> None:
    assert (amount(1, "upload"), amount(2, "upload"), amount(0, "upload")) == ("1 upload", "2 uploads", "0 uploads")
    assert (amount(1, "delivery", "deliveries"), amount(2, "delivery", "deliveries")) == ("1 delivery", "2 deliveries")


def test_states_are_counted_in_the_order_in_which_an_upload_lives() -> None:
    assert by_state({"dead": 1, "ready": 2, "done": 0}) == "2 ready, 1 dead"
    assert by_state({}) == ""


@pytest.mark.parametrize("code", ["CM_M000321_1080P", "CM_S000045_S01E03_720P"])
def test_a_code_is_taken_as_it_is(code: str) -> None:
    assert arguments.code(code) == code


@pytest.mark.parametrize("text", ["", "harbour", "CM_M321_1080P", "CM_M000321_1080P_P01OF02", "../status"])
def test_what_is_not_the_code_of_an_upload_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        arguments.code(text)


def test_text_from_elsewhere_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    wild = "404 \x1b[2J\x07Not\r\nFound \x9b31m[bold]:smile:"
    assert printable(wild) == "404 �[2J�Not Found �31m[bold]:smile:"
    display(table(("why",), [(wild,)]), facts([("why", wild), ("left out", None)]))
    shown = capsys.readouterr().out
    assert not set(shown) & set("\x1b\x07\r\x9b")
    assert shown.count("[bold]:smile:") == 2, "nor is it markup"
    assert "left out" not in shown


@pytest.mark.parametrize("sign", "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
def test_text_from_elsewhere_turns_nothing_round(sign: str) -> None:
    assert printable(f"עברית {sign}") == "עברית �", "what is behind it in the line is read in its own direction"


def visible(text: str) -> list[str]:
    return [sign for sign in text if unicodedata.category(sign)[0] in "LMNPS" and sign != "�"]


@given(st.text())
def test_a_name_in_any_script_is_shown_as_it_is_written(text: str) -> None:
    line = printable(text)
    assert len(line.splitlines()) <= 1
    assert visible(line) == visible(text)


def test_a_table_that_nobody_looks_at_is_not_folded(capsys: pytest.CaptureFixture[str]) -> None:
    display(table(("code", "detail"), [("CM_M000001_720P", "x " * 500)]))
    lines = capsys.readouterr().out.splitlines()
    assert [len(line) for line in lines] == [len("CM_M000001_720P  detail"), len("CM_M000001_720P  ") + 999]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_code_is_whole_in_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", "40")
    display(table(("code", "detail"), [("CM_S000045_S01E03_720P", "a long story " * 5)]))
    assert "CM_S000045_S01E03_720P" in terminal.getvalue()
    assert len(terminal.getvalue().splitlines()) > 3


class Row(msgspec.Struct, frozen=True):
    id: int | str


class Page(msgspec.Struct, frozen=True):
    rows: tuple[Row, ...]
    after: int | None


@pytest.mark.parametrize("lengths", [[], [0], [1], [2, 1], [2, 0], [0, 2, 0, 1]])
def test_pages_make_one_document(lengths: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    async def pages() -> AsyncIterator[Page]:
        for place, length in enumerate(lengths):
            yield Page(tuple(map(Row, range(length))), after=None if place + 1 == len(lengths) else place)

    asyncio.run(document_of_pages("rows", pages()))
    written = json.loads(capsys.readouterr().out)
    assert written == {"rows": [{"id": n} for length in lengths for n in range(length)], "after": None}


@pytest.mark.parametrize("sign", ["\x1b", "\x7f", "\x80", "\x9b", "\x9f"])
async def test_json_steers_no_terminal(sign: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def pages() -> AsyncIterator[Page]:
        yield Page((Row(f"é{sign}"),), after=None)

    document(Row(f"é{sign}"))
    await document_of_pages("rows", pages())
    shown = capsys.readouterr().out
    assert sign not in shown
    row = {"id": f"é{sign}"}
    assert [json.loads(line) for line in shown.splitlines()] == [row, {"rows": [row], "after": None}]


def test_a_narrow_terminal_folds_between_words() -> None:
    row = ("CM_M000001_720P", "11 min 26 s", "cm-ember", "wrong_content", "wait 300 s before messages.sendMedia")
    console = Console(width=60)
    with console.capture() as captured:
        console.print(table(("code", "ago", "worker", "reason", "detail"), [row]), crop=False)
    assert {"CM_M000001_720P", "min", "cm-ember", "wrong_content", "before"} <= set(captured.get().split())
