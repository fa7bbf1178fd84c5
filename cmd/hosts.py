"""`telecine hosts`: the servers that links point to."""

from __future__ import annotations

from collections.abc import Iterable

import click
from rich.console import RenderableType

from telecine.cmd import arguments
from telecine.cmd.calling import call, pages
from telecine.cmd.groups import ListingGroup
from telecine.cmd.showing import display, document, document_of_pages, json_option, note, table
from telecine.cmd.wording import duration
from telecine.core.api import Api, path_of
from telecine.core.operator_protocol import HostLimit, HostPage, HostStatus


@click.group(cls=ListingGroup)
def hosts() -> None:
    """List source hosts and how long each is left alone; limit how many uploads read from one at once.

    \b
    telecine hosts
    telecine hosts limit files.example 2
    telecine hosts unpark files.example
    """


@hosts.command("list")
@json_option
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """List hosts: uploads that read from each and how many may, uploads that wait, and how long it is left alone still.

    \b
    telecine hosts list --json
    """

    async def go(api: Api) -> list[HostStatus]:
        found = pages(api, "/v1/hosts", HostPage, {})
        if as_json:
            await document_of_pages("hosts", found)
            return []
        return [host async for page in found for host in page.hosts]

    rows = call(ctx, go)
    if rows:
        display(_table(rows))
    elif not as_json:
        note("no host is known yet: `telecine import` brings links")


@hosts.command()
@click.argument("host")
@click.argument("leases_max", type=arguments.Number(0, 10**6), required=False, metavar="[N]")
@click.option("--default", "as_settings", is_flag=True, help="As coordinator.host_leases_max says.")
@json_option
@click.pass_context
def limit(ctx: click.Context, host: str, leases_max: int | None, as_settings: bool, as_json: bool) -> None:
    """Let at most N uploads read from HOST at once. 0: none at all, until it is changed again.

    \b
    telecine hosts limit files.example:8080 2
    telecine hosts limit files.example:8080 --default
    """
    if (leases_max is None) != as_settings:
        raise click.UsageError("Give either N or --default.", ctx)
    told = HostLimit(leases_max)
    _show(call(ctx, lambda api: api.post(path_of("hosts", host, "limit"), HostStatus, told)), as_json=as_json)


@hosts.command()
@click.argument("host")
@json_option
@click.pass_context
def unpark(ctx: click.Context, host: str, as_json: bool) -> None:
    """Let links of HOST be tried again at once, when what was wrong with it is mended.

    \b
    telecine hosts unpark files.example
    """
    _show(call(ctx, lambda api: api.post(path_of("hosts", host, "unpark"), HostStatus)), as_json=as_json)


def _table(rows: Iterable[HostStatus]) -> RenderableType:
    return table(("host", "reading", "may", "waiting", "left alone", "why"), map(_row, rows))


def _row(host: HostStatus) -> tuple[object, ...]:
    parked = duration(host.parked_s) if host.parked_s > 0 else "no"
    why = host.park_reason or "" if host.parked_s > 0 else ""
    return host.name, host.leases, "any" if host.leases_max is None else host.leases_max, host.ready, parked, why


def _show(host: HostStatus, *, as_json: bool) -> None:
    if as_json:
        document(host)
    else:
        display(_table([host]))
