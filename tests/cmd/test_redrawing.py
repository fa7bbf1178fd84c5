"""A line that is drawn over and over: one line of any terminal, and nothing elsewhere."""

from __future__ import annotations

import io
from contextlib import suppress

import pytest
from rich.console import Console

from telecine.cmd.redrawing import can_draw, redrawn_line

WIPED = "\r\x1b[K"


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def screen_of(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """A terminal of 80 columns at standard error."""
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    return screen


@pytest.mark.parametrize(
    ("terminal", "term", "expected"), [(True, "xterm", True), (True, "dumb", False), (False, "xterm", False)]
)
def test_it_is_drawn_only_where_lines_can_be_redrawn(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, term: str, expected: bool
) -> None:
    monkeypatch.setenv("TERM", term)
    console = Console(file=io.StringIO(), force_terminal=terminal)
    assert can_draw(console) is expected


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("12 titles", "12 titles"),
        ("x" * 200, "x" * 79),  # in the last column it would begin a new line
        ("映" * 100, "映" * 39 + " "),  # two columns each
        ("a\x1b[2Jb\nc", "a\N{REPLACEMENT CHARACTER}[2Jb c"),
    ],
)
def test_a_text_is_cut_to_one_line(monkeypatch: pytest.MonkeyPatch, text: str, drawn: str) -> None:
    screen = screen_of(monkeypatch)
    with redrawn_line() as draw:
        draw(text)
    assert screen.getvalue() == f"\r{drawn}\x1b[K{WIPED}"


def test_a_shorter_text_leaves_nothing_of_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = screen_of(monkeypatch)
    with redrawn_line() as draw:
        draw("100 titles")
        draw("9 titles")
    assert screen.getvalue() == f"\r100 titles\x1b[K\r9 titles\x1b[K{WIPED}"


def test_an_error_finds_the_line_free(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = screen_of(monkeypatch)
    with suppress(ConnectionError), redrawn_line() as draw:
        draw("9 titles")
        raise ConnectionError
    assert screen.getvalue().endswith(WIPED)


def test_what_never_drew_wipes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = screen_of(monkeypatch)
    with redrawn_line():
        pass
    assert screen.getvalue() == ""


def test_without_a_terminal_nothing_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    with redrawn_line() as draw:
        draw("9 titles")
    assert capsys.readouterr().err == ""
