"""Reading whole channels: every message once, in order, whatever Telegram does in between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.clocks import JumpingClock
from tests.core.worker.conftest import ACCOUNT, PHONE, SECOND_PHONE

from telecine.core.clock import Clock, SystemClock
from telecine.core.config import TelegramSettings
from telecine.core.emulator.faults import Disconnect, Flood, LostReply, RpcFailure
from telecine.core.emulator.server import Emulator
from telecine.core.emulator.telegram.entities import Channel, Content, User, VideoTrait, chat_id_of
from telecine.core.errors import TelegramError, UnavailableError
from telecine.core.inventory import FoundAccount, FoundChannel, FoundFile, FoundMessage, Inventory, open_inventory
from telecine.core.worker.telegram.account import Account, open_account
from telecine.core.worker.telegram.channels import Channels
from telecine.core.worker.telegram.scan import PAGE_PAUSE_S, PAGES_AT_ONCE, Scan, collect

HISTORY = "messages.getHistory"


class Shop:
    """Channels with messages in them, and the account that reads them."""

    def __init__(self, emulator: Emulator, account: Account, clock: Clock) -> None:
        self._world = emulator.world
        self.account = account
        self.scan = Scan(account, Channels(account.client, SystemClock()), clock)

    def user(self, phone: str) -> User:
        user = self._world.directory.user_by_phone(phone)
        assert user is not None
        return user

    def channel(self, title: str = "CM_C000001", phone: str = PHONE) -> Channel:
        return self._world.channels.create(self.user(phone).id, title)

    def post(self, channel: Channel, text: str, *, video: bool = True, file: bool = True) -> int:
        """The number of the new message."""
        trait = VideoTrait(61.5, 1920, 1080, supports_streaming=True) if video else None
        document = self._world.documents.store(text.encode(), "film.mp4", "video/mp4", trait) if file else None
        content = Content(text, document_id=document.id if document else None)
        return self._world.messages.post(channel, channel.creator_id, content).message.post_id

    async def read(self, channel: Channel, *, after: int = 0) -> list[FoundMessage]:
        return [message async for page in self.scan.pages(channel.id, after=after) for message in page]


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telecine.core.worker.telegram.scan.PAGE_MESSAGES", 3)


@pytest.fixture
async def shop(
    emulator: Emulator, telegram: TelegramSettings, session: Path, clock: JumpingClock
) -> AsyncIterator[Shop]:
    async with open_account(telegram, session, flood_wait_in_place_s=0) as account:
        yield Shop(emulator, account, clock)


async def test_every_message_is_read_once_and_the_oldest_first(shop: Shop) -> None:
    channel = shop.channel()
    sent = [(shop.post(channel, f"CM_M{number:06d}_720P"), f"CM_M{number:06d}_720P") for number in range(1, 9)]
    found = await shop.read(channel)
    assert [(message.message_id, message.text) for message in found] == sent
    assert {message.channel_id for message in found} == {channel.id}


async def test_what_telegram_keeps_of_a_file_is_told(shop: Shop) -> None:
    channel = shop.channel()
    shop.post(channel, "CM_M000001_720P")
    shop.post(channel, "CM_M000002_720P", video=False)
    shop.post(channel, "a remark", file=False)
    film, document, remark = await shop.read(channel)
    assert film.file == FoundFile(15, "video/mp4", 61.5, 1920, 1080)
    assert document.file == FoundFile(15, "video/mp4")
    assert remark.file is None
    assert film.sent_at_s > 1_600_000_000


async def test_a_channel_in_which_nothing_was_said_is_read_to_its_end(shop: Shop) -> None:
    assert await shop.read(shop.channel()) == []


async def test_reading_goes_on_behind_a_message(shop: Shop) -> None:
    channel = shop.channel()
    ids = [shop.post(channel, f"CM_M{number:06d}_720P") for number in range(1, 8)]
    assert [message.message_id for message in await shop.read(channel, after=ids[3])] == ids[4:]
    assert await shop.read(channel, after=ids[-1]) == []


async def test_deleted_messages_leave_gaps_that_do_not_end_the_channel(shop: Shop, emulator: Emulator) -> None:
    channel = shop.channel()
    ids = [shop.post(channel, f"CM_M{number:06d}_720P") for number in range(1, 12)]
    emulator.world.messages.delete(channel.creator_id, chat_id_of(channel.id), ids[1:9])
    assert [message.message_id for message in await shop.read(channel)] == [ids[0], *ids[9:]]


async def test_only_own_channels_with_coded_titles_are_storage(shop: Shop) -> None:
    second, first = shop.channel("CM_C000012"), shop.channel("CM_C000002")
    shop.channel("Holiday pictures")
    shop.channel("CM_C000003", SECOND_PHONE)
    assert await shop.scan.channels() == (FoundChannel(first.id, "CM_C000002"), FoundChannel(second.id, "CM_C000012"))


# ---- Telegram at its worst -----------------------------------------------------------------------


async def test_a_wait_that_telegram_asks_for_is_sat_out(shop: Shop, emulator: Emulator, clock: JumpingClock) -> None:
    channel = shop.channel()
    ids = [shop.post(channel, f"CM_M{number:06d}_720P") for number in range(1, 8)]
    emulator.faults.plan(Flood(method=HISTORY, after=1, seconds=400))
    assert [message.message_id for message in await shop.read(channel)] == ids
    assert clock.slept_s == [400]


@pytest.mark.parametrize("fault", [LostReply(method=HISTORY, after=1), Disconnect(method=HISTORY, after=1)])
async def test_a_connection_that_breaks_costs_no_message(
    shop: Shop, emulator: Emulator, fault: LostReply | Disconnect
) -> None:
    channel = shop.channel()
    ids = [shop.post(channel, f"CM_M{number:06d}_720P") for number in range(1, 8)]
    emulator.faults.plan(fault)
    assert [message.message_id for message in await shop.read(channel)] == ids


async def test_a_telegram_that_stays_silent_is_asked_again_after_longer_and_longer_and_then_given_up(
    shop: Shop, clock: JumpingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_: object) -> None:
        raise UnavailableError("no answer")

    monkeypatch.setattr("telecine.core.worker.telegram.scan.ask", silent)
    with pytest.raises(UnavailableError):
        await shop.read(shop.channel())
    assert clock.slept_s == [1, 2, 4, 8, 16]


async def test_what_telegram_refuses_is_not_tried_again(shop: Shop, emulator: Emulator, clock: JumpingClock) -> None:
    channel = shop.channel()
    emulator.faults.plan(RpcFailure(method=HISTORY, code=400, name="CHANNEL_PRIVATE"))
    with pytest.raises(TelegramError, match="CHANNEL_PRIVATE"):
        await shop.read(channel)
    assert not clock.slept_s


async def test_whoever_reads_much_leaves_telegram_some_air(shop: Shop, clock: JumpingClock) -> None:
    channel = shop.channel()
    for number in range(3 * (PAGES_AT_ONCE + 2)):
        shop.post(channel, f"CM_M{number + 1:06d}_720P", file=False)
    await shop.read(channel)
    assert set(clock.slept_s) == {PAGE_PAUSE_S}
    assert 2 <= len(clock.slept_s) <= 4


# ---- into a file ---------------------------------------------------------------------------------


async def test_all_channels_go_into_the_file_and_a_second_run_goes_on_where_the_first_broke_off(
    shop: Shop, emulator: Emulator, tmp_path: Path
) -> None:
    first, second = shop.channel("CM_C000001"), shop.channel("CM_C000002")
    sent = [(channel.id, shop.post(channel, f"CM_M{n:06d}_720P")) for channel in (first, second) for n in range(1, 9)]
    path, account = tmp_path / "ember.jsonl", FoundAccount(ACCOUNT, shop.account.user_id, premium=False)
    emulator.faults.plan(RpcFailure(method=HISTORY, after=5, code=400, name="CHANNEL_INVALID"))
    with pytest.raises(TelegramError), open_inventory(path, account) as file:
        await collect(shop.scan, file, on_page=lambda _: None)
    requests = emulator.world.stats.requests[HISTORY]
    pages: list[str] = []
    with open_inventory(path, account) as file:
        await collect(shop.scan, file, on_page=lambda channel: pages.append(channel.title))
    found = [one for one in Inventory(path).found() if isinstance(one, FoundMessage)]
    assert [(one.channel_id, one.message_id) for one in found] == sent
    assert pages == ["CM_C000002"] * len(pages)
    assert emulator.world.stats.requests[HISTORY] - requests < requests
