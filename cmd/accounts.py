"""`telecine accounts`: the Telegram accounts that uploads go to, and how long each is parked."""

from __future__ import annotations

from collections.abc import Iterable

import click
from rich.console import RenderableType

from telecine.cmd import arguments
from telecine.cmd.calling import call
from telecine.cmd.groups import ListingGroup
from telecine.cmd.showing import display, document, json_option, note, table
from telecine.cmd.wording import duration
from telecine.core.api import path_of
from telecine.core.operator_protocol import Accounts, AccountStatus, Park
from telecine.core.protocol import DETAIL_CHARS_MAX

WHY = "an operator parked it"


@click.group(cls=ListingGroup)
def accounts() -> None:
    """List accounts and how long each is parked; park one, or let it go on.

    \b
    telecine accounts
    telecine accounts park cm-ember --for 2h
    telecine accounts unpark cm-ember
    """


@accounts.command("list")
@json_option
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """List accounts: Premium or not, how many channels and leases each has, and how long it is parked still.

    \b
    telecine accounts list --json
    """
    answer = call(ctx, lambda api: api.get("/v1/accounts", Accounts))
    if as_json:
        document(answer)
    elif answer.accounts:
        display(account_table(answer.accounts))
    else:
        note("no account is known yet: a worker brings its own")


@accounts.command()
@click.argument("name")
@click.option(
    "--for",
    "seconds",
    type=arguments.duration,
    required=True,
    metavar="DURATION",
    help="45s, 30min, 1h30min, 1d; or 90, seconds.",
)
@click.option("--uploads", is_flag=True, help="Park uploads of parts only.")
@click.option("--sends", is_flag=True, help="Park sending of messages only.")
@click.option("--reason", default=WHY, show_default=True, help="What others are to read.")
@json_option
@click.pass_context
def park(ctx: click.Context, name: str, seconds: float, uploads: bool, sends: bool, reason: str, as_json: bool) -> None:
    """Let an account upload nothing, and send nothing, for a while; other accounts go on. What it is doing it finishes.

    A longer wait stays, be it Telegram's or an operator's: `unpark` first to shorten it.

    \b
    telecine accounts park cm-ember --for 2h --reason "new phone"
    telecine accounts park cm-ember --for 30min --sends
    """
    if not seconds:
        raise click.BadParameter("nothing is parked for no time; `unpark` ends a park", ctx, param_hint="--for")
    if len(reason) > DETAIL_CHARS_MAX:
        raise click.BadParameter(f"at most {DETAIL_CHARS_MAX} characters", ctx, param_hint="--reason")
    both = uploads == sends  # neither is named, or each
    told = Park(seconds, uploads=uploads or both, sends=sends or both, reason=reason)
    _show(call(ctx, lambda api: api.post(path_of("accounts", name, "park"), AccountStatus, told)), as_json=as_json)


@accounts.command()
@click.argument("name")
@json_option
@click.pass_context
def unpark(ctx: click.Context, name: str, as_json: bool) -> None:
    """End every park of an account. If Telegram still asks to wait, it says so again and parks it anew.

    \b
    telecine accounts unpark cm-ember
    """
    _show(call(ctx, lambda api: api.post(path_of("accounts", name, "unpark"), AccountStatus)), as_json=as_json)


def account_table(rows: Iterable[AccountStatus]) -> RenderableType:
    """Accounts, what each has, and how long it is parked."""
    return table(("account", "premium", "channels", "leases", "parked", "why"), map(_row, rows))


def _row(account: AccountStatus) -> tuple[object, ...]:
    premium = "yes" if account.premium else "no"
    why = account.park_reason or "" if account.parked_s > 0 else ""
    return account.name, premium, account.channels, account.leases, _parked(account), why


def _parked(account: AccountStatus) -> str:
    uploads, sends = duration(account.uploads_parked_s), duration(account.sends_parked_s)
    if account.parked_s <= 0:
        return "no"
    if uploads == sends:
        return uploads
    parks = ((uploads, "uploads", account.uploads_parked_s), (sends, "sends", account.sends_parked_s))
    return ", ".join(f"{what} {left}" for left, what, seconds in parks if seconds > 0)


def _show(account: AccountStatus, *, as_json: bool) -> None:
    if as_json:
        document(account)
    else:
        display(account_table([account]))
