"""`telecine import`: fetch the catalogue from CM."""

from __future__ import annotations

import asyncio

import click

from telecine.cmd.calling import call
from telecine.cmd.redrawing import redrawn_line
from telecine.cmd.showing import document, json_option, note
from telecine.core.api import Api
from telecine.core.catalogue import ImportCounts, ImportRun, ImportState
from telecine.core.errors import CmError

POLL_S = 0.5


@click.command("import")
@json_option
@click.pass_context
def import_(ctx: click.Context, as_json: bool) -> None:
    """Import titles, episodes and every source link from CM, and queue what is new.

    The coordinator does the work and this command shows how far it is. Repeating an import changes only what CM
    changed: no link is lost, nothing is queued twice.

    \b
    telecine import
    """

    async def go(api: Api) -> ImportRun:
        return await _follow(api, await api.post("/v1/imports", ImportRun))

    finished = call(ctx, go)
    if as_json:
        document(finished)
    else:
        click.echo(_sentence(finished.counts))
    for count, what in ((finished.rejected, "titles"), (finished.refused, "links or episodes")):
        if count:
            note(f"{count} {what} were malformed and left out; the coordinator's log names them")
    if finished.state is ImportState.FAILED:
        kept = "what was imported before that stays" if finished.counts.titles else "the coordinator's log has more"
        raise CmError(f"the import failed: {finished.error}", hint=kept)
    if finished.rejected and not finished.counts.titles:
        raise CmError("no title could be read", hint="compare [cm.map] with what CM sends; docs/cm.md explains it")


async def _follow(api: Api, current: ImportRun) -> ImportRun:
    with redrawn_line() as draw:
        while current.state is ImportState.RUNNING:
            draw(_sentence(current.counts))
            await asyncio.sleep(POLL_S)
            current = await api.get(f"/v1/imports/{current.id}", ImportRun)
    return current


def _sentence(counts: ImportCounts) -> str:
    return (
        f"{counts.titles} titles ({counts.titles_new} new), {counts.episodes} episodes ({counts.episodes_new} new), "
        f"{counts.links} links ({counts.links_new} new), {counts.variants} uploads planned ({counts.variants_new} new)"
    )
