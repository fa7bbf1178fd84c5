from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiogram import Bot, Dispatcher, F
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.filters import CommandStart
from aiogram.types import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup, Message
from telethon import TelegramClient, events
from telethon.errors import FloodWaitError
from telethon.sessions import StringSession
from telethon.tl import functions, types

from telecine.core.emulator.cm.content import Table
from telecine.core.emulator.control.client import EmulatorControl
from telecine.core.emulator.control.messages import NewAccount, NewBot
from telecine.core.emulator.faults import Flood
from telecine.core.emulator.server import Emulator, EmulatorSettings
from telecine.core.emulator.telegram.keys import ServerKey
from telecine.core.errors import ConfigError, StoreError

TOKEN = "700001:AAbot"
ACCOUNTS = (
    NewAccount(phone="15550001", name="ada"),
    NewAccount(phone="15550002", name="cm-ember", premium=True),
)
FILM = bytes(range(256)) * 5000  # 1.28 MB: three parts


@pytest.fixture
async def emulator(server_key: ServerKey) -> AsyncIterator[Emulator]:
    bots = (NewBot(token=TOKEN, username="telecine_bot"),)
    settings = EmulatorSettings(accounts=ACCOUNTS, bots=bots)
    async with Emulator(settings, key=server_key) as emulator:
        yield emulator


@asynccontextmanager
async def signed_in(emulator: Emulator, phone: str) -> AsyncIterator[Any]:
    """An unmodified Telethon client, signed in with the code that the control API tells."""
    session = StringSession()
    session.set_dc(2, *emulator.mtproto_address)
    client = TelegramClient(session, 1, "hash")
    await client.connect()
    try:
        await client.send_code_request(phone)
        async with EmulatorControl(emulator.control_url) as control:
            await client.sign_in(phone, await control.login_code(phone))
        yield client
    finally:
        await client.disconnect()


@asynccontextmanager
async def polling(emulator: Emulator, dispatcher: Dispatcher) -> AsyncIterator[Bot]:
    """An unmodified aiogram bot at work."""
    bot = Bot(TOKEN, session=AiohttpSession(api=TelegramAPIServer.from_base(emulator.bot_api_url)))
    task = asyncio.create_task(
        dispatcher.start_polling(bot, handle_signals=False, polling_timeout=5, close_bot_session=True)
    )
    try:
        yield bot
    finally:
        await dispatcher.stop_polling()
        await task


async def storage_channel(uploader: Any) -> Any:
    """A private channel with the bot as its administrator."""
    made = await uploader(functions.channels.CreateChannelRequest("Storage", "", broadcast=True))
    rights = types.ChatAdminRights(post_messages=True, edit_messages=True, delete_messages=True)
    await uploader(functions.channels.EditAdminRequest(made.chats[0], "telecine_bot", rights, ""))
    return made.chats[0]


async def upload_film(uploader: Any, channel: Any, code: str) -> Any:
    """Post a film as a worker's account would."""
    file = await uploader.upload_file(FILM, file_name=f"{code}.mp4")
    attributes = [
        types.DocumentAttributeVideo(duration=60, w=1920, h=1080, supports_streaming=True),
        types.DocumentAttributeFilename(f"{code}.mp4"),
    ]
    return await uploader.send_file(channel, file, caption=code, attributes=attributes, mime_type="video/mp4")


def film_bot(file_ids: dict[str, str], learned: asyncio.Event) -> Dispatcher:
    """A bot that learns file ids from channel posts and sends what is asked for by button. `learned`: it has one."""
    dispatcher = Dispatcher()

    @dispatcher.channel_post(F.video)
    async def learn(post: Message) -> None:
        assert post.video is not None
        file_ids[post.caption or ""] = post.video.file_id
        learned.set()

    @dispatcher.message(CommandStart())
    async def start(message: Message) -> None:
        rows = [[InlineKeyboardButton(text=code, callback_data=f"send:{code}")] for code in file_ids]
        await message.answer("Choose", reply_markup=InlineKeyboardMarkup(inline_keyboard=rows))

    @dispatcher.callback_query()
    async def send(query: CallbackQuery) -> None:
        code = (query.data or "").removeprefix("send:")
        await query.answer(f"Sending {code}")
        assert isinstance(query.message, Message)
        await query.message.answer_video(file_ids[code], caption=code)

    return dispatcher


async def test_film_goes_from_an_account_to_a_user_by_file_id(emulator: Emulator) -> None:
    file_ids: dict[str, str] = {}
    learned = asyncio.Event()
    async with (
        polling(emulator, film_bot(file_ids, learned)),
        signed_in(emulator, "15550002") as uploader,
        signed_in(emulator, "15550001") as user,
    ):
        channel = await storage_channel(uploader)
        await upload_film(uploader, channel, "CM_M000001_1080P")
        async with asyncio.timeout(10):
            await learned.wait()

        received: asyncio.Queue[Any] = asyncio.Queue()
        user.add_event_handler(received.put, events.NewMessage(incoming=True))
        await user.send_message("telecine_bot", "/start")
        menu = await asyncio.wait_for(received.get(), 10)
        answer = await menu.click(0)
        assert answer.message == "Sending CM_M000001_1080P"
        film = await asyncio.wait_for(received.get(), 10)
        assert film.message.message == "CM_M000001_1080P"
        assert await user.download_media(film.message, bytes) == FILM

    async with EmulatorControl(emulator.control_url) as control:
        (storage,) = await control.channels()
        (post,) = await control.channel_messages(storage.chat_id)
        assert (post.text, post.size_bytes) == ("CM_M000001_1080P", len(FILM))
        stats = await control.stats()
        assert stats.requests["messages.sendMedia"] == 1
        assert stats.requests["bot.sendVideo"] == 1


async def test_user_sees_the_bot_edit_and_delete_its_message(emulator: Emulator) -> None:
    dispatcher = Dispatcher()

    @dispatcher.message(F.text)
    async def answer(message: Message) -> None:
        sent = await message.answer("searching")
        edited = await sent.edit_text("found <b>it</b>", parse_mode="HTML")
        assert isinstance(edited, Message)
        await edited.delete()

    async with polling(emulator, dispatcher), signed_in(emulator, "15550001") as user:
        seen: asyncio.Queue[tuple[str, object]] = asyncio.Queue()

        async def keep(event: Any) -> None:
            text = None if isinstance(event, events.MessageDeleted.Event) else event.raw_text
            await seen.put((type(event).__qualname__, text))

        for kind in (events.NewMessage(incoming=True), events.MessageEdited(), events.MessageDeleted()):
            user.add_event_handler(keep, kind)
        await user.send_message("telecine_bot", "night train")
        assert [await asyncio.wait_for(seen.get(), 10) for _ in range(3)] == [
            ("NewMessage.Event", "searching"),
            ("MessageEdited.Event", "found it"),
            ("MessageDeleted.Event", None),
        ]


async def test_faults_planned_from_outside_reach_the_account_they_are_for(emulator: Emulator) -> None:
    async with (
        signed_in(emulator, "15550002") as uploader,
        signed_in(emulator, "15550001") as other,
        EmulatorControl(emulator.control_url) as control,
    ):
        await control.plan(Flood(account="cm-ember", method="messages.*", seconds=100))
        await other.get_dialogs()
        with pytest.raises(FloodWaitError) as caught:
            await uploader.get_dialogs()
        assert caught.value.seconds == 100
        await control.change_salt()
        (me,) = await uploader(functions.users.GetUsersRequest([types.InputUserSelf()]))
        assert me.premium
        assert await control.drop_connections("cm-ember") == 1
        (me,) = await uploader(functions.users.GetUsersRequest([types.InputUserSelf()]))
        assert me.phone == "15550002"


async def test_everything_survives_a_restart(tmp_path: Path, server_key: ServerKey) -> None:
    bots = (NewBot(token=TOKEN, username="telecine_bot"),)
    settings = EmulatorSettings(data_dir=tmp_path, accounts=ACCOUNTS, bots=bots)
    async with Emulator(settings, key=server_key) as before:
        async with signed_in(before, "15550002") as uploader:
            channel = await storage_channel(uploader)
            await upload_film(uploader, channel, "CM_M000001_1080P")
        before.cm.catalogue.add(Table.TITLES, {"name": "Kept", "kind": "movie"})
        first = await file_id_of_post(before)
    async with Emulator(settings, key=server_key) as after:
        assert await file_id_of_post(after) == first
        assert [title.name for title in after.cm.catalogue.content().titles] == ["Kept"]
        assert len(after.world.directory.users()) == 2


async def test_folder_in_use_is_refused_until_it_is_free(tmp_path: Path, server_key: ServerKey) -> None:
    settings = EmulatorSettings(data_dir=tmp_path)
    async with Emulator(settings, key=server_key):
        with pytest.raises(ConfigError, match="another emulator keeps its state there"):
            Emulator(settings, key=server_key)
    async with Emulator(settings, key=server_key):
        pass


async def test_port_in_use_is_named_and_leaves_nothing_behind(tmp_path: Path, server_key: ServerKey) -> None:
    async with Emulator(EmulatorSettings(), key=server_key) as first:
        taken = int(first.http_url.rpartition(":")[2])
        settings = EmulatorSettings(data_dir=tmp_path, http_port=taken)
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{taken}: Address already in use"):
            await Emulator(settings, key=server_key).__aenter__()
    async with Emulator(settings, key=server_key) as second:
        assert second.http_url == f"http://127.0.0.1:{taken}"


async def test_address_of_another_machine_is_named(server_key: ServerKey) -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1:0: .+"):  # why: in each Python's own words
        await Emulator(EmulatorSettings(host="192.0.2.1"), key=server_key).__aenter__()


@pytest.mark.parametrize("name", ["world.msgpack", "cm.json", "server-key.pem"])
def test_damaged_state_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("damaged")
    for _ in range(2):  # the folder is not held by the one that failed
        with pytest.raises(StoreError, match=name):
            Emulator(EmulatorSettings(data_dir=tmp_path))


async def file_id_of_post(emulator: Emulator) -> str:
    """The bot's file id of the only channel post, taken from its queue without confirming it."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{emulator.bot_api_url}/bot{TOKEN}/getUpdates") as response,
    ):
        updates = (await response.json())["result"]
    (post,) = [update["channel_post"] for update in updates if "channel_post" in update]
    return str(post["video"]["file_id"])


async def test_content_file_fills_cm_and_links_point_at_the_source_host(tmp_path: Path, server_key: ServerKey) -> None:
    (tmp_path / "film.mkv").write_bytes(b"film")
    content = tmp_path / "cm.json"
    content.write_text(
        '{"titles":[{"id":1,"name":"Film","kind":"movie","links":[{"id":1,"url":"{media_url}/film.mkv"}]}]}'
    )
    settings = EmulatorSettings(media_dir=tmp_path, cm_content_path=content)
    async with Emulator(settings, key=server_key) as emulator, aiohttp.ClientSession() as http:
        login = {"email": settings.cm_credentials.email, "password": settings.cm_credentials.password}
        async with http.post(f"{emulator.cm_url}/auth/login", json=login) as response:
            token = (await response.json())["data"]["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{emulator.cm_url}/items/titles?fields=*,links.*"
        async with http.get(url, headers=headers) as response:
            link = (await response.json())["data"][0]["links"][0]["url"]
        assert link.startswith(emulator.media_url)
        async with http.get(link) as response:
            assert await response.read() == b"film"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "cannot be read"),
        ("{broken", "is not a CM content document"),
        ('{"titles":[{"id":1}]}', "is not a CM content document"),
        (
            '{"titles":[{"id":1,"name":"a","kind":"movie"},{"id":1,"name":"b","kind":"movie"}]}',
            "has the id 1 twice",
        ),
    ],
)
def test_bad_content_file_is_named(tmp_path: Path, server_key: ServerKey, text: str | None, complaint: str) -> None:
    content = tmp_path / "cm.json"
    if text is not None:
        content.write_text(text)
    with pytest.raises(ConfigError, match=f"cm.json.*{complaint}"):
        Emulator(EmulatorSettings(cm_content_path=content), key=server_key)
