"""`telecine token`: who may call the coordinator."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG

import click
import msgspec

from telecine.cmd import arguments, settings
from telecine.cmd.alone import in_use
from telecine.cmd.running import run
from telecine.cmd.showing import display, document, json_option, note, table
from telecine.core.clock import Clock, SystemClock
from telecine.core.coordinator.tokens import IssuedToken, Scope, Tokens
from telecine.core.errors import ConfigError, ConflictError
from telecine.core.operator_protocol import TokenPage, TokenRecord
from telecine.store.database import Store

DAY_S = 86_400
STARTING_S = 10.0  # until a coordinator that has just been started has made or changed the database
LOOK_EVERY_S = 0.1


class NewToken(msgspec.Struct, frozen=True):
    """What `issue --json` prints: the token, the one time that it can be seen, and what is kept of it."""

    token: str
    record: TokenRecord


@click.group()
def token() -> None:
    """Issue, list and revoke the tokens of workers and operators.

    Runs on the main machine, where the coordinator's settings and database are; the coordinator need not run.

    \b
    telecine token issue --worker cm-ember
    telecine token list
    """


@token.command()
@click.option("--worker", type=arguments.worker, metavar="NAME", help="For the worker of this name, such as cm-ember.")
@click.option("--operator", metavar="NAME", help="For a person or script that operates.")
@click.option("--days", type=arguments.Number(1, 3650), default=365, show_default=True, help="How long it holds.")
@json_option
@click.pass_context
def issue(ctx: click.Context, worker: str | None, operator: str | None, days: int, as_json: bool) -> None:
    """Print a new token, once; it is not kept anywhere.

    \b
    telecine token issue --worker cm-ember
    telecine token issue --operator ada --days 30
    """
    if bool(worker) == bool(operator):
        raise click.UsageError("Give either --worker NAME or --operator NAME.", ctx)
    scope = Scope.WORKER if worker else Scope.OPERATOR

    async def go() -> tuple[str, IssuedToken]:
        async with _tokens(ctx, may_create=True) as tokens:
            return await tokens.issue(worker or operator or "", scope, ttl_s=days * DAY_S, jti=secrets.token_hex(8))

    token, issued = run(go())
    if as_json:
        document(NewToken(token, _record(issued)))
    else:
        click.echo(token)


@token.command("list")
@json_option
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """List issued tokens, newest first. The tokens themselves cannot be shown again.

    \b
    telecine token list --json
    """

    async def go() -> tuple[IssuedToken, ...]:
        async with _tokens(ctx) as tokens:
            return await tokens.issued()

    issued = run(go())
    if as_json:
        document(TokenPage(tuple(map(_record, issued)), after=None))
    elif issued:
        display(table(("jti", "scope", "subject", "holds"), map(_row, issued)))
    else:
        note("no token has been issued yet")


@token.command()
@click.argument("jti")
@json_option
@click.pass_context
def revoke(ctx: click.Context, jti: str, as_json: bool) -> None:
    """Make a token worthless. JTI is the first column of `telecine token list`.

    \b
    telecine token revoke 4c486e272fa217d3
    """

    async def go() -> IssuedToken:
        async with _tokens(ctx) as tokens:
            return await tokens.revoke(jti)

    revoked = run(go())
    if as_json:
        document(_record(revoked))
    else:
        click.echo(f"revoked {revoked.jti} of {revoked.scope.value} {revoked.subject}")


@asynccontextmanager
async def _tokens(ctx: click.Context, *, may_create: bool = False) -> AsyncIterator[Tokens]:
    """Those of the coordinator's database, which need not be there yet if it `may_create` one. Raises ConfigError."""
    config = settings.load(ctx, "coordinator")
    coordinator = settings.need(ctx, "coordinator", config.coordinator)
    why = _why_not(coordinator.database, may_create=may_create)
    if why is not None:
        raise ConfigError(
            f"{settings.path(ctx)}: coordinator.database: {coordinator.database}: {why}",
            hint=None if may_create else "`telecine serve` makes it, and `telecine token issue` too",
        )
    clock = SystemClock()
    await _leave_schema_to_coordinator(coordinator.database, clock)
    async with Store.open(coordinator.database, clock=clock, replicated=coordinator.replicated) as store:
        yield Tokens(coordinator.secret, clock, store.tokens)


async def _leave_schema_to_coordinator(database: Path, clock: Clock) -> None:
    """Where one runs, wait until the schema is that of this version: it has just been started and sees to it.

    Raises ConflictError where it does not: it is of another version, and knows another schema.
    """
    patience_until_s = clock.monotonic_s() + STARTING_S
    while not await Store.is_current(database) and in_use(database):
        if clock.monotonic_s() >= patience_until_s:
            raise ConflictError(
                f"{database}: its schema is not that of this version, and a coordinator is running on it",
                hint="restart `telecine serve` with this version: it brings the database up to date",
            )
        await clock.sleep(LOOK_EVERY_S)


def _why_not(database: Path, *, may_create: bool) -> str | None:
    """Why there can be no database at a path; None where there is one, or may be made."""
    try:
        is_file = S_ISREG(database.stat().st_mode)
    except FileNotFoundError as error:
        if may_create and database.parent.is_dir():
            return None if os.access(database.parent, os.W_OK) else "its folder may not be written"
        return error.strerror
    except OSError as error:
        return error.strerror
    return None if is_file else "is no regular file"


def _row(issued: IssuedToken) -> tuple[object, ...]:
    fate = "revoked" if issued.revoked_at_ms is not None else f"until {_day(issued.expires_at_ms)}"
    return issued.jti, issued.scope.value, issued.subject, fate


def _record(issued: IssuedToken) -> TokenRecord:
    now_ms = SystemClock().now_ms()
    return TokenRecord(
        jti=issued.jti,
        subject=issued.subject,
        scope=issued.scope.value,
        issued_ago_s=(now_ms - issued.issued_at_ms) / 1000,
        expires_s=(issued.expires_at_ms - now_ms) / 1000,
        revoked=issued.revoked_at_ms is not None,
    )


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()
