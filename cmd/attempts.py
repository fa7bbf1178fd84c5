"""`telecine attempts`: what was tried, and how it ended."""

from __future__ import annotations

import click

from telecine.cmd import arguments
from telecine.cmd.calling import and_one_more, call, pages
from telecine.cmd.showing import display, document_of_pages, json_option, note, table
from telecine.cmd.wording import amount, duration, size
from telecine.core.api import Api
from telecine.core.leases import AttemptOutcome
from telecine.core.operator_protocol import AttemptPage, AttemptRecord

NAMES = ("code", "ago", "worker", "outcome", "link", "reason", "read", "took", "detail")


@click.command()
@click.argument("code", required=False, type=arguments.code)
@click.option("--worker", metavar="NAME", help="Only attempts of this worker.")
@click.option("--outcome", type=click.Choice([outcome.value for outcome in AttemptOutcome]), help="Only these.")
@click.option("--limit", type=arguments.Number(min=1), default=50, show_default=True, metavar="N", help="The latest N.")
@json_option
@click.pass_context
def attempts(
    ctx: click.Context, code: str | None, worker: str | None, outcome: str | None, limit: int, as_json: bool
) -> None:
    """Show the latest attempts, of all uploads or of CODE, newest first: who tried which link, and how it ended.

    \b
    telecine attempts CM_M000321_1080P
    telecine attempts --worker cm-ember --outcome failed --limit 200
    """

    async def go(api: Api) -> list[AttemptRecord]:
        query = {"code": code, "worker": worker, "outcome": outcome}
        asked = limit if as_json else and_one_more(limit)
        found = pages(api, "/v1/attempts", AttemptPage, query, limit=asked, cursor="before")
        if as_json:
            await document_of_pages("attempts", found, cursor="before")
            return []
        return [attempt async for page in found for attempt in page.attempts]

    rows = call(ctx, go)
    if rows:
        display(table(NAMES, map(_row, rows[:limit])))
        if len(rows) > limit:
            note(f"{amount(limit, 'attempt')}; there are more: --limit N")
    elif not as_json:
        note("no attempt")


def _row(attempt: AttemptRecord) -> tuple[object, ...]:
    return (
        attempt.code,
        duration(attempt.ago_s),
        attempt.worker,
        attempt.outcome.value,
        attempt.link_id or "",
        attempt.reason.value if attempt.reason else "",
        size(attempt.bytes_read),
        duration(attempt.lasted_s),
        attempt.detail or "",
    )
