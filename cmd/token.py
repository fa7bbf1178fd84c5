"""`telecine token`: who may call the coordinator."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import click

from telecine.cmd import settings
from telecine.cmd.running import run
from telecine.core.clock import SystemClock
from telecine.core.coordinator.tokens import Scope, Tokens
from telecine.core.errors import InputError
from telecine.store.database import Store

DAY_S = 86_400


@click.group()
def token() -> None:
    """Issue, list and revoke the tokens of workers and operators.

    Runs on the main machine, where the coordinator's settings and database are; the coordinator need not run.
    """


@token.command()
@click.option("--worker", metavar="NAME", help="For the worker of this name, such as cm-ember.")
@click.option("--operator", metavar="NAME", help="For a person or script that operates.")
@click.option("--days", type=click.IntRange(1, 3650), default=365, show_default=True, help="How long it holds.")
@click.pass_context
def issue(ctx: click.Context, worker: str | None, operator: str | None, days: int) -> None:
    """Print a new token, once; it is not kept anywhere."""
    if (worker is None) == (operator is None):
        raise InputError("give either --worker NAME or --operator NAME", field="worker")
    scope = Scope.WORKER if worker else Scope.OPERATOR

    async def go() -> str:
        async with _tokens(ctx) as tokens:
            text, _ = await tokens.issue(worker or operator or "", scope, ttl_s=days * DAY_S, jti=secrets.token_hex(8))
            return text

    click.echo(run(go()))


@token.command("list")
@click.pass_context
def list_(ctx: click.Context) -> None:
    """List issued tokens, newest first. The tokens themselves cannot be shown again."""

    async def go() -> None:
        async with _tokens(ctx) as tokens:
            for issued in await tokens.issued():
                fate = "revoked" if issued.revoked_at_ms is not None else f"until {_day(issued.expires_at_ms)}"
                click.echo(f"{issued.jti}  {issued.scope.value:8}  {issued.subject:20}  {fate}")

    run(go())


@token.command()
@click.argument("jti")
@click.pass_context
def revoke(ctx: click.Context, jti: str) -> None:
    """Make a token worthless. JTI is the first column of `telecine token list`."""

    async def go() -> None:
        async with _tokens(ctx) as tokens:
            revoked = await tokens.revoke(jti)
            click.echo(f"revoked {revoked.jti} of {revoked.scope.value} {revoked.subject}")

    run(go())


@asynccontextmanager
async def _tokens(ctx: click.Context) -> AsyncIterator[Tokens]:
    config = settings.load(ctx, "coordinator")
    coordinator = settings.need(ctx, "coordinator", config.coordinator)
    clock = SystemClock()
    async with Store.open(coordinator.database, clock=clock) as store:
        yield Tokens(coordinator.secret, clock, store.tokens)


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()
