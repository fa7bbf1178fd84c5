"""`telecine work`: claim, work, settle, until told to stop."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import uuid
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import aiohttp

from telecine.core.clock import Clock, SystemClock
from telecine.core.config import TelegramSettings, WorkerSettings
from telecine.core.errors import ConfigError, ConflictError, UnavailableError
from telecine.core.protocol import CLAIM_WAIT_MAX_S, ClaimRequest, Hello, Welcome
from telecine.core.worker.bench import Bench
from telecine.core.worker.board import Board
from telecine.core.worker.coordinator import Claimed, CoordinatorClient
from telecine.core.worker.gate import Gate
from telecine.core.worker.heartbeat import Heartbeat
from telecine.core.worker.journal import Journal
from telecine.core.worker.park import Park
from telecine.core.worker.patience import Patience, pauses
from telecine.core.worker.recovery import Recovery
from telecine.core.worker.shift import Shift, refreshed
from telecine.core.worker.sources.sources import Sources
from telecine.core.worker.storage import Storage
from telecine.core.worker.telegram.account import VERSION, Account, open_account
from telecine.core.worker.telegram.channels import Channels
from telecine.core.worker.telegram.engine import Engine
from telecine.core.worker.telegram.senders import Lines
from telecine.core.worker.telegram.sending import Post
from telecine.core.worker.telegram.sessions import session_file
from telecine.core.worker.telegram.uploads import Uploads
from telecine.core.worker.watch import Watch

logger = logging.getLogger(__name__)


class Worker:
    """One worker daemon: one account, several leases at a time."""

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
        self._patience = Patience(self._clock, settings.session)
        self._asked_as: str | None = None  # of the last claim, while it has no answer
        self._park = Park(self._clock)
        self.board = Board(settings.name, self._clock, self._park, jobs_max=settings.jobs)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; then finish what is running within `shutdown_grace_s`, or give it back.

        Raises ConfigError where only the operator can help: no signed-in session, a session in use or of another
        Telegram user, a token that does not hold.
        """
        async with Watch(stop, self._clock, self._settings.shutdown_grace_s) as watch, AsyncExitStack() as stack:
            bench = await watch.unless_stopped(self._opened(stack))
            if bench is not None:
                await self._serve(bench, watch)
        logger.info("worker %s has stopped", self._settings.name)

    async def _serve(self, bench: Bench, watch: Watch) -> None:
        introducing = self._patience.despite_trouble(bench.account, lambda: self._introduced(bench), pauses())
        welcome = await watch.unless_stopped(introducing)
        if welcome is None:
            return
        heartbeat = Heartbeat(
            bench.coordinator,
            bench.clock,
            boot_id=bench.boot_id,
            ttl_s=welcome.lease_ttl_s,
            gate=bench.gate,
            park=bench.park,
        )
        await Shift(bench, self.board, watch, self._patience, heartbeat, lambda: self._claimed(bench)).run()

    async def _claimed(self, bench: Bench) -> Claimed | None:
        """Whatever the worker can take now; first what may have been on its way when the last claim was cut off."""
        self._asked_as = self._asked_as or self._new_id()
        claimed = await bench.coordinator.claim(
            ClaimRequest(
                boot_id=bench.boot_id,
                request_id=self._asked_as,
                wait_s=CLAIM_WAIT_MAX_S,
                disk_free_bytes=bench.sources.spool_free_bytes,
                file_bytes_max=bench.account.file_bytes_max,
            )
        )
        self._asked_as = None
        return claimed

    async def _introduced(self, bench: Bench) -> Welcome:
        """Finish what an earlier run left, then say hello and see that the channels are there.

        Raises ConfigError for a session of another Telegram user than the account's.
        """
        await bench.channels.refresh()
        await bench.recovery.resolve_all()
        hello = Hello(bench.boot_id, VERSION, bench.account.user_id, bench.account.premium)
        try:
            welcome = await bench.coordinator.hello(hello)
        except ConflictError as refusal:
            raise ConfigError(f"{self._settings.session}: {refusal.message}", hint=refusal.hint) from refusal
        usable = await bench.storage.take_over(welcome)
        logger.info("worker %s is ready, with %d channels", self._settings.name, usable)
        return welcome

    async def _opened(self, stack: AsyncExitStack) -> Bench:
        settings, clock = self._settings, self._clock
        account = await self._connected(stack)
        channels = Channels(account.client, clock)
        journal = stack.enter_context(Journal(journal_file(settings)))
        web = await stack.enter_async_context(aiohttp.ClientSession())
        coordinator = CoordinatorClient(web, settings.coordinator_url, settings.token, clock, self._rng)
        gate, uploads = Gate(), self._uploads()
        return Bench(
            settings=settings,
            clock=clock,
            boot_id=self._new_id(),
            sources=await stack.enter_async_context(Sources(settings, clock)),
            account=account,
            channels=channels,
            engine=self._engine(account, gate, stack),
            uploads=uploads,
            post=Post(
                account,
                channels,
                journal,
                clock,
                flood_wait_in_place_s=settings.flood_wait_in_place_s,
                sends_per_minute=settings.sends_per_minute,
                gate=gate,
            ),
            journal=journal,
            coordinator=coordinator,
            recovery=Recovery(channels, journal, coordinator, uploads),
            storage=Storage(channels, coordinator),
            park=self._park,
            gate=gate,
        )

    def _engine(self, account: Account, gate: Gate, stack: AsyncExitStack) -> Engine:
        """The one pool of parts and connections that all jobs draw from."""
        lines = Lines(account, count=self._settings.connections, clock=self._clock)
        stack.push_async_callback(lines.close)
        return Engine(
            lines,
            clock=self._clock,
            new_file_id=lambda: self._rng.getrandbits(64) - 2**63,
            parts_in_flight=self._settings.parts_in_flight,
            flood_wait_in_place_s=self._settings.flood_wait_in_place_s,
            gate=gate,
            content_hash=self._settings.content_hash,
            on_throttle=partial(refreshed, account),
        )

    def _uploads(self) -> Uploads:
        """What earlier runs have put up already. Raises ConfigError, naming the folder."""
        folder = session_file(self._settings.session).with_suffix(".uploads")
        try:
            return Uploads(folder, self._clock)
        except OSError as error:
            raise ConfigError(f"{folder}: {error.strerror}") from error

    async def _connected(self, stack: AsyncExitStack) -> Account:
        """The account, however long Telegram takes to answer."""
        settings = self._settings
        for pause_s in pauses():
            opening = open_account(
                self._telegram,
                settings.session,
                flood_wait_in_place_s=settings.flood_wait_in_place_s,
                file_bytes_max=settings.file_bytes_max,
            )
            try:
                return await stack.enter_async_context(opening)
            except UnavailableError as error:
                await self._patience.sit_out(error, pause_s)
        raise AssertionError  # the pauses never end

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))


def journal_file(settings: WorkerSettings) -> Path:
    """Where the journal of a worker is."""
    return settings.journal or session_file(settings.session).with_suffix(".journal")
