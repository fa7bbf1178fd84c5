"""`telecine variant`: look closer at an upload, and steer one or several."""

from __future__ import annotations

from contextlib import suppress

import click

from telecine.cmd import arguments
from telecine.cmd.asking import confirm
from telecine.cmd.calling import call
from telecine.cmd.groups import OrderedGroup
from telecine.cmd.moving import Move, codes_in, move
from telecine.cmd.showing import display, document, json_option, note
from telecine.cmd.upload import describe
from telecine.cmd.wording import amount
from telecine.core.api import Api, path_of
from telecine.core.catalogue import VariantDetail
from telecine.core.errors import NotFoundError
from telecine.core.leases import VariantState
from telecine.core.operator_protocol import Pin, Priority, VariantMoved
from telecine.core.protocol import Message

codes_argument = click.argument("codes", nargs=-1, type=arguments.code, metavar="CODE...", required=True)
codes_or_none = click.argument("codes", nargs=-1, type=arguments.code, metavar="[CODE...]")
state_option = click.option("--state", type=arguments.STATE, help="All uploads in this state, instead of CODEs.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask first.")


@click.group(cls=OrderedGroup)
def variant() -> None:
    """See why an upload failed; queue it again, take it out, put it first, leave it to one account.

    \b
    telecine variant show CM_M000321_1080P
    telecine variant retry CM_M000321_1080P CM_S000045_S01E03_720P
    telecine variant retry --state dead

    Where several are named and some are refused, the others go on; the exit status is 1 then. With --json, `variants`
    are those that moved and `refused` the others.
    """


@variant.command()
@click.argument("code", type=arguments.code)
@json_option
@click.pass_context
def show(ctx: click.Context, code: str, as_json: bool) -> None:
    """Show one upload with its links and messages.

    Links are in the order in which they are tried, with what became of each. A link is shown without user name,
    password, query and fragment, which may hold a key; --json prints it as it is.

    \b
    telecine variant show CM_M000321_1080P
    """
    detail = call(ctx, lambda api: api.get(path_of("variants", code), VariantDetail))
    if as_json:
        document(detail)
    else:
        display(*describe(detail))


@variant.command()
@codes_or_none
@state_option
@yes_option
@json_option
@click.pass_context
def retry(ctx: click.Context, codes: tuple[str, ...], state: str | None, yes: bool, as_json: bool) -> None:
    """Queue uploads again, all their links untried.

    One that is done is uploaded anew, and delivered no more until that is done; it asks first.

    \b
    telecine variant retry CM_M000321_1080P
    telecine variant retry --state dead --yes
    """
    chosen = _chosen(ctx, codes, state, "Queue {} again?", yes=yes)
    if codes and not yes and (done := _done_among(ctx, codes)):
        confirm(f"Deliver {amount(len(done), 'upload')}, done now, no more until uploaded anew?", yes=False)
    move(ctx, chosen, _to("retry"), as_json=as_json)


@variant.command()
@codes_or_none
@state_option
@yes_option
@json_option
@click.pass_context
def cancel(ctx: click.Context, codes: tuple[str, ...], state: str | None, yes: bool, as_json: bool) -> None:
    """Take uploads out of the queue, out of a worker's hands too. `retry` puts them back.

    \b
    telecine variant cancel CM_M000321_1080P
    telecine variant cancel --state quarantined
    """
    chosen = _chosen(ctx, codes, state, "Take {} out of the queue?", yes=yes)
    move(ctx, chosen, _to("cancel"), as_json=as_json)


@variant.command()
@codes_argument
@yes_option
@json_option
@click.pass_context
def withdraw(ctx: click.Context, codes: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Deliver uploads no more that are done. Their files stay in the channel; `retry` uploads anew.

    \b
    telecine variant withdraw CM_M000321_1080P --yes
    """
    confirm(f"Deliver {amount(len(codes), 'upload')} no more?", yes=yes)
    move(ctx, codes, _to("withdraw"), as_json=as_json)


@variant.command()
@codes_argument
@click.argument("priority", type=arguments.Number(0, 9))
@json_option
@click.pass_context
def priority(ctx: click.Context, codes: tuple[str, ...], priority: int, as_json: bool) -> None:
    """Put uploads before others. PRIORITY is 0 (first) to 9 (last); an import gives 2.

    \b
    telecine variant priority CM_M000321_1080P CM_M000321_720P 0
    """
    move(ctx, codes, _to("priority", Priority(priority)), as_json=as_json, told=f"priority {priority}")


@variant.command()
@codes_argument
@click.argument("account")
@json_option
@click.pass_context
def pin(ctx: click.Context, codes: tuple[str, ...], account: str, as_json: bool) -> None:
    """Leave uploads to one account. A lease that another one has is not taken away.

    \b
    telecine variant pin CM_M000321_1080P cm-ember
    """
    move(ctx, codes, _to("pin", Pin(account)), as_json=as_json, told=f"pinned to {account}")


@variant.command()
@codes_argument
@json_option
@click.pass_context
def unpin(ctx: click.Context, codes: tuple[str, ...], as_json: bool) -> None:
    """Leave uploads to any account again.

    \b
    telecine variant unpin CM_M000321_1080P
    """
    move(ctx, codes, _to("pin", Pin(None)), as_json=as_json, told="open to all")


def _to(call_name: str, message: Message | None = None) -> Move:
    async def one(api: Api, code: str) -> VariantMoved:
        return await api.post(path_of("variants", code, call_name), VariantMoved, message)

    return one


def _done_among(ctx: click.Context, codes: tuple[str, ...]) -> list[str]:
    async def ask(api: Api) -> list[str]:
        done = []
        for code in codes:
            with suppress(NotFoundError):  # which is told of when it is moved
                if (await api.get(path_of("variants", code), VariantDetail)).state is VariantState.DONE:
                    done.append(code)
        return done

    return call(ctx, ask)


def _chosen(ctx: click.Context, codes: tuple[str, ...], state: str | None, question: str, *, yes: bool) -> list[str]:
    """The codes that were named, or those of a state after a look at how many they are."""
    if bool(codes) == bool(state):
        raise click.UsageError("Give either CODEs or --state STATE.", ctx)
    if state is None:
        return list(codes)
    found = codes_in(ctx, VariantState(state))
    if found:
        confirm(question.format(f"{amount(len(found), 'upload')}, {state} now,"), yes=yes)
    else:
        note(f"no upload is {state}")
    return found
