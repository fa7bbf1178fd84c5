"""The middle of the demonstration: the queue is worked off while things go wrong."""

from __future__ import annotations

from collections.abc import Callable

from telecine.core.api import Api
from telecine.core.catalogue import VariantDetail
from telecine.core.clock import Clock
from telecine.core.demo.cast import Cast
from telecine.core.demo.screen import Screen
from telecine.core.demo.titles import LARGE_BYTES
from telecine.core.errors import UnavailableError
from telecine.core.leases import VariantState
from telecine.core.operator_protocol import Status, WorkerLease
from telecine.core.protocol import Stage

QUEUE_TIMEOUT_S = 150.0
HARVEST_TIMEOUT_S = 20.0
LOOK_EVERY_S = 0.2
KILLED_FOR_S = 1.5
KILL_FROM_SHARE, KILL_TO_SHARE = 0.15, 0.7  # of what was reported: by the time of the kill it is more
UNSETTLED = (VariantState.READY, VariantState.LEASED, VariantState.DELAYED)


class Watch:
    """Follows the queue; kills one worker in the middle of a large upload and starts it again."""

    def __init__(self, api: Api, cast: Cast, screen: Screen, clock: Clock) -> None:
        self._api = api
        self._cast = cast
        self._screen = screen
        self._clock = clock
        self.killed: list[str] = []  # workers that held an unfinished upload when they died

    async def until_settled(self) -> Status:
        """Until every variant is done or dead. Raises UnavailableError where that takes too long."""
        return await self._follow(_is_settled, QUEUE_TIMEOUT_S, "the queue is not worked off")

    async def until_harvested(self) -> Status:
        """Until the bot has its own `file_id` for every file."""
        return await self._follow(
            lambda status: status.counts.bot_files >= status.counts.objects,
            HARVEST_TIMEOUT_S,
            "the bot did not hear of every file",
        )

    async def _follow(self, reached: Callable[[Status], bool], timeout_s: float, otherwise: str) -> Status:
        deadline_s = self._clock.monotonic_s() + timeout_s
        while True:
            self._cast.check()
            status = await self._api.get("/v1/status", Status)
            self._screen.status(status)
            if reached(status):
                return status
            if self._clock.monotonic_s() > deadline_s:
                raise UnavailableError(f"{otherwise} after {timeout_s:g} s: {status.counts.variants_by_state}")
            await self._maybe_kill(status)
            await self._clock.sleep(LOOK_EVERY_S)

    async def _maybe_kill(self, status: Status) -> None:
        at_hand = [(worker, lease) for worker in status.workers for lease in worker.leases if _in_mid_upload(lease)]
        if self.killed or not at_hand:
            return
        victim, held = at_hand[0]
        self._cast[victim.name].kill()
        if (await self._api.get(f"/v1/variants/{held.code}", VariantDetail)).state is VariantState.LEASED:
            self.killed.append(victim.name)
            done = held.progress.bytes_done / 1e6
            self._screen.say(f"{victim.name} killed with SIGKILL after {done:.1f} MB of {held.code}", "red")
        else:  # the report was old, the upload through: another one will be caught
            self._screen.say(f"{victim.name} killed with SIGKILL just after {held.code}", "red")
        await self._clock.sleep(KILLED_FOR_S)
        self._cast.start_worker(victim.name)
        self._screen.say(f"{victim.name} started again")


def _is_settled(status: Status) -> bool:
    return not any(status.counts.variants_by_state.get(state, 0) for state in UNSETTLED)


def _in_mid_upload(lease: WorkerLease) -> bool:
    progress = lease.progress
    total = progress.bytes_total or 0
    if progress.stage is not Stage.UPLOADING or total <= LARGE_BYTES:
        return False
    return KILL_FROM_SHARE < progress.bytes_done / total < KILL_TO_SHARE
