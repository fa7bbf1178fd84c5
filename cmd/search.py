"""`telecine search`: look into the catalogue."""

from __future__ import annotations

import click

from telecine.cmd.calling import call
from telecine.cmd.showing import display, document, json_option, note, table
from telecine.core.catalogue import Title
from telecine.core.operator_protocol import TitlePage


@click.command()
@click.argument("words", nargs=-1)
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="At most so many.")
@json_option
@click.pass_context
def search(ctx: click.Context, words: tuple[str, ...], limit: int, as_json: bool) -> None:
    """List the titles whose names hold all WORDS, in any order, without regard to accents. None lists everything.

    \b
    telecine search city lights
    """
    query: dict[str, str | int] = {"q": " ".join(words), "limit": limit}
    page = call(ctx, lambda api: api.get("/v1/titles", TitlePage, query))
    if as_json:
        document(page)
    elif page.titles:
        display(table(("id", "kind", "name", "year", "available"), map(_row, page.titles)))
    else:
        note("nothing found" if words else "the catalogue is empty: `telecine import` fills it")


def _row(title: Title) -> tuple[object, ...]:
    return title.id, title.kind.value, title.name, title.year or "", title.available
