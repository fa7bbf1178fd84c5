"""`telecine queue`: what is uploaded, and how far it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

import click

from telecine.cmd import arguments
from telecine.cmd.calling import and_one_more, call, pages
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
        if as_json:
            await document_of_pages("variants", pages(api, "/v1/variants", VariantPage, query, limit=limit))
        else:
            await _lines(pages(api, "/v1/variants", VariantPage, query, limit=and_one_more(limit)), limit)

    call(ctx, go)


async def _lines(found: AsyncIterator[VariantPage], limit: int | None) -> None:
    """A line for each of the first `limit` as it arrives, and at the end how many there were."""
    states: Counter[str] = Counter()
    more = ""
    async for page in found:
        listed = page.variants if limit is None else page.variants[: limit - states.total()]
        for variant in listed:
            click.echo(f"{variant.code:28}  {variant.state.value}")
        states.update(variant.state.value for variant in listed)
        more = "; there are more" if len(listed) < len(page.variants) else ""
    counted = f": {by_state(states)}" if states else ""
    note(f"{amount(states.total(), 'upload')}{counted}{more}")
