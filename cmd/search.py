"""`telecine search`: look into the catalogue."""

from __future__ import annotations

from collections.abc import AsyncIterator

import click

from telecine.cmd import arguments
from telecine.cmd.calling import call
from telecine.cmd.showing import display, document, json_option, note, table
from telecine.cmd.wording import amount
from telecine.core.api import Api
from telecine.core.catalogue import Title
from telecine.core.operator_protocol import TitlePage

PAGE_LENGTH = 100  # as many titles as the API gives at once
TITLES_MAX = 1_000_000  # what `offset` reaches


@click.command()
@click.argument("words", nargs=-1)
@click.option("--limit", type=arguments.Number(1, TITLES_MAX), metavar="N", help="The first N only; otherwise all.")
@json_option
@click.pass_context
def search(ctx: click.Context, words: tuple[str, ...], limit: int | None, as_json: bool) -> None:
    """List the titles whose names hold all WORDS, in any order, without regard to accents: best first. Without WORDS it
    lists the whole catalogue by name.

    \b
    telecine search city lights
    telecine search --limit 20 city
    """
    most = limit or TITLES_MAX

    async def go(api: Api) -> list[Title]:
        found: list[Title] = []
        async for page in _pages(api, " ".join(words)):
            found += page.titles
            if len(found) > most:
                break
        return found

    found = call(ctx, go)
    if as_json:
        document(TitlePage(tuple(found[:most])))
    elif found:
        display(table(("id", "kind", "name", "year", "available"), map(_row, found[:most])))
        if len(found) > most:
            note(f"{amount(most, 'title')}; there are more")
    else:
        note("nothing found" if words else "the catalogue is empty: `telecine import` fills it")


async def _pages(api: Api, words: str) -> AsyncIterator[TitlePage]:
    """What is found, a page after another, as far as the API goes."""
    for offset in range(0, TITLES_MAX + 1, PAGE_LENGTH):
        page = await api.get("/v1/titles", TitlePage, {"q": words, "limit": PAGE_LENGTH, "offset": offset})
        yield page
        if len(page.titles) < PAGE_LENGTH:
            return


def _row(title: Title) -> tuple[object, ...]:
    return title.id, title.kind.value, title.name, title.year or "", title.available
