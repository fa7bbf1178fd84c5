"""A line on the terminal that is drawn over and over while something takes its time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.cells import cell_len, set_cell_size
from rich.console import Console

from telecine.cmd.wording import printable

REST_OF_LINE_WIPED = "\x1b[K"  # ECMA-48, 8.3.41


def can_draw(console: Console) -> bool:
    """Whether there is a terminal that lines can be redrawn on."""
    return console.is_terminal and not console.is_dumb_terminal


@contextmanager
def redrawn_line() -> Iterator[Callable[[str], None]]:
    """What draws a text on standard error in place of the one before, cut to the terminal's width; where there is no
    terminal, nothing. At the end, of an error too, the line is free again."""
    console = Console(stderr=True)
    is_drawn = False

    def draw(text: str) -> None:
        nonlocal is_drawn
        if can_draw(console):
            is_drawn = True
            click.echo(f"\r{_fitting(printable(text), console.width - 1)}{REST_OF_LINE_WIPED}", nl=False, err=True)

    try:
        yield draw
    finally:
        if is_drawn:
            click.echo(f"\r{REST_OF_LINE_WIPED}", nl=False, err=True)


def _fitting(text: str, columns: int) -> str:
    return text if cell_len(text) <= columns else set_cell_size(text, columns)
