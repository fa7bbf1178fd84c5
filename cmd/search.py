"""`telecine search`: look into the catalogue."""

from __future__ import annotations

import click
import msgspec

from telecine.cmd import settings
from telecine.cmd.running import run
from telecine.core.operator_protocol import TitlePage


@click.command()
@click.argument("words", nargs=-1)
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def search(ctx: click.Context, words: tuple[str, ...], limit: int, as_json: bool) -> None:
    """List the titles whose names hold all WORDS, in any order, without regard to accents. None lists everything."""

    async def go() -> TitlePage:
        async with settings.coordinator(ctx) as api:
            return await api.get("/v1/titles", TitlePage, {"q": " ".join(words), "limit": limit})

    page = run(go())
    if as_json:
        click.echo(msgspec.json.encode(page))
        return
    if not page.titles:
        click.echo("nothing found" if words else "the catalogue is empty: `telecine import` fills it", err=True)
    for title in page.titles:
        year = f" ({title.year})" if title.year else ""
        click.echo(f"{title.id:>8}  {title.kind.value:6}  {title.name}{year}, {title.available} available")
