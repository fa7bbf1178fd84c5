"""How commands show what they were told: tables for people, one JSON document for programs.

A table fits itself to the terminal; what goes into a pipe or a file is never shortened or folded.
"""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator, Iterable
from typing import Any

import click
import msgspec
from rich.console import Console, RenderableType
from rich.table import Column, Table
from rich.text import Text

from telecine.cmd.wording import printable

PIPE_WIDTH = 100_000  # columns: nothing is folded where nobody looks
WORD_WIDTH = 13  # columns: a word up to this, such as `wrong_content`, stays whole in a narrow terminal too

json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON document, as the API has it: of a list, all pages in one.",
)


_CONTROL = re.compile(rb"\x7f|\xc2[\x80-\x9f]")  # those that JSON leaves as they are, and a terminal obeys


def _encoded(message: Any) -> bytes:
    """JSON in which every control character is escaped."""
    return _CONTROL.sub(lambda match: b"\\u%04x" % match[0][-1], msgspec.json.encode(message))


def document(message: Any) -> None:
    """Print a message as one JSON document."""
    click.echo(_encoded(message))


async def document_of_pages(rows: str, pages: AsyncIterator[Any], *, cursor: str = "after") -> None:
    """Print the pages of a list as one document, as if they had been one page: each is written as it arrives.

    Where the first is refused nothing is printed; where a later one is, the document stays without its end.
    """
    opening, comma, last = f'{{"{rows}":['.encode(), b"", None
    async for page in pages:
        encoded = [_encoded(row) for row in getattr(page, rows)]
        click.echo(opening + (comma if encoded else b"") + b",".join(encoded), nl=False)
        opening, comma, last = b"", b"," if encoded else comma, getattr(page, cursor)
    click.echo(opening + f'],"{cursor}":{msgspec.json.encode(last).decode()}}}'.encode())


def table(names: Iterable[str], rows: Iterable[Iterable[object]], *, whole: int = 1) -> RenderableType:
    """Rows under their names. The first `whole` columns, what one copies from a table, are never folded; the others
    between words, and within one only where it is long."""
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    grid = Table(box=None, pad_edge=False)
    for place, name in enumerate(names):
        words = [len(word) for row in cells for word in row[place].split()]
        width = min(max(words, default=0), WORD_WIDTH)
        grid.add_column(name, no_wrap=place < whole, overflow="fold", min_width=max(width, len(name)))
    for row in cells:
        grid.add_row(*map(Text, row))
    return grid


def facts(pairs: Iterable[tuple[str, object]]) -> RenderableType:
    """Names and values, below each other. A value of None is left out."""
    grid = Table(
        Column(style="dim", no_wrap=True), Column(overflow="fold"), box=None, show_header=False, pad_edge=False
    )
    for name, value in pairs:
        if value is not None:
            grid.add_row(name, Text(printable(str(value))))
    return grid


def display(*parts: RenderableType) -> None:
    """Print on standard output."""
    terminal = sys.stdout.isatty()
    console = Console(
        file=sys.stdout, markup=False, highlight=False, emoji=False, width=None if terminal else PIPE_WIDTH
    )
    if terminal:
        console.print(*parts, sep="\n", crop=False)
        return
    with console.capture() as captured:
        console.print(*parts, sep="\n")
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def note(text: str) -> None:
    """A word to the person who looks, beside the data: on standard error."""
    click.echo(printable(text), err=True)
