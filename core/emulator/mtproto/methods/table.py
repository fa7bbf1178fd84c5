"""All calls that this Telegram answers."""

from __future__ import annotations

from telecine.core.emulator.mtproto.methods import auth, channels, people, read, scheduled, send, updates, upload
from telecine.core.emulator.mtproto.methods import help as help_
from telecine.core.emulator.mtproto.rpc import MethodTable


def all_methods() -> MethodTable:
    """One table of every group."""
    table = MethodTable()
    for group in (
        auth,
        channels,
        help_,
        people,
        read,
        scheduled,
        send,
        updates,
        upload,
    ):
        table.include(group.METHODS)
    return table
