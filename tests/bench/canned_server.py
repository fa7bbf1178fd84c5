"""The coordinator without its queue, as a process of its own: all that it does about a worker's calls but keep them,
since a queue in memory always answers the same. What the store and the disk take comes on top of that.

    python -m tests.bench.canned_server SETTINGS
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import uvloop
from tests.bench.replay_server import LEASE
from tests.bench.servers import tell_listening
from tests.core.coordinator.over_store import services_over

from telecine.cmd.running import garbage_waits
from telecine.core import config_file
from telecine.core.clock import SystemClock
from telecine.core.coordinator.server import CoordinatorServer
from telecine.core.coordinator.tokens import Tokens
from telecine.core.errors import ConfigError
from telecine.core.leases import VariantState
from telecine.core.protocol import (
    BeatAnswer,
    BeatRequest,
    ChannelRef,
    ClaimRequest,
    Hello,
    Lease,
    LeaseVerdict,
    Outcome,
    Settled,
    Verdict,
)
from telecine.store import Store


class CannedQueue:
    """A `Queue` that knows one lease, hands it out to everyone, and believes all that is said of it."""

    async def hello(self, worker: str, account: str, hello: Hello, *, channels_wanted: int) -> tuple[ChannelRef, ...]:
        return (LEASE.channel,)

    async def channel_opened(self, worker: str, channel_id: int, telegram_id: int) -> None: ...

    async def channel_lost(self, worker: str, channel_id: int, detail: str) -> None: ...

    async def claim(self, worker: str, request: ClaimRequest) -> Lease | None:
        return LEASE

    async def wait_for_work(self, timeout_s: float) -> None: ...

    async def beat(self, worker: str, request: BeatRequest) -> BeatAnswer:
        return BeatAnswer(tuple(LeaseVerdict(told.lease, Verdict.GO_ON, LEASE.ttl_s) for told in request.leases))

    async def settle(self, worker: str, lease: str, outcome: Outcome) -> Settled:
        return Settled(LEASE.code, VariantState.DONE)


async def serve_canned(settings: Path) -> None:
    """Serve on a free port, which is told on stderr, until the process is stopped. Raises ConfigError."""
    coordinator = config_file.load(settings, tables=("coordinator", "bot")).coordinator
    if coordinator is None:
        raise ConfigError(f"{settings}: [coordinator] is missing")
    clock = SystemClock()
    async with Store.open(settings.with_name("canned.db"), clock=clock) as store:
        tokens = Tokens(coordinator.secret, clock, store.tokens)
        server = CoordinatorServer(replace(services_over(store, clock), queue=CannedQueue(), tokens=tokens))
        await server.start(coordinator.host, 0)
        tell_listening(server.url)
        with garbage_waits():
            await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve_canned(Path(sys.argv[1])))
