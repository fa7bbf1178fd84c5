"""`telecine queue`: look at the uploads, and move them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import click

from telecine.cmd import settings
from telecine.cmd.running import run
from telecine.core.api import Api
from telecine.core.catalogue import VariantDetail, VariantSource, VariantSummary
from telecine.core.errors import InputError
from telecine.core.leases import VariantState
from telecine.core.operator_protocol import VariantMoved, VariantPage

PAGE_LENGTH = 1000
STATE = click.option(
    "--state", type=click.Choice([state.value for state in VariantState]), help="Only uploads in this state."
)


@click.group()
def queue() -> None:
    """List uploads, see why one failed, queue it again or take it out."""


@queue.command("list")
@STATE
@click.pass_context
def list_(ctx: click.Context, state: str | None) -> None:
    """List uploads by code, with their states."""

    async def go() -> None:
        async with settings.coordinator(ctx) as api:
            async for variant in _variants(api, state):
                click.echo(f"{variant.code:28}  {variant.state.value}")

    run(go())


@queue.command()
@click.argument("code")
@click.pass_context
def show(ctx: click.Context, code: str) -> None:
    """Show one upload: its links in the order they are tried, what became of each, and the messages that hold it."""

    async def go() -> VariantDetail:
        async with settings.coordinator(ctx) as api:
            return await api.get(f"/v1/variants/{code}", VariantDetail)

    variant = run(go())
    by = f" by {variant.worker}" if variant.worker else ""
    click.echo(f"{variant.code}  {variant.state.value}{by}, {variant.attempts} attempts")
    for source in variant.sources:
        click.echo(f"  link {source.link_id}  {_fate(source)}  {source.url.partition('?')[0]}")
    for part in variant.objects:
        place = f"message {part.message_id} of channel {part.channel_id} ({part.account})"
        click.echo(f"  part {part.part_no} of {part.part_count}  {part.size_bytes} bytes, {place}")


@queue.command()
@click.argument("codes", nargs=-1)
@STATE
@click.pass_context
def retry(ctx: click.Context, codes: tuple[str, ...], state: str | None) -> None:
    """Queue uploads again, all their links untried: those of CODES, or all in one state."""
    _move(ctx, "retry", codes, state)


@queue.command()
@click.argument("codes", nargs=-1)
@STATE
@click.pass_context
def cancel(ctx: click.Context, codes: tuple[str, ...], state: str | None) -> None:
    """Take uploads out of the queue, out of a worker's hands too: those of CODES, or all in one state."""
    _move(ctx, "cancel", codes, state)


def _move(ctx: click.Context, how: str, codes: tuple[str, ...], state: str | None) -> None:
    if bool(codes) == bool(state):
        raise InputError("give either CODES or --state STATE", field="codes")

    async def go() -> None:
        async with settings.coordinator(ctx) as api:
            for code in codes or [variant.code async for variant in _variants(api, state)]:
                moved = await api.post(f"/v1/variants/{code}/{how}", VariantMoved)
                click.echo(f"{moved.code:28}  {moved.state.value}")

    run(go())


async def _variants(api: Api, state: str | None) -> AsyncIterator[VariantSummary]:
    after: str | None = ""
    while after is not None:
        query: dict[str, str | int] = {"limit": PAGE_LENGTH, "after": after}
        page = await api.get("/v1/variants", VariantPage, query | ({"state": state} if state else {}))
        for variant in page.variants:
            yield variant
        after = page.after


def _fate(source: VariantSource) -> str:
    why = f": {source.reason.value}" if source.reason else ""
    detail = f" ({source.detail})" if source.detail else ""
    return f"{source.fate.value}{why}{detail}{'' if source.listed else ', not listed any more'}"
