"""`telecine rebuild`: the index, made anew of what the storage channels hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import jwt

from telecine.cmd import settings
from telecine.cmd.alone import alone_with
from telecine.cmd.redrawing import redrawn_line
from telecine.cmd.running import run
from telecine.cmd.showing import display, document, facts, json_option, note, table
from telecine.cmd.wording import amount
from telecine.core.clock import SystemClock
from telecine.core.config import TelegramSettings, WorkerSettings
from telecine.core.inventory import FoundAccount, FoundChannel, Inventory, InventoryFile, is_finished, open_inventory
from telecine.core.rebuild import LeftOver, RebuildReport
from telecine.core.worker.telegram.account import Account, open_account
from telecine.core.worker.telegram.channels import Channels
from telecine.core.worker.telegram.scan import Scan, collect
from telecine.store.database import Store
from telecine.store.epoch import raise_epoch

SHOWN_MAX = 20  # of each kind of what is left over; --json shows more


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def rebuild(ctx: click.Context, as_json: bool) -> None:
    """Make the index anew of what the storage channels hold, when database and replica are lost.

    Reads all storage channels of this machine's Telegram account and fills the empty database of [coordinator]. With
    accounts on several machines, collect on each and load all of it on the main one. Coordinator and workers are
    stopped meanwhile; import from CM afterwards: names, links and whatever is not uploaded come from there.

    \b
    telecine rebuild                              # one machine
    telecine rebuild collect --out ember.jsonl    # several: on each
    telecine rebuild load ember.jsonl rora.jsonl lukas.jsonl
    """
    if ctx.invoked_subcommand is not None:
        if as_json and ctx.invoked_subcommand != "load":
            raise click.UsageError(f"`{ctx.invoked_subcommand}` prints no document: leave --json out.", ctx)
        ctx.default_map = {"load": {"as_json": as_json}}
        return
    config = settings.load(ctx, "telegram", "worker", "coordinator")
    worker = settings.need(ctx, "worker", config.worker)
    telegram = settings.need(ctx, "telegram", config.telegram)
    database = settings.need(ctx, "coordinator", config.coordinator).database
    collected = database.with_name(f"{database.name}.inventory")

    async def go() -> RebuildReport:
        await _require_empty(database)
        if is_finished(collected):  # of another day
            collected.unlink()
        await _collect(telegram, worker, collected, _account_name(worker))
        return await _load(database, [Inventory(collected)])

    with alone_with(database):
        _show(run(go()), as_json)
    collected.unlink()


@rebuild.command("collect")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="Where to write it; one that was cut off is gone on with.",
)
@click.option("--account", metavar="NAME", help="What the coordinator calls the account; worker.token says it.")
@click.pass_context
def collect_(ctx: click.Context, out: Path, account: str | None) -> None:
    """Write down what the storage channels of this machine's account hold, readable by you alone.

    Needs the session of `telecine work`, which must not run. May take an hour for a hundred thousand files; where it is
    interrupted, the same command goes on.

    \b
    telecine rebuild collect --out ember.jsonl
    """
    config = settings.load(ctx, "telegram", "worker")
    worker = settings.need(ctx, "worker", config.worker)
    telegram = settings.need(ctx, "telegram", config.telegram)
    messages = run(_collect(telegram, worker, out, account or _account_name(worker)))
    click.echo(f"{amount(messages, 'message')} in {out}")


@rebuild.command("load")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False), metavar="FILE...")
@json_option
@click.pass_context
def load(ctx: click.Context, files: Sequence[Path], as_json: bool) -> None:
    """Fill the empty database of [coordinator] with what was collected: one file of each account.

    All or nothing. Leases and sendings from before are refused afterwards.

    \b
    telecine rebuild load ember.jsonl rora.jsonl lukas.jsonl
    """
    database = settings.need(ctx, "coordinator", settings.load(ctx, "coordinator").coordinator).database
    with alone_with(database):
        _show(run(_load(database, [Inventory(file) for file in files])), as_json)


async def _collect(telegram: TelegramSettings, worker: WorkerSettings, out: Path, name: str) -> int:
    """How many messages are in the file now."""
    async with open_account(telegram, worker.session, flood_wait_in_place_s=worker.flood_wait_in_place_s) as account:
        clock = SystemClock()
        scan = Scan(account, Channels(account.client, clock), clock)
        with open_inventory(out, _found_account(account, name)) as file, redrawn_line() as draw:
            await collect(scan, file, on_page=lambda channel: draw(_reached(channel, file)))
            return file.messages


def _reached(channel: FoundChannel, file: InventoryFile) -> str:
    return f"{channel.title}: {amount(file.messages, 'message')} so far"


async def _require_empty(database: Path) -> None:
    async with Store.open(database, clock=SystemClock(), readers=1) as store:
        await store.rebuild.require_empty()


async def _load(database: Path, inventories: Sequence[Inventory]) -> RebuildReport:
    clock = SystemClock()
    async with Store.open(database, clock=clock, readers=1) as store:
        await store.rebuild.require_empty()  # or the leases of a database that is in use would be refused
        return await store.rebuild.load(inventories, generation=raise_epoch(database, clock.now_ms()))


def _found_account(account: Account, name: str) -> FoundAccount:
    return FoundAccount(name, account.user_id, account.premium)


def _account_name(worker: WorkerSettings) -> str:
    """What the coordinator calls the account: as the token says, which the coordinator alone can verify."""
    try:
        claims = jwt.decode(worker.token, options={"verify_signature": False})
    except jwt.PyJWTError:
        return worker.name
    return str(claims.get("account") or claims.get("sub") or worker.name)


def _show(report: RebuildReport, as_json: bool) -> None:
    if as_json:
        document(report)
        return
    rows = _left_over(report)
    display(facts(_facts(report)), *(["", table(("left over", "channel", "message", "text"), rows)] if rows else []))
    for title in report.renumbered:
        note(f"{title}: another channel has this number, or nobody gave it; the channel got a new one")
    if report.unnamed_titles or report.unnamed_episodes:
        note("an import takes titles and episodes without CM's id for new ones, and queues them again")


def _facts(report: RebuildReport) -> list[tuple[str, object]]:
    return [
        ("accounts", report.accounts),
        ("channels", report.channels),
        ("messages", report.messages),
        ("titles", _less(report.titles, report.unnamed_titles, "without CM's id")),
        ("episodes", _less(report.episodes, report.unnamed_episodes, "without CM's id")),
        ("uploads", _less(report.uploads, report.incomplete_count, "incomplete beside them")),
        ("parts", _less(report.parts, report.undigested_parts, "without a digest")),
        ("left over", f"{report.doubles_count} older or incomplete, {report.unknown_count} unknown"),
    ]


def _less(count: int, flawed: int, flaw: str) -> str:
    return f"{count}, {flawed} {flaw}" if flawed else str(count)


def _left_over(report: RebuildReport) -> list[tuple[object, ...]]:
    incomplete = [("incomplete", "", "", code) for code in report.incomplete[:SHOWN_MAX]]
    return [*incomplete, *_messages("older", report.doubles), *_messages("unknown", report.unknown)]


def _messages(why: str, left: Sequence[LeftOver]) -> list[tuple[object, ...]]:
    return [(why, one.channel, one.message_id, one.text) for one in left[:SHOWN_MAX]]
