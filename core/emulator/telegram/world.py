"""One Telegram: the state that the MTProto half and the HTTP half of the emulator share.

Everything runs on one event loop, so an operation is atomic between two awaits. What a world holds is reached
through its parts:

    directory   users, bots, login codes, auth keys         messages    post, send, edit, delete, find
    channels    who is in them and may do what              documents   stored files and per-bot file ids
    feeds       pushes to sessions, queues of bots          uploads     parts not yet claimed by a message
    presses     callback buttons and their answers          conversions videos that are not posted yet
    stats       counters for tests and the demo
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from telecine.core.clock import Clock, SystemClock
from telecine.core.emulator.telegram import persistence
from telecine.core.emulator.telegram.blobs import Blobs, FolderBlobs, MemoryBlobs
from telecine.core.emulator.telegram.channels import Channels
from telecine.core.emulator.telegram.conversions import Conversions
from telecine.core.emulator.telegram.directory import Directory
from telecine.core.emulator.telegram.documents import Documents
from telecine.core.emulator.telegram.entities import Bot, User, WorldState
from telecine.core.emulator.telegram.feeds import Feeds
from telecine.core.emulator.telegram.limits import TelegramLimits
from telecine.core.emulator.telegram.messages import Messages
from telecine.core.emulator.telegram.presses import Presses
from telecine.core.emulator.telegram.uploads import Uploads

SAVE_DELAY_S = 0.1  # changes within this long of each other are written together
SAVE_SHARE_MAX = 0.05  # of the time may go into writing: a large world is written less often


class WorldStats:
    """What the MTProto half has seen."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.part_bytes = 0
        self.part_duplicates = 0
        self.in_flight = 0
        self.in_flight_max = 0


class World:
    """One Telegram. Made by `open`; `close` writes what is not written yet."""

    def __init__(
        self,
        state: WorldState,
        blobs: Blobs,
        *,
        folder: Path | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        limits: TelegramLimits | None = None,
    ) -> None:
        self._state = state
        self._folder = folder
        self._save_handle: asyncio.TimerHandle | None = None
        self._dirty = False
        self._save_cost_s = 0.0
        self._news = asyncio.Event()
        self.clock = clock or SystemClock()
        self.rng = rng or random.SystemRandom()
        self.limits = limits or TelegramLimits()
        self.stats = WorldStats()
        clock, rng, limits, changed = self.clock, self.rng, self.limits, self.changed
        self.directory = Directory(state, rng, limits, changed)
        self.feeds = Feeds(state, clock, limits, changed)
        self.channels = Channels(state, self.feeds, clock, rng, limits, changed)
        self.messages = Messages(state, self.channels, self.feeds, clock, limits, changed)
        self.documents = Documents(state, blobs, clock, rng, limits, changed)
        self.conversions = Conversions(state, self.messages)
        self.uploads = Uploads(blobs, rng, limits)
        self.presses = Presses(state, self.feeds, rng, limits)

    @classmethod
    def open(
        cls,
        folder: Path | None = None,
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        limits: TelegramLimits | None = None,
    ) -> World:
        """The world kept in `folder`, a new one if it is empty, or one in memory without a folder."""
        if folder is None:
            return cls(WorldState(), MemoryBlobs(), clock=clock, rng=rng, limits=limits)
        state = persistence.load(folder) or WorldState()
        blobs = FolderBlobs(folder / "blobs")
        _drop_strays(blobs, state)
        return cls(state, blobs, folder=folder, clock=clock, rng=rng, limits=limits)

    def add_user(
        self,
        phone: str,
        name: str,
        *,
        premium: bool = False,
        password: str | None = None,
        first_name: str | None = None,
        username: str | None = None,
    ) -> User:
        """Seed an account: see `Directory.add_user`."""
        return self.directory.add_user(
            phone, name, premium=premium, password=password, first_name=first_name, username=username
        )

    def add_bot(self, token: str, username: str, *, first_name: str | None = None) -> Bot:
        """Seed a bot: see `Directory.add_bot`."""
        return self.directory.add_bot(token, username, first_name=first_name)

    def login_code(self, phone: str) -> str | None:
        """The code last sent to a phone: see `Directory.login_code`."""
        return self.directory.login_code(phone)

    def expire_parts(self) -> int:
        """Forget all unclaimed parts: see `Uploads.expire`."""
        return self.uploads.expire()

    @property
    def salt(self) -> int:
        """The server salt that sessions must use now."""
        if self._state.salt == 0:
            self.change_salt()
        return self._state.salt

    def change_salt(self) -> None:
        """Make every session's salt stale: each is told the new one at its next request."""
        self._state.salt = self.rng.getrandbits(62) | 1
        self.changed()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something has become true of the world or of its `stats`; for who tests against it."""
        while not condition():
            await self._news.wait()

    def noticed(self) -> None:
        """Have those in `until` look again. Whoever counts something in `stats` calls this."""
        self._news.set()
        self._news = asyncio.Event()  # a new one each time: whoever waits holds the old one

    def changed(self) -> None:
        """Have the state written soon. Whoever alters an entity by hand calls this."""
        self._dirty = True
        self.noticed()
        if self._folder is not None and self._save_handle is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:  # seeded before the loop runs: `close` or the next change writes it
                return
            delay_s = max(SAVE_DELAY_S, self._save_cost_s / SAVE_SHARE_MAX)
            self._save_handle = loop.call_later(delay_s, self.save)

    def save(self) -> None:
        """Write the state now, if it lives in a folder and has changed."""
        if self._save_handle is not None:
            self._save_handle.cancel()
            self._save_handle = None
        if self._dirty and self._folder is not None:
            started_s = self.clock.monotonic_s()
            persistence.save(self._folder, self._state)
            self._save_cost_s = self.clock.monotonic_s() - started_s
        self._dirty = False

    def close(self) -> None:
        """Write what is not written yet."""
        self.conversions.close()
        self.uploads.expire()
        self.save()


def _drop_strays(blobs: Blobs, state: WorldState) -> None:
    """Unclaimed parts of an earlier run are dead: their file ids are not remembered."""
    claimed = {d.blob for d in state.documents.values()} | {d.thumb_blob for d in state.documents.values()}
    for name in blobs.names() - claimed:
        blobs.drop(name)
