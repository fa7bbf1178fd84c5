"""`telecine title`: a film or a series with all that belongs to it."""

from __future__ import annotations

from collections.abc import Iterator

import click
from rich.console import RenderableType

from telecine.cmd import arguments
from telecine.cmd.asking import confirm
from telecine.cmd.calling import call
from telecine.cmd.groups import OrderedGroup
from telecine.cmd.moving import show_move
from telecine.cmd.showing import display, document, facts, json_option, note, table
from telecine.cmd.wording import amount
from telecine.core.api import path_of
from telecine.core.catalogue import TitleDetail, VariantSummary
from telecine.core.codes import COPIES_MAX
from telecine.core.operator_protocol import Copies, TitleMoved

title_argument = click.argument("title", type=arguments.Number(min=1), metavar="ID")


@click.group(cls=OrderedGroup)
def title() -> None:
    """Show a title with its uploads; withdraw it; keep a second copy of it. `telecine search` finds the ID.

    \b
    telecine search harbour
    telecine title show 321
    """


@title.command()
@title_argument
@json_option
@click.pass_context
def show(ctx: click.Context, title: int, as_json: bool) -> None:
    """Show a title with its episodes and what can be had of it. An upload of which a second copy is done counts as
    done: `telecine variant show` tells of CODE itself, and of its copy, which is CODE_C02.

    \b
    telecine title show 321
    """
    detail = call(ctx, lambda api: api.get(path_of("titles", title), TitleDetail))
    if as_json:
        document(detail)
    else:
        display(*_described(detail))


@title.command()
@title_argument
@click.option("--yes", is_flag=True, help="Do not ask first.")
@json_option
@click.pass_context
def withdraw(ctx: click.Context, title: int, yes: bool, as_json: bool) -> None:
    """Deliver a title no more, and upload nothing more of it. Its files stay; `telecine variant retry` brings it back.

    \b
    telecine title withdraw 321
    """
    confirm(f"Deliver title {title} no more, and take its uploads out of the queue?", yes=yes)
    answer = call(ctx, lambda api: api.post(path_of("titles", title, "withdraw"), TitleMoved))
    if as_json:
        document(answer)
        return
    for moved in answer.variants:
        show_move(moved)
    if not answer.variants:
        note("no upload of it was done or in the queue")


@title.command()
@title_argument
@click.argument("copies", type=arguments.Number(1, COPIES_MAX))
@json_option
@click.pass_context
def copies(ctx: click.Context, title: int, copies: int, as_json: bool) -> None:
    """Have so many accounts hold each upload of a title, so that it outlives one of them. Fewer remove none.

    The second copy of an upload CODE is an upload CODE_C02: it is queued once CODE is done and another account has a
    worker.

    \b
    telecine title copies 321 2
    """
    answer = call(ctx, lambda api: api.post(path_of("titles", title, "copies"), Copies, Copies(copies)))
    if as_json:
        document(answer)
    else:
        note(f"each upload of title {title} is to be held by {amount(answer.copies, 'account')}")


def _described(detail: TitleDetail) -> Iterator[RenderableType]:
    year = f" ({detail.year})" if detail.year else ""
    yield facts(
        [("title", detail.id), ("name", f"{detail.name}{year}"), ("kind", detail.kind.value), ("CM id", detail.cm_id)]
    )
    yield ""
    yield table(("code", "state", "episode"), _uploads(detail))


def _uploads(detail: TitleDetail) -> Iterator[tuple[object, ...]]:
    def row(upload: VariantSummary, of: str) -> tuple[object, ...]:
        return upload.code, upload.state.value, of

    yield from (row(upload, "") for upload in detail.variants)
    for episode in detail.episodes:
        yield from (row(upload, episode.name or "") for upload in episode.variants)
