"""`telecine backup`: whether what is committed is safe elsewhere."""

from __future__ import annotations

import click

from telecine.cmd.calling import call
from telecine.cmd.showing import display, document, facts, json_option
from telecine.cmd.wording import duration, size
from telecine.core.errors import UnavailableError
from telecine.core.operator_protocol import BackupState, BackupStatus

AS_IT_SHOULD_BE = frozenset({BackupState.REPLICATING, BackupState.OFF})


@click.command()
@json_option
@click.pass_context
def backup(ctx: click.Context, as_json: bool) -> None:
    """Show whether the database is being replicated. Exit status 75: it should be, and is not.

    Whether replication moves is told by comparing with an earlier look. Only a restore proves a replica.

    \b
    telecine backup || notify-the-operator
    """
    status = call(ctx, lambda api: api.get("/v1/backup", BackupStatus))
    if as_json:
        document(status)
    else:
        display(facts(_facts(status)))
    if status.state not in AS_IT_SHOULD_BE:
        raise UnavailableError(f"replication is {status.state.value}: {status.detail or 'no reason is known'}")


def _facts(status: BackupStatus) -> list[tuple[str, object]]:
    written = status.written_ago_s
    return [
        ("replication", status.state.value),
        ("because", status.detail),
        ("database", size(status.database_bytes)),
        ("not yet in it", size(status.wal_bytes)),
        ("last commit", None if written is None else f"{duration(written)} ago"),
        ("replicated up to", status.txid),
    ]
