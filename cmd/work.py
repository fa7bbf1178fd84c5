"""`telecine work`: a worker."""

from __future__ import annotations

import click

from telecine.cmd import settings
from telecine.cmd.running import log_as_daemon, run, stop_requested
from telecine.core.config import TelegramSettings, WorkerSettings
from telecine.core.worker.daemon import Worker


@click.command()
@click.pass_context
def work(ctx: click.Context) -> None:
    """Lease uploads from the coordinator: open the source, probe it, move it into Telegram, report.

    SIGTERM lets a running upload finish within worker.shutdown_grace_s, or gives its lease back; a second one ends at
    once. Whatever ends it, what was sent is reported or removed at the next start, so nothing is in a channel twice.
    """
    config = settings.load(ctx, "telegram", "worker")
    worker = settings.need(ctx, "worker", config.worker)
    telegram = settings.need(ctx, "telegram", config.telegram)
    log_as_daemon()
    run(_work(worker, telegram))


async def _work(worker: WorkerSettings, telegram: TelegramSettings) -> None:
    await Worker(worker, telegram).run(stop_requested())
