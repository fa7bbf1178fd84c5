"""`telecine status`: everything an operator wants to see first."""

from __future__ import annotations

from collections.abc import Iterator

import click
from rich.console import RenderableType

from telecine.cmd.accounts import account_table
from telecine.cmd.calling import call
from telecine.cmd.showing import display, document, json_option
from telecine.cmd.wording import amount, by_state
from telecine.cmd.workers import worker_table
from telecine.core.operator_protocol import Status


@click.command()
@json_option
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> None:
    """Show the queue, the workers with what they are doing, and the accounts.

    \b
    telecine status
    telecine status --json | jq .counts.variants_by_state
    """
    answer = call(ctx, lambda api: api.get("/v1/status", Status))
    if as_json:
        document(answer)
    else:
        display(*_described(answer))


def _described(answer: Status) -> Iterator[RenderableType]:
    counts = answer.counts
    yield ", ".join((amount(counts.titles, "title"), amount(counts.episodes, "episode"), amount(counts.links, "link")))
    yield f"{amount(counts.variants, 'upload')}: {by_state(counts.variants_by_state) or 'none'}"
    files, channels = amount(counts.objects, "file"), amount(answer.channels, "channel")
    yield f"{files} in {channels}, {amount(counts.deliveries, 'delivery', 'deliveries')}"
    yield ""
    yield worker_table(answer.workers) if answer.workers else "no worker has called yet"
    if answer.accounts:
        yield ""
        yield account_table(answer.accounts)
