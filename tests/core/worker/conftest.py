"""What the worker's tests share: the embedded Telegram, and workers that run beside the test."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web
from tests.core.worker.scripted import BOT_USERNAME, TOKEN, Coordinator
from tests.waiting import until

from telecine.core import captions
from telecine.core.config import TelegramSettings, WorkerSettings
from telecine.core.emulator.control.messages import NewAccount, NewBot
from telecine.core.emulator.faults import Line
from telecine.core.emulator.media.files import generate
from telecine.core.emulator.media.specs import MediaSpec
from telecine.core.emulator.server import Emulator, EmulatorSettings
from telecine.core.emulator.sources.faults import SourceFault, SourceFaultKind
from telecine.core.emulator.telegram.entities import VideoTrait
from telecine.core.worker.board import WorkerState
from telecine.core.worker.daemon import Worker
from telecine.core.worker.telegram.login import SignedIn, sign_in

BOT_TOKEN = "4242:AAtesttokenAAtesttokenAAtesttokenA1"


@pytest.fixture
async def coordinator() -> AsyncIterator[Coordinator]:
    fake = Coordinator()
    runner = web.AppRunner(fake.app(), shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.url = "http://{}:{}".format(*runner.addresses[0][:2])
    yield fake
    fake.paused.set()
    await runner.cleanup()


@pytest.fixture
async def web_session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


# ---- the embedded Telegram -----------------------------------------------------------------------

PHONE = "15550001"
SECOND_PHONE = "15550002"
ACCOUNT = "ember"
PASSWORD = "open sesame"


@pytest.fixture(scope="session")
def signed_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an emulator's state and a session that is signed in to it.

    Keys and sign-in cost as much as a test; each test starts from a copy.
    """
    folder = tmp_path_factory.mktemp("signed-in")
    with ThreadPoolExecutor(1) as thread:  # a loop of its own
        thread.submit(asyncio.run, _sign_in_once(folder)).result()
    return folder


async def _sign_in_once(folder: Path) -> None:
    async with Emulator(_emulator_settings(folder)) as emulator:
        await sign_in_as(emulator, _telegram_settings(emulator, folder), folder / "ember.session")


def _emulator_settings(folder: Path) -> EmulatorSettings:
    (folder / "media").mkdir(exist_ok=True)
    return EmulatorSettings(
        data_dir=folder / "world",
        media_dir=folder / "media",
        accounts=(
            NewAccount(phone=PHONE, name=ACCOUNT, first_name="Ember"),
            NewAccount(phone=SECOND_PHONE, name="lukas", premium=True, password=PASSWORD),
        ),
        bots=(NewBot(token=BOT_TOKEN, username=BOT_USERNAME),),
    )


def _telegram_settings(emulator: Emulator, folder: Path) -> TelegramSettings:
    public_key = folder / "server-public.pem"
    public_key.write_text(emulator.public_key_pem)
    host, port = emulator.mtproto_address
    return TelegramSettings(api_id=1, api_hash="a" * 32, server=f"{host}:{port}", public_key=public_key)


@pytest.fixture
async def emulator(tmp_path: Path, signed_in: Path) -> AsyncIterator[Emulator]:
    shutil.copytree(signed_in, tmp_path, dirs_exist_ok=True)
    async with Emulator(_emulator_settings(tmp_path)) as running:
        yield running


@pytest.fixture
def telegram(emulator: Emulator, tmp_path: Path) -> TelegramSettings:
    return _telegram_settings(emulator, tmp_path)


async def sign_in_as(emulator: Emulator, telegram: TelegramSettings, session: Path, phone: str = PHONE) -> SignedIn:
    """Sign `session` in with the code that the emulator sent."""

    async def code() -> str:
        return emulator.world.login_code(phone) or ""

    async def password() -> str:
        return PASSWORD

    return await sign_in(telegram, session, phone=phone, ask_code=code, ask_password=password)


@pytest.fixture
def session(telegram: TelegramSettings, tmp_path: Path) -> Path:
    """The session file of a signed-in account."""
    return tmp_path / "ember.session"


async def eventually(emulator: Emulator, condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Wait for something in the emulator."""
    async with asyncio.timeout(timeout_s):
        await emulator.world.until(condition)


class StoredFile(msgspec.Struct, frozen=True):
    """A file as a channel of the emulator holds it."""

    channel_id: int
    message_id: int
    caption: str
    content: bytes
    file_name: str
    mime_type: str
    video: VideoTrait | None
    has_thumbnail: bool

    @property
    def code(self) -> str:
        """What it is, as its caption says; empty for nothing that is known."""
        return captions.code_of(self.caption) or ""


def stored_files(emulator: Emulator) -> list[StoredFile]:
    """Every file in every channel."""
    world = emulator.world
    found: list[StoredFile] = []
    for channel in world.channels.all():
        for message in world.messages.in_channel(channel):
            document = world.documents.find(message.content.document_id or 0)
            if document is not None:
                found.append(
                    StoredFile(
                        channel.id,
                        message.post_id,
                        message.content.text,
                        world.documents.read(document),
                        document.file_name,
                        document.mime_type,
                        document.video,
                        document.thumb_size_bytes > 0,
                    )
                )
    return found


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses as long as the embedded Telegram and coordinator deserve, which answer in milliseconds."""
    monkeypatch.setattr("telecine.core.worker.telegram.channels.LOOKUP_PAUSE_S", 0.1)
    monkeypatch.setattr("telecine.core.worker.patience.PAUSE_S", 0.1)
    monkeypatch.setattr("telecine.core.worker.coordinator.BACKOFF_S", 0.05)


class Daemon:
    """A worker that runs beside the test."""

    def __init__(self, settings: WorkerSettings, telegram: TelegramSettings) -> None:
        self.stop = asyncio.Event()
        self.worker = Worker(settings, telegram)
        self.task = asyncio.create_task(self.worker.run(self.stop))

    async def end(self) -> None:
        """The orderly way."""
        self.stop.set()
        async with asyncio.timeout(20):
            await self.task

    async def kill(self) -> None:
        """The other way: nothing more is said to anybody."""
        self.task.cancel()
        await asyncio.wait([self.task])


@pytest.fixture
def worker_settings(coordinator: Coordinator, session: Path) -> WorkerSettings:
    """A worker of the account that is signed in, with little patience and one hand."""
    return WorkerSettings(
        name="cm-ember",
        coordinator_url=coordinator.url,
        token=TOKEN,
        session=session,
        flood_wait_in_place_s=2,
        allow_private_sources=True,
        shutdown_grace_s=0.3,
        jobs=1,
    )


# ---- one film, and workers that come and go ------------------------------------------------------

CODE = "CM_M000321_240P"
CLIP = MediaSpec(name="clip.mp4", width_px=426, height_px=240, seconds=1.0, seed=1)
SLOW = Line(latency_s=0.15)


class Plant:
    """Starts workers on one session, one after the other."""

    def __init__(
        self, settings: WorkerSettings, telegram: TelegramSettings, coordinator: Coordinator, emulator: Emulator
    ) -> None:
        self.settings = settings
        self.telegram = telegram
        self._coordinator = coordinator
        self._emulator = emulator
        self._daemons: list[Daemon] = []

    def start(self) -> Daemon:
        self._daemons.append(Daemon(self.settings, self.telegram))
        return self._daemons[-1]

    async def start_slow(self) -> Daemon:
        """A worker that is ready, on a line that leaves the test time to do something to it."""
        daemon = self.start()
        await self.slow_down()
        return daemon

    async def slow_down(self) -> None:
        """Once the worker is ready."""
        await self._coordinator.until(lambda: self._coordinator.claims)
        self._emulator.faults.set_line(ACCOUNT, SLOW)

    async def kill(self, daemon: Daemon) -> None:
        await daemon.kill()
        self._emulator.faults.set_line(ACCOUNT, Line())

    async def close(self) -> None:
        for daemon in self._daemons:
            await daemon.kill()


@pytest.fixture
async def plant(
    coordinator: Coordinator, emulator: Emulator, worker_settings: WorkerSettings, telegram: TelegramSettings
) -> AsyncIterator[Plant]:
    plant = Plant(worker_settings, telegram, coordinator, emulator)
    yield plant
    coordinator.paused.set()
    await plant.close()


@pytest.fixture
async def url(emulator: Emulator) -> str:
    assert emulator.settings.media_dir is not None
    await asyncio.to_thread(generate, CLIP, emulator.settings.media_dir)
    return f"{emulator.media_url}/{CLIP.name}"


def stall(emulator: Emulator) -> None:
    emulator.sources.set_faults(CLIP.name, [SourceFault(kind=SourceFaultKind.STALL, after_bytes=20_000)])


# ---- a source that waits for the test ------------------------------------------------------------


class HeldSource:
    """A host whose jobs wait until the test lets them have the clip."""

    def __init__(self, clip: Path) -> None:
        self._clip = clip
        self._asked = 0
        self._changed = asyncio.Condition()
        self.url = ""
        self.go = asyncio.Event()

    async def answer(self, _: web.Request) -> web.StreamResponse:
        async with self._changed:
            self._asked += 1
            self._changed.notify_all()
        await self.go.wait()
        return web.FileResponse(self._clip)

    async def asked(self, count: int = 1) -> None:
        """Wait until so many jobs wait here."""
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(lambda: self._asked >= count)


@pytest.fixture
async def held(emulator: Emulator, url: str) -> AsyncIterator[HeldSource]:
    assert emulator.settings.media_dir is not None
    source = HeldSource(emulator.settings.media_dir / CLIP.name)
    app = web.Application()
    app.router.add_get("/held.mp4", source.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    source.url = "http://{}:{}/held.mp4".format(*runner.addresses[0][:2])
    yield source
    await runner.cleanup()


async def until_state(daemon: Daemon, state: WorkerState) -> None:
    await until(lambda: daemon.worker.board.view().state is state, within_s=20)
