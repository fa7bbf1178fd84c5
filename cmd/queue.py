"""`telecine queue`: what is uploaded, and how far it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

import click

from telecine.cmd import arguments
from telecine.cmd.calling import call, pages
from telecine.cmd.showing import document_of_pages, json_option, note
from telecine.cmd.wording import amount, by_state
from telecine.core.api import Api
from telecine.core.operator_protocol import VariantPage


@click.command()
@click.option("--state", type=arguments.STATE, help="Only uploads in this state.")
@click.option("--account", metavar="NAME", help="Only uploads that are pinned to this account.")
@click.option("--limit", type=arguments.Number(min=1), metavar="N", help="The first N only; otherwise all.")
@json_option
@click.pass_context
def queue(ctx: click.Context, state: str | None, account: str | None, limit: int | None, as_json: bool) -> None:
    """List uploads by code with their states, and count them.

    \b
    telecine queue --state dead             what failed; `telecine variant show CODE` says why
    telecine queue --json | jq -r '.variants[].code'
    """

    async def go(api: Api) -> None:
        query = {"state": state, "account": account}
        found = pages(api, "/v1/variants", VariantPage, query, limit=limit)
        await (document_of_pages("variants", found) if as_json else _lines(found))

    call(ctx, go)


async def _lines(found: AsyncIterator[VariantPage]) -> None:
    """A line for each as it arrives, and at the end how many there were."""
    states: Counter[str] = Counter()
    more = False
    async for page in found:
        for variant in page.variants:
            click.echo(f"{variant.code:28}  {variant.state.value}")
        states.update(variant.state.value for variant in page.variants)
        more = page.after is not None
    counted = f": {by_state(states)}" if states else ""
    note(f"{amount(states.total(), 'upload')}{counted}{'; there are more' if more else ''}")
