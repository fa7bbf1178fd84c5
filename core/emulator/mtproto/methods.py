"""All calls that this Telegram answers."""

from __future__ import annotations

from telecine.core.emulator.mtproto import (
    methods_auth,
    methods_channels,
    methods_help,
    methods_people,
    methods_read,
    methods_send,
    methods_updates,
    methods_upload,
)
from telecine.core.emulator.mtproto.rpc import MethodTable


def all_methods() -> MethodTable:
    """One table of every group."""
    table = MethodTable()
    for group in (
        methods_auth,
        methods_channels,
        methods_help,
        methods_people,
        methods_read,
        methods_send,
        methods_updates,
        methods_upload,
    ):
        table.include(group.METHODS)
    return table
