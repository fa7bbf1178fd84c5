"""`telecine serve`: the coordinator and the bot in one process."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import click

from telecine.cmd import settings
from telecine.cmd.alone import alone_with
from telecine.cmd.logs import LogFormat, log_format_option
from telecine.cmd.open_files import limits_of_clients
from telecine.cmd.running import garbage_waits, log_as_daemon, run, stop_requested
from telecine.core.backoff import Ladder
from telecine.core.clock import Clock, SystemClock
from telecine.core.config import Config, CoordinatorSettings
from telecine.core.coordinator.backup import ReplicaWatch
from telecine.core.coordinator.events import Events
from telecine.core.coordinator.metrics import Metrics
from telecine.core.coordinator.request_ids import request_ids
from telecine.core.coordinator.server import CoordinatorServer
from telecine.core.coordinator.services import Services
from telecine.core.coordinator.tokens import Tokens
from telecine.core.errors import ConfigError, UnavailableError
from telecine.core.intake.background import BackgroundImports
from telecine.core.intake.importer import Importer
from telecine.core.policy import QueuePolicy
from telecine.store.database import Store

if TYPE_CHECKING:
    from telecine.bot.service import TelecineBot


@click.command()
@log_format_option(LogFormat.TEXT, LogFormat.LOGFMT, LogFormat.JSON)
@click.pass_context
def serve(ctx: click.Context, log_format: str) -> None:
    """Run the coordinator's API and, unless [bot] says otherwise, the bot.

    Workers lease uploads here and operators' commands ask here. One process, one SQLite database; run it under
    systemd and replicate the database with Litestream. SIGTERM ends it in order; workers wait for it to come back.

    \b
    telecine serve
    telecine --config /etc/telecine/telecine.toml serve --log-format json
    """
    config = settings.load(ctx, "telegram", "coordinator", "bot", "cm")
    coordinator = settings.need(ctx, "coordinator", config.coordinator)
    if config.bot.enabled:
        telegram = settings.need(ctx, "telegram", config.telegram)
        if telegram.bot_token is None:
            raise ConfigError(
                f"{settings.path(ctx)}: telegram.bot_token is missing",
                hint="@BotFather gives one; or set `enabled = false` in [bot]",
            )
    log_as_daemon(LogFormat(log_format))
    run(_serve(config, coordinator))


async def _serve(config: Config, coordinator: CoordinatorSettings) -> None:
    stop, clock = stop_requested(), SystemClock()
    async with AsyncExitStack() as stack:
        stack.enter_context(alone_with(coordinator.database))
        store = await stack.enter_async_context(_store(coordinator, clock))
        bot = await stack.enter_async_context(_bot(config, store, clock)) if config.bot.enabled else None
        events = Events(store.events)
        importer = Importer(config.cm, store.intake, clock) if config.cm else None
        imports = BackgroundImports(importer, store.intake, on_progress=events.publish)
        stack.push_async_callback(imports.stop)
        services = Services(
            settings=coordinator,
            version=version("telecine"),
            clock=clock,
            new_id=request_ids(secrets.token_hex(6)),
            tokens=Tokens(coordinator.secret, clock, store.tokens),
            queue=store.queue,
            operations=store.operations,
            backup=ReplicaWatch(
                store.files, clock, replicated=coordinator.replicated, litestream_url=coordinator.litestream_url
            ),
            sweeper=store.sweeper,
            retention=store.retention,
            catalogue=store.catalogue,
            shelf=store.shelf,
            imports=imports,
            events=events,
            metrics=Metrics(),
            bot_username=lambda: _username(bot),
        )
        server = CoordinatorServer(services, limits=limits_of_clients())
        await server.start(coordinator.host, coordinator.port)
        stack.enter_context(garbage_waits())
        stack.push_async_callback(server.stop)
        await _until_first(stop.wait(), server.failed(), *_running(bot))


@asynccontextmanager
async def _bot(config: Config, store: Store, clock: Clock) -> AsyncIterator[TelecineBot]:
    if config.telegram is None:
        raise ConfigError("the bot needs the table [telegram]")
    # Most of a start's time goes into this import: a coordinator without a bot is back in a tenth of it.
    from telecine.bot.service import TelecineBot

    bot = TelecineBot(
        config.telegram, config.bot, catalogue=store.catalogue, shelf=store.shelf, requeue=store.operations, clock=clock
    )
    try:
        yield bot
    finally:
        await bot.stop()


def _store(coordinator: CoordinatorSettings, clock: Clock) -> AbstractAsyncContextManager[Store]:
    return Store.open(
        coordinator.database,
        clock=clock,
        policy=_policy(coordinator),
        replicated=coordinator.replicated,
    )


def _policy(coordinator: CoordinatorSettings) -> QueuePolicy:
    return QueuePolicy(
        lease_ttl_s=coordinator.lease_ttl_s,
        rounds=Ladder(coordinator.retry_backoff_s),
        rounds_max=coordinator.retry_rounds_max,
        hosts=Ladder(coordinator.host_backoff_s),
        accounts=Ladder(coordinator.account_backoff_s),
        host_leases_max=coordinator.host_leases_max or None,
        channel_messages_max=coordinator.channel_messages_max,
    )


def _username(bot: TelecineBot | None) -> str | None:
    """Whom workers make an administrator of their channels; they ask again until the bot knows its name."""
    if bot is None:
        return None
    if bot.username is None:
        raise UnavailableError("the bot has not heard from Telegram yet", hint="the coordinator's log says why")
    return bot.username


def _running(bot: TelecineBot | None) -> list[Coroutine[Any, Any, None]]:
    return [bot.run()] if bot else []


async def _until_first(*parts: Coroutine[Any, Any, object]) -> None:
    """Run all until one ends, cancel the others, and raise what the first to fail raised."""
    tasks = [asyncio.create_task(part) for part in parts]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in done:
        task.result()
