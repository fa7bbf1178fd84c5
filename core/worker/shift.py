"""The loop of a worker: claims while it has a hand free, holds several leases, mends what goes wrong between them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from telecine.core.errors import TelecineError, TelegramError, UnavailableError
from telecine.core.log_fields import fields
from telecine.core.protocol import Outcome, SettleFloodWait
from telecine.core.worker.bench import Bench
from telecine.core.worker.board import Board, WorkerState
from telecine.core.worker.coordinator import Claimed
from telecine.core.worker.heartbeat import Heartbeat
from telecine.core.worker.patience import Patience, is_signed_out, pauses
from telecine.core.worker.telegram.account import Account
from telecine.core.worker.tenure import Tenure
from telecine.core.worker.waiting import ended
from telecine.core.worker.watch import Watch

UPLOADS = "upload."  # what requests that put up parts begin with

logger = logging.getLogger(__name__)


class Shift:
    """Works from the first claim to the wish to stop.

    One claim at a time is under way, and none while all hands are full, while an operator drains or pauses the
    worker, or while something is being mended: trouble with Telegram is met once, whoever ran into it.
    """

    def __init__(
        self,
        bench: Bench,
        board: Board,
        watch: Watch,
        patience: Patience,
        heartbeat: Heartbeat,
        claim: Callable[[], Awaitable[Claimed | None]],
    ) -> None:
        self._bench = bench
        self._board = board
        self._watch = watch
        self._patience = patience
        self._heartbeat = heartbeat
        self._claim = claim
        self._tenures: dict[asyncio.Task[Outcome | None], Tenure] = {}
        self._claiming: asyncio.Task[Claimed | None] | None = None
        self._mending: asyncio.Task[None] | None = None
        self._trouble: TelecineError | None = None
        self._flooded = False  # what the account may do now is to be asked
        self._unchecked = False  # something may have been left open
        self._pauses = pauses()

    async def run(self) -> None:
        """Work until stopped; then finish what is held, or give it back. Raises ConfigError as `Worker.run` does."""
        beating = asyncio.create_task(self._heartbeat.run(), name="heartbeat")
        try:
            while not self._watch.stopping:
                self._begin_what_may_begin()
                await self._woken(beating)
                await self._take_in(beating)
            await self._wind_up()
        except Exception:
            self._watch.hurry.set()  # what is held is given back before the worker ends
            await self._all_ended()
            raise
        finally:
            await ended(*filter(None, (beating, self._claiming, self._mending)), *self._tenures)

    # ---- what goes on ------------------------------------------------------------------------------

    def _begin_what_may_begin(self) -> None:
        if self._mending is None and self._is_amiss():
            self._mending = asyncio.create_task(self._mended(self._trouble, flooded=self._flooded), name="mending")
            self._trouble, self._unchecked, self._flooded = None, False, False
        if self._claiming is None and self._may_claim():
            self._claiming = asyncio.create_task(self._asked(), name="claim")
        self._board.enter(self._state())

    def _is_amiss(self) -> bool:
        return self._trouble is not None or self._flooded or (self._unchecked and bool(self._left_open()))

    def _may_claim(self) -> bool:
        free = self._bench.settings.jobs - len(self._tenures)
        return free > 0 and self._mending is None and not self._is_steered()

    def _is_steered(self) -> bool:
        return self._heartbeat.draining or self._heartbeat.paused

    def _state(self) -> WorkerState:
        if self._heartbeat.paused:
            return WorkerState.PAUSED
        if self._heartbeat.draining:
            return WorkerState.DRAINING
        return WorkerState.WORKING if self._mending is None else WorkerState.AWAY

    async def _woken(self, beating: asyncio.Task[None]) -> None:
        """Return when something has happened."""
        signals = [asyncio.create_task(event.wait()) for event in (self._watch.stop, self._heartbeat.steered)]
        works: set[asyncio.Task[Any]] = {beating, *self._tenures, *filter(None, (self._claiming, self._mending))}
        try:
            await asyncio.wait({*signals, *works}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await ended(*signals)

    async def _take_in(self, beating: asyncio.Task[None]) -> None:
        """See what has ended. Raises what only the operator can mend."""
        if beating.done():
            beating.result()
        if self._heartbeat.steered.is_set():
            self._heartbeat.steered.clear()
            self._tell_of_steering()
        for task in [task for task in self._tenures if task.done()]:
            await self._account_for(self._tenures.pop(task), task.result())
        if self._mending is not None and self._mending.done():
            mended, self._mending = self._mending, None
            mended.result()
        if self._claiming is not None and (self._claiming.done() or self._trouble is not None or self._is_steered()):
            await self._leave_off()

    # ---- claiming ----------------------------------------------------------------------------------

    async def _asked(self) -> Claimed | None:
        claimed = await self._claim()
        if claimed is None:
            await self._heartbeat.ask()  # a worker that drains is answered with nothing, too
        return claimed

    async def _leave_off(self) -> None:
        """End the claim that is under way; a lease that came of it is worked on all the same."""
        if self._claiming is None:
            return
        claiming, self._claiming = self._claiming, None
        await ended(claiming)
        claimed = None if claiming.cancelled() else claiming.result()
        if claimed is not None:
            self._hold(claimed)
        elif not claiming.cancelled():
            self._pauses = pauses()
            self._unchecked = True

    def _hold(self, claimed: Claimed) -> None:
        lease = claimed.lease
        self._bench.park.told(lease.sends_parked_s, since_s=claimed.since_s)
        tenure = Tenure(self._bench, claimed, self._heartbeat, hurry=self._watch.hurry)
        self._board.began(tenure.gauge)
        self._board.uploads_parked(0, "")  # who gets a lease may upload
        self._tenures[asyncio.create_task(tenure.run(), name=f"lease {lease.lease}")] = tenure
        logger.info("claimed", extra=fields(code=lease.code, lease=lease.lease, links=len(lease.sources)))

    # ---- what leases leave behind ------------------------------------------------------------------

    async def _account_for(self, tenure: Tenure, outcome: Outcome | None) -> None:
        self._board.ended(tenure.gauge, outcome)
        self._unchecked = True
        if isinstance(outcome, SettleFloodWait):
            await self._stand_still(outcome)
        if tenure.trouble is None:
            self._pauses = pauses()  # what goes wrong once more after this is new trouble
        elif self._mending is None or is_signed_out(tenure.trouble):
            self._trouble = tenure.trouble  # else it is what is being mended already

    async def _stand_still(self, wait: SettleFloodWait) -> None:
        """A long wait is the account's, not the lease's: nobody runs into it a second time.

        A claim under way speaks of an account that was not parked yet, and may have been Premium still.
        """
        self._flooded = True
        await self._leave_off()
        if not wait.request.startswith(UPLOADS):
            self._bench.park.note(wait.wait_s)
            return
        self._board.uploads_parked(wait.wait_s, wait.request)
        for tenure in self._tenures.values():
            if tenure.is_uploading:
                tenure.give_back()

    async def _mended(self, trouble: TelecineError | None, *, flooded: bool) -> None:
        """Have Telegram answer again, and close what is open; after a wait the account is known anew."""
        bench = self._bench
        await self._patience.despite_trouble(
            bench.account,
            lambda: bench.recovery.resolve_all(self._held(), boot_id=bench.boot_id),
            self._pauses,
            trouble,
        )
        if flooded:
            await refreshed(bench.account)

    def _held(self) -> frozenset[str]:
        """The leases that somebody works on, or reports, and what they are to put into the channel."""
        return frozenset(name for tenure in self._tenures.values() for name in (tenure.lease, tenure.code))

    def _left_open(self) -> set[str]:
        return set(self._bench.journal.open_leases()) - self._held()

    # ---- the end -----------------------------------------------------------------------------------

    async def _wind_up(self) -> None:
        """Finish what is held, or have it given back when the grace is over."""
        self._board.enter(WorkerState.STOPPING)
        await self._leave_off()
        if self._mending is not None:
            await ended(self._mending)
        for error in await self._all_ended():
            raise error

    async def _all_ended(self) -> list[BaseException]:
        """Wait for what is held; what went wrong with it."""
        errors: list[BaseException] = []
        while self._tenures:
            done, _ = await asyncio.wait(self._tenures, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                error = task.exception()
                self._board.ended(self._tenures.pop(task).gauge, None if error else task.result())
                errors += [error] if error else []
        return errors

    def _tell_of_steering(self) -> None:
        name = self._bench.settings.name
        if self._heartbeat.paused:
            logger.info("worker %s is paused: what it has stands still, nothing more is claimed", name)
        elif self._heartbeat.draining:
            logger.info("worker %s drains: nothing more is claimed", name)
        else:
            logger.info("worker %s claims again", name)


async def refreshed(account: Account) -> None:
    """A wait may mean that Premium has lapsed, and with it the size limit."""
    try:
        await account.refresh()
    except (TelegramError, UnavailableError) as error:
        logger.warning("the account's state is not known: %s", error)
