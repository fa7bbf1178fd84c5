from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from telecine.core.clock import SystemClock
from telecine.core.emulator.cm.auth import CmCredentials
from telecine.core.emulator.cm.content import CmContent, CmKind, CmLink, CmTitle, Table
from telecine.core.emulator.cm.service import Cm
from telecine.core.emulator.control.client import EmulatorControl
from telecine.core.emulator.faults import BotLimits, Faults, Flood, Line, LostReply
from telecine.core.emulator.http_half import HttpHalf
from telecine.core.emulator.sources.faults import SourceFault, SourceFaultKind
from telecine.core.emulator.sources.host import SourceHost
from telecine.core.emulator.telegram.entities import AdminRights, Content, VideoTrait
from telecine.core.emulator.telegram.refusals import RefusalError
from telecine.core.emulator.telegram.world import World
from telecine.core.errors import ConflictError, InputError, NotFoundError, UnavailableError

CONTENT = CmContent(
    titles=(CmTitle(id=1, name="Night Train", kind=CmKind.MOVIE, links=(CmLink(id=1, url="{media_url}/film.mkv"),)),)
)


class Recorded:
    """Stands where the MTProto server is and keeps what it is asked."""

    def __init__(self) -> None:
        self.dropped: list[str | None] = []
        self.salts = 0

    def drop_connections(self, account: str | None = None) -> int:
        self.dropped.append(account)
        return 2

    def change_salt(self) -> None:
        self.salts += 1


class Emulated:
    """Everything behind the control API, and a client in front of it."""

    def __init__(self, media_dir: Path) -> None:
        clock = SystemClock()
        self.world, self.faults, self.connections = World.open(), Faults(), Recorded()
        self.cm = Cm(CmCredentials(), self.faults, clock)
        self.sources = SourceHost(media_dir, clock)
        self.half = HttpHalf(self.world, self.faults, clock, self.connections, self.cm, self.sources)


@pytest.fixture
async def emulated(tmp_path: Path) -> AsyncIterator[Emulated]:
    (tmp_path / "film.mkv").write_bytes(b"film")
    emulated = Emulated(tmp_path)
    await emulated.half.start("127.0.0.1", 0)
    yield emulated
    await emulated.half.stop()


@pytest.fixture
async def control(emulated: Emulated) -> AsyncIterator[EmulatorControl]:
    async with EmulatorControl(emulated.half.addresses().control_url) as control:
        yield control


async def test_accounts_and_bots_are_added_and_shown(control: EmulatorControl, emulated: Emulated) -> None:
    account = await control.add_account("+1 555 0001", "cm-ember", premium=True, password="two-factor")
    assert (account.phone, account.premium, account.has_password) == ("15550001", True, True)
    assert not (await control.set_premium("cm-ember", premium=False)).premium
    bot = await control.add_bot("42:secret", "telecine_bot")
    state = await control.state()
    assert [one.name for one in state.accounts] == ["cm-ember"]
    assert [one.id for one in state.bots] == [bot.id] == [42]
    assert state.addresses.cm_url == f"{emulated.half.url}/cm"


async def test_what_is_taken_is_a_conflict(control: EmulatorControl) -> None:
    await control.add_account("15550001", "cm-ember")
    with pytest.raises(ConflictError) as caught:
        await control.add_account("15550002", "cm-ember")
    assert caught.value.field == "phone"
    await control.add_bot("42:secret", "telecine_bot")
    with pytest.raises(ConflictError):
        await control.add_bot("42:other", "another_bot")


async def test_account_blocks_a_bot_and_lets_it_write_again(control: EmulatorControl, emulated: Emulated) -> None:
    account = await control.add_account("15550001", "ada")
    await control.add_bot("42:secret", "telecine_bot")
    (bot,) = emulated.world.directory.bots()
    await control.block_bot("telecine_bot", "ada")
    assert bot.blocked_by == {account.id}
    await control.block_bot("telecine_bot", "ada", blocked=False)
    assert bot.blocked_by == set()
    with pytest.raises(NotFoundError, match="no bot @nobody"):
        await control.block_bot("nobody", "ada")


@pytest.mark.parametrize("token", ["secret", "42", "42:", ":secret", "²:secret"])
async def test_token_of_no_bot_is_refused(control: EmulatorControl, token: str) -> None:
    with pytest.raises(InputError, match="a bot token looks like") as caught:
        await control.add_bot(token, "telecine_bot")
    assert caught.value.field == "token"


async def test_login_code_is_there_once_sent(control: EmulatorControl, emulated: Emulated) -> None:
    await control.add_account("15550001", "cm-ember")
    with pytest.raises(NotFoundError, match="no code was sent to 15550001"):
        await control.login_code("15550001")
    emulated.world.directory.send_code("15550001")
    assert await control.login_code("+15550001") == emulated.world.login_code("15550001")


async def test_faults_are_planned_counted_and_cleared(control: EmulatorControl, emulated: Emulated) -> None:
    flood = Flood(account="cm-ember", method="messages.sendMedia", seconds=4)
    await control.plan(flood, LostReply(count=2))
    assert emulated.faults.take_flood("messages.sendMedia", "cm-ember") == "FLOOD_WAIT_4"
    assert await control.planned() == [LostReply(count=2)]
    assert (await control.stats()).faults_taken == {"flood": 1}
    await control.clear_faults()
    assert await control.planned() == []


async def test_lines_and_bot_limits_are_set(control: EmulatorControl, emulated: Emulated) -> None:
    await control.set_line("cm-ember", Line(latency_s=0.2, bandwidth_bytes_per_s=1e6))
    await control.set_line(None, Line(latency_s=0.1))
    assert emulated.faults.latency_s("cm-ember") == 0.2
    assert emulated.faults.latency_s("cm-rora") == 0.1
    assert {one.account: one.line.latency_s for one in await control.lines()} == {"cm-ember": 0.2, None: 0.1}
    await control.set_bot_limits(BotLimits(overall_per_s=5))
    assert emulated.faults.bot_limits == await control.bot_limits() == BotLimits(overall_per_s=5)
    await control.set_bot_limits(None)
    assert emulated.faults.bot_limits is None


async def test_connections_salt_and_parts_reach_the_mtproto_server(
    control: EmulatorControl, emulated: Emulated
) -> None:
    assert await control.drop_connections("cm-ember") == 2
    await control.drop_connections()
    await control.change_salt()
    assert (emulated.connections.dropped, emulated.connections.salts) == (["cm-ember", None], 1)
    user = emulated.world.add_user("15550001", "cm-ember")
    emulated.world.uploads.save_big_part(user, 7, 0, -1, bytes(1024))
    assert await control.expire_parts() == 1


async def test_channels_list_their_messages_with_digests(control: EmulatorControl, emulated: Emulated) -> None:
    world = emulated.world
    user, bot = world.add_user("15550001", "cm-ember"), world.add_bot("42:secret", "telecine_bot")
    channel = world.channels.create(user.id, "Storage")
    world.channels.set_admin(channel, user.id, bot.id, AdminRights(post_messages=True))
    film = world.documents.store(b"film", "film.mp4", "video/mp4", VideoTrait(1, 2, 3))
    world.messages.post(channel, user.id, Content("CM_M000001_1080P", document_id=film.id))
    world.messages.post(channel, user.id, Content("a note"))
    (shown,) = await control.channels()
    assert (shown.title, shown.creator, shown.messages) == ("Storage", "cm-ember", 2)
    assert shown.bots == ("telecine_bot",)
    first, second = await control.channel_messages(shown.chat_id, digest=True)
    assert (first.text, first.size_bytes, first.document_kind) == ("CM_M000001_1080P", 4, "video")
    assert first.sha256 == hashlib.sha256(b"film").hexdigest()
    assert (second.text, second.document_id, second.sha256) == ("a note", None, None)
    assert (await control.channel_messages(shown.chat_id))[0].sha256 is None
    assert first.document_id is not None
    assert await control.document(first.document_id) == b"film"


async def test_a_banned_account_hears_nothing_of_its_own_channel_until_it_is_let_in(
    control: EmulatorControl, emulated: Emulated
) -> None:
    world = emulated.world
    user = world.add_user("15550001", "cm-ember")
    channel = world.channels.create(user.id, "Storage")
    await control.ban(channel.chat_id, "cm-ember")
    with pytest.raises(RefusalError, match="CHANNEL_PRIVATE"):
        world.channels.check_may_post(channel, user.id)
    assert world.channels.of(user.id) == []
    await control.ban(channel.chat_id, "cm-ember", banned=False)
    world.channels.check_may_post(channel, user.id)
    with pytest.raises(NotFoundError):
        await control.ban(channel.chat_id, "nobody")


async def test_a_deleted_channel_is_gone_with_its_messages(control: EmulatorControl, emulated: Emulated) -> None:
    world = emulated.world
    user = world.add_user("15550001", "cm-ember")
    channel = world.channels.create(user.id, "Storage")
    posted = world.messages.post(channel, user.id, Content("a note"))
    await control.delete_channel(channel.chat_id)
    assert await control.channels() == []
    assert world.messages.by_key(posted.message.key) is None
    with pytest.raises(NotFoundError):
        await control.delete_channel(channel.chat_id)


async def test_cm_content_is_replaced_and_edited(control: EmulatorControl, emulated: Emulated) -> None:
    await control.replace_cm_content(CONTENT)
    assert (await control.cm_content()).titles[0].links[0].url == "{media_url}/film.mkv"
    added = await control.add_cm_row(Table.LINKS, url="http://host/2.mkv", title_id=1, quality="720p")
    edited = await control.edit_cm_row(Table.TITLES, 1, year=1999)
    assert (added["id"], edited["year"]) == (2, 1999)
    assert edited["date_updated"]
    await control.delete_cm_row(Table.LINKS, 1)
    (title,) = (await control.cm_content()).titles
    assert ([link.id for link in title.links], title.year) == ([2], 1999)


async def test_cm_tokens_end_on_demand(control: EmulatorControl, emulated: Emulated) -> None:
    credentials = CmCredentials()
    tokens = emulated.cm.auth.login(credentials.email, credentials.password)
    await control.expire_cm_tokens()
    assert emulated.cm.auth.state.expired_up_to == 1
    assert tokens.refresh_token in emulated.cm.auth.state.refresh_until_ms
    await control.expire_cm_tokens(refresh=True)
    assert not emulated.cm.auth.state.refresh_until_ms


async def test_source_faults_are_set_and_requests_counted(control: EmulatorControl, emulated: Emulated) -> None:
    fault = SourceFault(kind=SourceFaultKind.DEAD, status=410)
    await control.set_source_faults("film.mkv", fault)
    assert await control.source_faults() == {"film.mkv": [fault]}
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{emulated.half.addresses().media_url}/film.mkv") as response:
            assert response.status == 410
        await control.clear_source_faults()
        async with http.get(f"{emulated.half.addresses().media_url}/film.mkv") as response:
            assert await response.read() == b"film"
    count = (await control.stats()).sources["film.mkv"]
    assert (count.requests, count.bytes_sent, count.open_requests) == (2, 4, 0)


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/accounts", b'{"phone":"1555"}', "name"),
        ("POST", "/accounts", b'{"phone":"1555","name":"a","age":3}', "age"),
        ("POST", "/accounts", b'{"phone":"none","name":"a"}', "phone"),
        ("POST", "/accounts", b'{"phone":"1555","name":""}', "name"),
        ("POST", "/bots", b'{"token":"nonsense","username":"b"}', "token"),
        ("POST", "/faults", b'[{"kind":"flood"}]', "[0].seconds"),
        ("POST", "/faults", b'[{"kind":"flood","seconds":-1}]', "[0].seconds"),
        ("POST", "/faults", b'[{"kind":"meteor"}]', "[0].kind"),
        ("PUT", "/lines", b'{"line":{"latency_s":-1}}', "line.latency_s"),
        ("PUT", "/lines", b'{"line":{"bandwidth_bytes_per_s":0}}', "line.bandwidth_bytes_per_s"),
        ("PUT", "/bot-limits", b"{}", "limits"),
        ("PUT", "/sources/faults", b'[{"path":"a","faults":[{"kind":"rotten"}]}]', "[0].faults[0].kind"),
        ("PUT", "/cm/content", b'{"titles":[{"id":"one"}]}', "titles[0].id"),
        ("PUT", "/cm/content", b'{"titles":[{"id":1,"name":"x","kind":"opera"}]}', "titles[0].kind"),
        ("POST", "/cm/titles", b'{"name":"x"}', "titles"),
        ("PATCH", "/accounts/nobody", b"{}", "account"),
        ("GET", "/channels/abc/messages", b"", "chat_id"),
        ("POST", "/accounts", b"not json", None),
        ("PUT", "/cm/people", b"{}", None),
    ],
)
async def test_bad_input_is_refused_naming_the_field(
    emulated: Emulated, method: str, path: str, body: bytes, field: str | None
) -> None:
    url = emulated.half.addresses().control_url + path
    async with aiohttp.ClientSession() as http, http.request(method, url, data=body) as response:
        assert 400 <= response.status < 500
        failure = await response.json()
    assert failure["field"] == field
    assert failure["message"]
    assert emulated.world.directory.users() == []
    assert emulated.faults.planned() == []


async def test_bad_input_reaches_the_client_as_an_input_error(control: EmulatorControl) -> None:
    with pytest.raises(InputError) as caught:
        await control.add_account("none", "a")
    assert caught.value.field == "phone"
    with pytest.raises(NotFoundError):
        await control.channel_messages(-1001)
    with pytest.raises(NotFoundError):
        await control.edit_cm_row(Table.LINKS, 99, quality="1080p")


async def test_client_says_when_nobody_answers() -> None:
    async with EmulatorControl("http://127.0.0.1:9/_emulator") as control:
        with pytest.raises(UnavailableError, match="does not answer"):
            await control.state()
