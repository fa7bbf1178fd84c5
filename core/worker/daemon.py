"""`telecine work`: claim, work, settle, until told to stop."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import shutil
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self, TypeVar

import aiohttp

from telecine.core.clock import Clock, SystemClock
from telecine.core.config import TelegramSettings, WorkerSettings
from telecine.core.errors import ConfigError, FloodWaitError, TelecineError, TelegramError, UnavailableError
from telecine.core.protocol import (
    CLAIM_WAIT_MAX_S,
    BeatRequest,
    ClaimRequest,
    Hello,
    SettleFloodWait,
    Welcome,
)
from telecine.core.worker.bench import Bench
from telecine.core.worker.coordinator import Claimed, CoordinatorClient
from telecine.core.worker.heartbeat import BEATS_PER_TTL
from telecine.core.worker.journal import Journal
from telecine.core.worker.recovery import Recovery
from telecine.core.worker.sources.sources import Sources
from telecine.core.worker.storage import Storage
from telecine.core.worker.telegram.account import VERSION, Account, open_account
from telecine.core.worker.telegram.calls import SIGNED_OUT
from telecine.core.worker.telegram.channels import Channels
from telecine.core.worker.telegram.engine import Engine
from telecine.core.worker.telegram.senders import Lines
from telecine.core.worker.telegram.sending import Post
from telecine.core.worker.telegram.sessions import session_file
from telecine.core.worker.tenure import Tenure, ended

PAUSE_S = 1.0  # after trouble that is not a link's fault; doubled each time
PAUSE_S_MAX = 60.0
DRAINED_BEAT_S = 5.0  # how late a worker that drains hears, at most, that it may go on

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Worker:
    """One worker daemon: one account, one lease at a time."""

    def __init__(
        self,
        settings: WorkerSettings,
        telegram: TelegramSettings,
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._settings = settings
        self._telegram = telegram
        self._clock = clock or SystemClock()
        self._rng = rng or secrets.SystemRandom()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; then finish what is running within `shutdown_grace_s`, or give it back.

        Raises ConfigError where only the operator can help: no signed-in session, a session in use, a token that
        does not hold.
        """
        async with _Watch(stop, self._clock, self._settings.shutdown_grace_s) as watch, AsyncExitStack() as stack:
            bench = await watch.unless_stopped(self._opened(stack))
            if bench is not None:
                await self._serve(bench, watch)
        logger.info("worker %s has stopped", self._settings.name)

    async def _serve(self, bench: Bench, watch: _Watch) -> None:
        welcome = await watch.unless_stopped(
            self._despite_trouble(bench.account, lambda: self._introduced(bench), _pauses())
        )
        pauses = _pauses()
        while welcome is not None and not watch.stopping:
            claimed = await watch.unless_stopped(bench.coordinator.claim(self._claim(bench)))
            tenure = None if claimed is None else await self._held(bench, claimed, watch)
            trouble = None if tenure is None else tenure.trouble
            if trouble is None:
                pauses = _pauses()  # what goes wrong once more after this is new trouble
            if trouble is not None or bench.journal.open_leases():
                await watch.unless_stopped(self._mended(bench, trouble, pauses))
            if await watch.unless_stopped(self._to_drain(bench, tenure)):
                await watch.unless_stopped(self._drained(bench, welcome.lease_ttl_s))

    async def _held(self, bench: Bench, claimed: Claimed, watch: _Watch) -> Tenure:
        """A lease, worked on and reported."""
        tenure = Tenure(bench, claimed.lease, since_s=claimed.since_s, hurry=watch.hurry)
        outcome = await tenure.run()
        if isinstance(outcome, SettleFloodWait):
            await watch.unless_stopped(_refreshed(bench.account))
        return tenure

    def _claim(self, bench: Bench) -> ClaimRequest:
        return ClaimRequest(
            boot_id=bench.boot_id,
            request_id=self._new_id(),
            wait_s=CLAIM_WAIT_MAX_S,
            disk_free_bytes=shutil.disk_usage(self._settings.session.parent).free,
            file_bytes_max=bench.account.file_bytes_max,
        )

    async def _introduced(self, bench: Bench) -> Welcome:
        """Finish what an earlier run left, then say hello and see that the channels are there."""
        await bench.channels.refresh()
        await bench.recovery.resolve_all()
        welcome = await bench.coordinator.hello(
            Hello(bench.boot_id, VERSION, bench.account.user_id, bench.account.premium)
        )
        usable = await bench.storage.take_over(welcome)
        logger.info("worker %s is ready, with %d channels", self._settings.name, usable)
        return welcome

    async def _mended(self, bench: Bench, trouble: TelecineError | None, pauses: Iterator[float]) -> None:
        """Where something is open still, perhaps after trouble with Telegram: have it answer again, and report."""
        await self._despite_trouble(bench.account, bench.recovery.resolve_all, pauses, trouble)

    async def _despite_trouble(
        self,
        account: Account,
        work: Callable[[], Awaitable[T]],
        pauses: Iterator[float],
        trouble: TelecineError | None = None,
    ) -> T:
        """Do `work` as soon as Telegram lets it: waits out waits, connects again, tries again.

        Raises ConfigError for an account that is signed out, TelegramError for every other refusal.
        """
        for pause_s in pauses:
            try:
                if trouble is not None:
                    await self._sat_out(trouble, pause_s)
                await account.reconnect()
                return await work()
            except (FloodWaitError, UnavailableError) as error:
                trouble = error
            except TelegramError as error:
                if error.name not in SIGNED_OUT:
                    raise
                trouble = error
        raise AssertionError  # the pauses never end

    async def _sat_out(self, trouble: TelecineError, pause_s: float) -> None:
        if isinstance(trouble, TelegramError) and trouble.name in SIGNED_OUT:
            raise ConfigError(f"{self._settings.session}: {trouble}", hint="run `telecine login` again") from trouble
        wait_s = trouble.seconds if isinstance(trouble, FloodWaitError) else pause_s
        logger.warning("%s; trying again in %g s", trouble, wait_s)
        await self._clock.sleep(wait_s)

    async def _to_drain(self, bench: Bench, tenure: Tenure | None) -> bool:
        """Whether the coordinator wants nothing more to be claimed; asked where a claim came to nothing."""
        return tenure.draining if tenure is not None else await self._asked_to_drain(bench, before=False)

    async def _drained(self, bench: Bench, ttl_s: float) -> None:
        """Claim nothing while the coordinator drains its workers, or has disabled this one."""
        logger.info("worker %s drains: nothing more is claimed", self._settings.name)
        draining = True
        while draining:
            await self._clock.sleep(min(ttl_s / BEATS_PER_TTL, DRAINED_BEAT_S))
            draining = await self._asked_to_drain(bench, before=draining)
        logger.info("worker %s claims again", self._settings.name)

    async def _asked_to_drain(self, bench: Bench, *, before: bool) -> bool:
        """What the coordinator wants; as `before` where it does not answer."""
        try:
            return (await bench.coordinator.beat(BeatRequest(bench.boot_id))).drain
        except UnavailableError as error:
            logger.debug("beat failed: %s", error)
            return before

    async def _opened(self, stack: AsyncExitStack) -> Bench:
        settings, clock = self._settings, self._clock
        account = await self._connected(stack)
        channels = Channels(account.client, clock)
        journal = stack.enter_context(Journal(journal_file(settings)))
        web = await stack.enter_async_context(aiohttp.ClientSession())
        coordinator = CoordinatorClient(web, settings.coordinator_url, settings.token, clock, self._rng)
        lines = Lines(account, count=settings.connections)
        stack.push_async_callback(lines.close)
        return Bench(
            settings=settings,
            clock=clock,
            boot_id=self._new_id(),
            sources=await stack.enter_async_context(Sources(settings, clock)),
            account=account,
            channels=channels,
            engine=Engine(
                lines,
                clock=clock,
                new_file_id=lambda: self._rng.getrandbits(64) - 2**63,
                parts_in_flight=settings.parts_in_flight,
                flood_wait_in_place_s=settings.flood_wait_in_place_s,
            ),
            post=Post(account, channels, journal, clock, flood_wait_in_place_s=settings.flood_wait_in_place_s),
            journal=journal,
            coordinator=coordinator,
            recovery=Recovery(channels, journal, coordinator),
            storage=Storage(channels, coordinator),
        )

    async def _connected(self, stack: AsyncExitStack) -> Account:
        """The account, however long Telegram takes to answer."""
        settings = self._settings
        for pause_s in _pauses():
            opening = open_account(
                self._telegram, settings.session, flood_wait_in_place_s=settings.flood_wait_in_place_s
            )
            try:
                return await stack.enter_async_context(opening)
            except UnavailableError as error:
                await self._sat_out(error, pause_s)
        raise AssertionError  # the pauses never end

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))


def journal_file(settings: WorkerSettings) -> Path:
    """Where the journal of a worker is."""
    return settings.journal or session_file(settings.session).with_suffix(".journal")


def _pauses() -> Iterator[float]:
    """Seconds between tries: growing, for ever."""
    pause_s = PAUSE_S
    while True:
        yield pause_s
        pause_s = min(pause_s * 2, PAUSE_S_MAX)


async def _refreshed(account: Account) -> None:
    """A wait may mean that Premium has lapsed, and with it the size limit."""
    try:
        await account.refresh()
    except (TelegramError, UnavailableError) as error:
        logger.warning("the account's state is not known: %s", error)


class _Watch:
    """Turns the wish to stop into two events: stop claiming at once, and hurry when the grace is over."""

    def __init__(self, stop: asyncio.Event, clock: Clock, grace_s: float) -> None:
        self._stop = stop
        self._clock = clock
        self._grace_s = grace_s
        self.hurry = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._waiting = asyncio.create_task(self._wait())
        return self

    async def __aexit__(self, *_: object) -> None:
        await ended(self._waiting)

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    async def unless_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """The result of `work`, or None where the wish to stop came first and cut it off."""
        working = asyncio.create_task(work)
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await ended(working, stopped)
        return None if working.cancelled() else working.result()

    async def _wait(self) -> None:
        await self._stop.wait()
        await self._clock.sleep(self._grace_s)
        self.hurry.set()
