"""`telecine workers`: who uploads, and who may."""

from __future__ import annotations

from collections.abc import Iterable

import click
from rich.console import RenderableType

from telecine.cmd.calling import call
from telecine.cmd.groups import ListingGroup
from telecine.cmd.showing import display, document, json_option, note, table
from telecine.cmd.wording import duration
from telecine.core.api import path_of
from telecine.core.operator_protocol import ModeChange, WorkerLease, WorkerMode, Workers, WorkerStatus


@click.group(cls=ListingGroup)
def workers() -> None:
    """List workers and what they are doing; let one pause, finish and get nothing more, or stop at once.

    \b
    telecine workers
    telecine workers drain cm-ember       before its machine is taken down
    """


@workers.command("list")
@json_option
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """List workers: when they were heard of last, and what they are doing.

    \b
    telecine workers list --json
    """
    answer = call(ctx, lambda api: api.get("/v1/workers", Workers))
    if as_json:
        document(answer)
    elif answer.workers:
        display(worker_table(answer.workers))
    else:
        note("no worker has called yet")


@workers.command()
@click.argument("name")
@json_option
@click.pass_context
def pause(ctx: click.Context, name: str, as_json: bool) -> None:
    """Let what a worker has stand still, and give it nothing more. It keeps what it has until it goes on.

    \b
    telecine workers pause cm-ember
    """
    _change(ctx, name, WorkerMode.PAUSED, as_json=as_json)


@workers.command()
@click.argument("name")
@json_option
@click.pass_context
def resume(ctx: click.Context, name: str, as_json: bool) -> None:
    """Let a worker go on that was paused, drained or disabled; a paused one where it stood.

    \b
    telecine workers resume cm-ember
    """
    _change(ctx, name, WorkerMode.ACTIVE, as_json=as_json)


@workers.command()
@click.argument("name")
@json_option
@click.pass_context
def drain(ctx: click.Context, name: str, as_json: bool) -> None:
    """Let a worker finish what it has, and give it nothing more.

    \b
    telecine workers drain cm-ember
    """
    _change(ctx, name, WorkerMode.DRAINING, as_json=as_json)


@workers.command()
@click.argument("name")
@json_option
@click.pass_context
def disable(ctx: click.Context, name: str, as_json: bool) -> None:
    """Take what a worker has back at once, and give it nothing more.

    \b
    telecine workers disable cm-ember
    """
    _change(ctx, name, WorkerMode.DISABLED, as_json=as_json)


def worker_table(rows: Iterable[WorkerStatus]) -> RenderableType:
    """Workers, when they were heard of last, and what they are doing."""
    return table(("worker", "account", "mode", "seen", "doing"), map(_row, rows))


def _row(worker: WorkerStatus) -> tuple[object, ...]:
    seen = "never" if worker.seen_ago_s is None else f"{duration(worker.seen_ago_s)} ago"
    return worker.name, worker.account, worker.mode.value, seen, ", ".join(map(_doing, worker.leases)) or "waiting"


def _doing(lease: WorkerLease) -> str:
    progress = lease.progress
    share = f" {progress.bytes_done / progress.bytes_total:.0%}" if progress.bytes_total else ""
    return f"{lease.code} {progress.stage.value}{share}"


def _change(ctx: click.Context, name: str, mode: WorkerMode, *, as_json: bool) -> None:
    answer = call(ctx, lambda api: api.post(path_of("workers", name, "mode"), WorkerStatus, ModeChange(mode)))
    if as_json:
        document(answer)
    else:
        display(worker_table([answer]))
