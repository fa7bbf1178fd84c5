"""How many clients the system lets us serve at once: each is an open file."""

from __future__ import annotations

import logging
import resource

import msgspec

from telecine.core.coordinator.http.limits import Limits

# The database's, what the bot and an import connect to, clients that are told there is no room.
FILES_BESIDE_CLIENTS = 256

logger = logging.getLogger(__name__)


def limits_of_clients() -> Limits:
    """The usual limits where the system lets us have so many files open, or does when it is asked; else room for fewer
    clients, and a warning."""
    limits = Limits()
    wanted = limits.connections_max + FILES_BESIDE_CLIENTS
    files = allow_open_files(wanted)
    if files >= wanted:
        return limits
    room = max(files - FILES_BESIDE_CLIENTS, files // 2)
    logger.warning(
        "%d files may be open at once, %d are wanted: %d clients are served at once, not %d; "
        "`ulimit -Hn` or systemd's LimitNOFILE= allows more",
        files,
        wanted,
        room,
        limits.connections_max,
    )
    return msgspec.structs.replace(limits, connections_max=room)


def allow_open_files(wanted: int) -> int:
    """Raise the soft limit of open files to `wanted`, no further than to the hard one. Answers with what holds now, and
    with `wanted` where nothing does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    if soft >= wanted:
        return soft
    raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    except (OSError, ValueError):  # some systems have a limit below the hard one
        return soft
    return raised
