"""A deployment that loses its database and its replica: two accounts' channels are all that is left of it."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from pysqlite3 import dbapi2
from telethon.tl import types
from tests.clocks import HandClock
from tests.cmd.conftest import Said, run_program
from tests.core.worker.conftest import sign_in_as
from tests.store.conftest import Scene, episode, film, link, series

from telecine.bot.courier import BotCourier
from telecine.core import codes
from telecine.core.captions import Caption, Origin, write
from telecine.core.clock import SystemClock
from telecine.core.config import TelegramSettings
from telecine.core.delivery import DeliveryDesk, DeliveryOutcome
from telecine.core.emulator.control.messages import NewAccount, NewBot
from telecine.core.emulator.server import Emulator, EmulatorSettings
from telecine.core.emulator.telegram.entities import AdminRights, Content
from telecine.core.emulator.telegram.keys import ServerKey
from telecine.core.leases import VariantState
from telecine.core.protocol import ClaimRequest, Hello, ObjectReport, SettleDone, SourceReport
from telecine.core.quality import Quality
from telecine.core.worker.telegram.account import open_account
from telecine.core.worker.telegram.channels import Channels
from telecine.store import Store

BOT_TOKEN = "4242:AAtesttokenAAtesttokenAAtesttokenA1"
SECRET = "s" * 40
PHONES = {"ember": "15550001", "rora": "15550002"}
CATALOGUE = (
    film("cm:łódź", link("a1", Quality.FULL_HD), link("a2", Quality.HD), name="Łódź", year=2001),
    series("cm:wire", episode("e1", 1, 1, link("b1")), episode("e2", 1, 2, link("b2")), name="The Wire"),
    film("cm:long", link("c1", Quality.SD), name="Long One"),
    film("cm:late", link("d1", Quality.SD), name="Never Uploaded"),
)
PARTS = {"CM_M000003_480P": 3}  # the others are sent whole
ROWS = {
    "channels": "SELECT c.id, c.telegram_id, c.messages, a.name, a.telegram_user_id, a.premium "
    "FROM channels c JOIN accounts a ON a.id = c.account_id",
    "titles": "SELECT id, cm_id, kind, name, year FROM titles WHERE cm_id <> 'cm:late'",
    "episodes": "SELECT title_id, cm_id, name, season, episode, code_season, code_episode FROM episodes",
    "uploads": "SELECT code, title_id, quality, channel_id FROM upload_variants WHERE state = 'done'",
    "objects": "SELECT v.code, o.part_no, o.part_count, o.channel_id, o.message_id, a.name, o.size_bytes, o.sha256, "
    "o.duration_s, o.width_px, o.height_px FROM telegram_objects o JOIN upload_variants v ON v.id = o.variant_id "
    "JOIN accounts a ON a.id = o.account_id WHERE o.retired_at_ms IS NULL",
}


class Machine:
    """One of the machines: its settings, and the account that its worker is signed in with."""

    def __init__(self, name: str, folder: Path, telegram: TelegramSettings) -> None:
        self.name = name
        self.folder = folder
        self.session = folder / "worker.session"
        self.database = folder / "telecine.db"
        self._telegram = telegram

    def write_settings(self) -> None:
        claims = {"sub": f"worker-{self.name}", "account": f"cm-{self.name}"}
        (self.folder / "telecine.toml").write_text(
            f'[telegram]\napi_id = 1\napi_hash = "{"a" * 32}"\nserver = "{self._telegram.server}"\n'
            f'public_key = "{self._telegram.public_key}"\n'
            f'[coordinator]\nsecret = "{SECRET}"\ndatabase = "{self.database}"\n'
            f'[worker]\nname = "worker-{self.name}"\ncoordinator_url = "http://127.0.0.1:1"\n'
            f'token = "{jwt.encode(claims, SECRET)}"\nsession = "{self.session}"\n'
        )

    async def types(self, *words: str | Path) -> Said:
        return await asyncio.to_thread(run_program, ["-c", str(self.folder / "telecine.toml"), *map(str, words)])

    @asynccontextmanager
    async def uploader(self, store: Store) -> AsyncIterator[Uploader]:
        """Its worker says hello to a coordinator's store."""
        async with open_account(self._telegram, self.session, flood_wait_in_place_s=2) as account:
            facts = Hello("boot", "1.0", account.user_id, account.premium)
            name = f"cm-{self.name}"
            channels = Channels(account.client, SystemClock())
            for ref in await store.queue.hello(f"worker-{self.name}", name, facts, channels_wanted=1):
                await store.queue.channel_opened(f"worker-{self.name}", ref.id, await channels.open(ref, None))
            yield Uploader(store, f"worker-{self.name}", account.client, channels)


class Uploader:
    """Sends made-up files with the captions of real ones, and reports them."""

    def __init__(self, store: Store, worker: str, client: Any, channels: Channels) -> None:
        self._store = store
        self._worker = worker
        self._client = client
        self._channels = channels
        self._requests = itertools.count(1)

    async def uploads(self, origins: dict[int, Origin]) -> str:
        """What is next in the queue. Its code."""
        lease = await self._store.queue.claim(self._worker, ClaimRequest("boot", f"request-{next(self._requests)}"))
        assert lease is not None
        assert lease.channel.telegram_id is not None
        count = PARTS.get(lease.code, 1)
        variant = await self._store.catalogue.variant(lease.code)
        origin = origins[variant.episode_id or -variant.title_id]
        objects = []
        for number in range(1, count + 1):
            part = codes.PartCode(codes.parse_variant(lease.code), number, count)
            objects.append(await self._sends(part, origin, lease.channel.telegram_id))
        source = SourceReport(lease.sources[0].link_id, None)
        await self._store.queue.settle(self._worker, lease.lease, SettleDone(tuple(objects), (source,), "direct"))
        return lease.code

    async def _sends(self, part: codes.PartCode, origin: Origin, channel_id: int) -> ObjectReport:
        content, sha256 = str(part).encode(), f"{part.part_no:064x}"
        peer = await self._channels.peer(channel_id)
        message = await self._client.send_file(
            peer,
            content,
            caption=write(Caption(part, origin, sha256)),
            attributes=[
                types.DocumentAttributeFilename(f"{part}.mp4"),
                types.DocumentAttributeVideo(duration=61.5, w=1280, h=720, supports_streaming=True),
            ],
            mime_type="video/mp4",
            parse_mode=None,
        )
        return ObjectReport(
            part.part_no, part.part_count, channel_id, message.id, len(content), sha256, 61.5, 1280, 720
        )


@pytest.fixture
async def emulator(server_key: ServerKey) -> AsyncIterator[Emulator]:
    settings = EmulatorSettings(
        accounts=(
            NewAccount(phone=PHONES["ember"], name="ember", premium=True),
            NewAccount(phone=PHONES["rora"], name="rora"),
            NewAccount(phone="15550009", name="ada"),
        ),
        bots=(NewBot(token=BOT_TOKEN, username="telecine_bot"),),
    )
    async with Emulator(settings, key=server_key) as running:
        yield running


@pytest.fixture
async def machines(emulator: Emulator, tmp_path: Path) -> dict[str, Machine]:
    public_key = tmp_path / "server-public.pem"
    public_key.write_text(emulator.public_key_pem)
    host, port = emulator.mtproto_address
    telegram = TelegramSettings(api_id=1, api_hash="a" * 32, server=f"{host}:{port}", public_key=public_key)
    machines = {name: Machine(name, tmp_path / name, telegram) for name in PHONES}
    for name, machine in machines.items():
        machine.folder.mkdir()
        machine.write_settings()
        await sign_in_as(emulator, telegram, machine.session, PHONES[name])
    return machines


async def work(machines: dict[str, Machine], database: Path, *, of_ember: int, of_rora: int) -> None:
    """Import the catalogue into a database, and have both machines upload so much of it."""
    async with Store.open(database, clock=SystemClock()) as store:
        scene = Scene(store, HandClock(), database)
        await scene.imports(*CATALOGUE)
        origins = {-title_id: Origin(cm_id) for title_id, cm_id in scene.sql("SELECT id, cm_id FROM titles")}
        for episode_id, title, cm_id in scene.sql(
            "SELECT e.id, t.cm_id, e.cm_id FROM episodes e JOIN titles t ON t.id = e.title_id"
        ):
            origins[episode_id] = Origin(title, cm_id)
        for name, count in (("ember", of_ember), ("rora", of_rora)):
            if not count:
                continue
            async with machines[name].uploader(store) as uploader:
                for _ in range(count):
                    await uploader.uploads(origins)


def rows(database: Path) -> dict[str, list[Any]]:
    with closing(dbapi2.connect(str(database))) as raw:
        return {name: sorted(raw.execute(query), key=repr) for name, query in ROWS.items()}


def lose(machine: Machine) -> Path:
    """Take the database with all that lies beside it; where it is now."""
    away = machine.folder / "lost"
    away.mkdir()
    for path in machine.folder.glob("telecine.db*"):
        path.rename(away / path.name)
    return away / "telecine.db"


async def test_two_machines_channels_make_the_index_that_was_lost(
    machines: dict[str, Machine], emulator: Emulator
) -> None:
    main = machines["ember"]
    await work(machines, main.database, of_ember=3, of_rora=2)
    lost = lose(main)
    files = [main.folder / f"{name}.jsonl" for name in machines]
    for machine, file in zip(machines.values(), files, strict=True):
        said = await machine.types("rebuild", "collect", "--out", file)
        assert (said.status, said.err) == (0, "")
    said = await main.types("rebuild", "load", "--json", *files)
    assert said.status == 0
    assert {name: said.document[name] for name in ("accounts", "titles", "episodes", "uploads", "parts")} == {
        "accounts": 2,
        "titles": 3,
        "episodes": 2,
        "uploads": 5,
        "parts": 7,
    }
    async with Store.open(main.database, clock=SystemClock()) as store:
        scene = Scene(store, HandClock(), main.database)
        counts = await scene.imports(*CATALOGUE)
        assert (counts.titles_new, counts.links_new, counts.variants_new) == (1, 6, 1)
        assert rows(main.database) == rows(lost)
        ready = [one.code for one in await store.catalogue.variants(state=VariantState.READY)]
        assert ready == ["CM_M000004_480P"]
        async with main.uploader(store) as uploader:  # the old account goes on in its old channel
            assert await uploader.uploads({-4: Origin("cm:late")}) == "CM_M000004_480P"
        assert len(emulator.world.channels.all()) == 2


async def test_what_was_rebuilt_is_delivered_at_once_and_says_nothing_of_where_it_comes_from(
    machines: dict[str, Machine], emulator: Emulator
) -> None:
    main, world = machines["ember"], emulator.world
    await work(machines, main.database, of_ember=5, of_rora=0)
    lose(main)
    assert (await main.types("rebuild")).status == 0
    (bot_user,) = (world.directory.peer(peer) for peer in [int(BOT_TOKEN.partition(":")[0])])
    ada = world.directory.user_by_phone("15550009")
    assert bot_user is not None
    assert ada is not None
    for channel in world.channels.all():
        world.channels.set_admin(channel, channel.creator_id, bot_user.id, AdminRights(post_messages=True))
    world.messages.send(ada.id, bot_user.id, Content("/start"))
    session = AiohttpSession(api=TelegramAPIServer.from_base(emulator.bot_api_url))
    async with Bot(BOT_TOKEN, session=session) as bot, Store.open(main.database, clock=SystemClock()) as store:
        await Scene(store, HandClock(), main.database).imports(*CATALOGUE)
        desk = DeliveryDesk(store.shelf, store.operations, BotCourier(bot, protect_content=False), bot_id=bot_user.id)
        for code in ("CM_M000003_480P", "CM_S000002_S01E02_720P"):
            assert await desk.deliver(await desk.resolve(code), ada.id) is DeliveryOutcome.COPIED
    got = [m.content for m in reversed(world.messages.in_dialog(ada.id, bot_user.id)) if m.sender_id == bot_user.id]
    assert [content.text for content in got] == [
        *(f"Long One (1999) · 480p · part {number} of 3" for number in (1, 2, 3)),
        "The Wire (2001) · S01E02 · 720p",
    ]
    documents = [world.documents.find(content.document_id or 0) for content in got]
    assert [world.documents.read(one) for one in documents if one][-1] == b"CM_S000002_S01E02_720P"


async def test_a_worker_that_runs_and_a_database_in_use_are_left_alone(
    machines: dict[str, Machine], emulator: Emulator
) -> None:
    main = machines["ember"]
    await work(machines, main.database, of_ember=1, of_rora=0)
    before = rows(main.database)
    said = await main.types("rebuild")
    assert (said.status, "in use" in said.err) == (1, True)
    epoch = (main.folder / "telecine.db.epoch").read_text()
    await main.types("rebuild", "collect", "--out", main.folder / "ember.jsonl")
    said = await main.types("rebuild", "load", main.folder / "ember.jsonl")
    assert (said.status, "in use" in said.err) == (1, True)
    assert rows(main.database) == before
    assert (main.folder / "telecine.db.epoch").read_text() == epoch
    async with Store.open(main.folder / "other.db", clock=SystemClock()) as store, main.uploader(store):
        said = await main.types("rebuild", "collect", "--out", main.folder / "again.jsonl")
        assert (said.status, "another process" in said.err) == (2, True)


async def test_leases_of_before_do_not_hold_in_the_new_index(machines: dict[str, Machine]) -> None:
    main = machines["ember"]
    await work(machines, main.database, of_ember=2, of_rora=0)
    lost = lose(main)
    assert (await main.types("rebuild")).status == 0
    before, now = (int(path.with_name("telecine.db.epoch").read_text()) for path in (lost, main.database))
    assert now > before
    assert not (main.folder / "telecine.db.inventory").exists()


async def test_what_the_channels_hold_beside_uploads_is_shown(machines: dict[str, Machine], emulator: Emulator) -> None:
    main, world = machines["ember"], emulator.world
    await work(machines, main.database, of_ember=1, of_rora=0)
    (channel,) = world.channels.all()
    document = world.documents.store(b"part", "film.mp4", "video/mp4", None)
    for text, document_id in (("a remark", None), ("CM_M000009_720P_P01OF02", document.id)):
        world.messages.post(channel, channel.creator_id, Content(text, document_id=document_id))
    lose(main)
    said = await main.types("rebuild")
    assert said.status == 0
    assert ["uploads", "1,", "1", "incomplete", "beside", "them"] in said.lines
    assert ["unknown", "CM_C000001", "3", "a", "remark"] in said.lines
    assert "queues them again" in said.err


async def test_a_file_that_is_no_inventory_is_named(machines: dict[str, Machine]) -> None:
    main = machines["ember"]
    (main.folder / "films.csv").write_text("a,b\n")
    said = await main.types("rebuild", "load", main.folder / "films.csv")
    assert (said.status, "films.csv, line 1" in said.err) == (2, True)
    assert json.loads((await main.types("rebuild", "--json")).out)["uploads"] == 0
