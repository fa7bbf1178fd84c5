"""`telecine status`: everything an operator wants to see first."""

from __future__ import annotations

import click
import msgspec
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from telecine.cmd import settings
from telecine.cmd.running import run
from telecine.core.operator_protocol import Status, WorkerStatus


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> None:
    """Show the queue, the workers with what they are doing, and the accounts."""

    async def go() -> Status:
        async with settings.coordinator(ctx) as api:
            return await api.get("/v1/status", Status)

    answer = run(go())
    if as_json:
        click.echo(msgspec.json.encode(answer))
    else:
        Console().print(render(answer))


def render(answer: Status) -> RenderableType:
    """The status as tables."""
    counts = answer.counts
    states = ", ".join(f"{count} {state}" for state, count in counts.variants_by_state.items() if count)
    head = Text(
        f"{counts.titles} titles, {counts.episodes} episodes, {counts.links} links\n"
        f"{counts.variants} uploads: {states or 'none'}\n"
        f"{counts.objects} files in {answer.channels} channels, {counts.deliveries} deliveries"
    )
    return Group(head, _workers(answer), _accounts(answer))


def _workers(answer: Status) -> RenderableType:
    table = Table("worker", "seen", "doing", box=None, pad_edge=False)
    for worker in answer.workers:
        seen = "never" if worker.seen_ago_s is None else f"{worker.seen_ago_s:.0f} s ago"
        table.add_row(worker.name, seen, _doing(worker))
    return table if answer.workers else Text("no worker has called yet")


def _doing(worker: WorkerStatus) -> str:
    words = []
    for lease in worker.leases:
        progress = lease.progress
        share = f" {progress.bytes_done / progress.bytes_total:.0%}" if progress.bytes_total else ""
        words.append(f"{lease.code} {progress.stage.value}{share}")
    return ", ".join(words) or "waiting"


def _accounts(answer: Status) -> RenderableType:
    table = Table("account", "premium", "parked", box=None, pad_edge=False)
    for account in answer.accounts:
        parked = f"{account.parked_s:.0f} s: {account.park_reason or ''}" if account.parked_s > 0 else "no"
        table.add_row(account.name, "yes" if account.premium else "no", parked)
    return table if answer.accounts else Text("")
