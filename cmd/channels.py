"""`telecine channels`: where uploads are stored."""

from __future__ import annotations

from collections.abc import Iterable

import click
from rich.console import RenderableType

from telecine.cmd import arguments
from telecine.cmd.calling import call, pages
from telecine.cmd.groups import ListingGroup
from telecine.cmd.showing import display, document, document_of_pages, json_option, note, table
from telecine.core.api import Api, path_of
from telecine.core.operator_protocol import ChannelPage, ChannelPlan, ChannelStatus


@click.group(cls=ListingGroup)
def channels() -> None:
    """List storage channels; give an account one more; put nothing more into one.

    \b
    telecine channels
    telecine channels add --account cm-ember
    telecine channels retire 3
    """


@channels.command("list")
@click.option("--account", metavar="NAME", help="Only channels of this account.")
@json_option
@click.pass_context
def list_(ctx: click.Context, account: str | None, as_json: bool) -> None:
    """List channels: whose they are, whether they take more, and how many messages they hold.

    \b
    telecine channels list --account cm-ember
    """

    async def go(api: Api) -> list[ChannelStatus]:
        found = pages(api, "/v1/channels", ChannelPage, {"account": account})
        if as_json:
            await document_of_pages("channels", found)
            return []
        return [channel async for page in found for channel in page.channels]

    rows = call(ctx, go)
    if rows:
        display(_table(rows))
    elif not as_json:
        note("no channel is planned yet: a worker's first start brings them")


@channels.command()
@click.option("--account", metavar="NAME", required=True, help="Whose it is to be.")
@json_option
@click.pass_context
def add(ctx: click.Context, account: str, as_json: bool) -> None:
    """Plan one more channel for an account. Its worker creates it when it is given the first upload for it.

    \b
    telecine channels add --account cm-ember
    """
    _show(call(ctx, lambda api: api.post("/v1/channels", ChannelStatus, ChannelPlan(account))), as_json=as_json)


@channels.command()
@click.argument("channel", type=arguments.Number(min=1), metavar="ID")
@json_option
@click.pass_context
def retire(ctx: click.Context, channel: int, as_json: bool) -> None:
    """Put nothing more into a channel. What it holds is delivered as before. ID is the first column of the list.

    \b
    telecine channels retire 3
    """
    _show(call(ctx, lambda api: api.post(path_of("channels", channel, "retire"), ChannelStatus)), as_json=as_json)


def _table(rows: Iterable[ChannelStatus]) -> RenderableType:
    names = ("id", "title", "account", "state", "messages", "Telegram id")
    cells = ((c.id, c.title, c.account, c.state.value, c.messages, c.telegram_id or "") for c in rows)
    return table(names, cells, whole=2)


def _show(channel: ChannelStatus, *, as_json: bool) -> None:
    if as_json:
        document(channel)
    else:
        display(_table([channel]))
