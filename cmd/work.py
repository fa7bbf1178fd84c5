"""`telecine work`: a worker."""

from __future__ import annotations

import click
from rich.console import Console

from telecine.cmd import settings
from telecine.cmd.logs import LogFormat, log_format_option
from telecine.cmd.progress import drawn
from telecine.cmd.redrawing import can_draw
from telecine.cmd.running import log_as_daemon, run, stop_requested
from telecine.core.worker.daemon import Worker


@click.command()
@log_format_option(LogFormat.LIVE, LogFormat.LOGFMT, LogFormat.JSON)
@click.pass_context
def work(ctx: click.Context, log_format: str) -> None:
    """Lease uploads from the coordinator, as many at once as worker.jobs says: open the source, probe it, move it into
    Telegram, report.

    On a terminal it shows each upload at hand, with what happens scrolling by above; elsewhere it writes a line an
    event, of fields: claimed, opening, planned, uploading every half minute, sent, settled.

    \b
    telecine work                          watch it work
    telecine work --log-format json        for what collects lines
    telecine workers pause NAME            on the coordinator: all stands still, nothing is lost
    telecine workers drain NAME            it finishes what it has and claims nothing more

    SIGTERM lets running uploads finish within worker.shutdown_grace_s, or gives their leases back; a second one ends
    at once. Whatever ends it, what was sent is reported or removed at the next start, so nothing is in a channel
    twice, and what was uploaded is not uploaded again while Telegram still has it.
    """
    config = settings.load(ctx, "telegram", "worker")
    worker = settings.need(ctx, "worker", config.worker)
    telegram = settings.need(ctx, "telegram", config.telegram)
    console = _console(LogFormat(log_format))
    log_as_daemon(LogFormat(log_format))
    run(_work(Worker(worker, telegram), console))


def _console(log_format: LogFormat) -> Console | None:
    """Where to draw; None where lines are written."""
    if log_format not in (LogFormat.AUTO, LogFormat.LIVE):
        return None
    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    if can_draw(console):
        return console
    if log_format is LogFormat.LIVE:
        raise click.BadParameter("live needs a terminal on standard error", param_hint="--log-format")
    return None


async def _work(worker: Worker, console: Console | None) -> None:
    stop = stop_requested()
    if console is None:
        await worker.run(stop)
        return
    async with drawn(worker.board, console):
        await worker.run(stop)
