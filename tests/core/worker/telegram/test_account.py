from __future__ import annotations

import logging
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from tests.core.worker.conftest import PHONE, SECOND_PHONE, sign_in_as
from tests.core.worker.scripted import BOT_USERNAME

from telecine.core.clock import SystemClock
from telecine.core.config import TelegramSettings
from telecine.core.emulator.faults import Flood, LostReply, RpcFailure
from telecine.core.emulator.server import Emulator
from telecine.core.errors import ConfigError, FloodWaitError, InputError, TelegramError, UnavailableError
from telecine.core.plans import file_bytes_max
from telecine.core.protocol import ChannelRef
from telecine.core.worker.telegram.account import Account, open_account
from telecine.core.worker.telegram.calls import CHANNEL_LOST
from telecine.core.worker.telegram.channels import Channels
from telecine.core.worker.telegram.login import sign_in

REF, OTHER = ChannelRef(1, "CM_C000001"), ChannelRef(2, "CM_C000002")


@pytest.fixture
async def account(telegram: TelegramSettings, session: Path) -> AsyncIterator[Account]:
    async with open_account(telegram, session, flood_wait_in_place_s=2) as opened:
        yield opened


@pytest.fixture
def channels(account: Account) -> Channels:
    return Channels(account.client, SystemClock())


# ---- signing in ----------------------------------------------------------------------------------


async def test_signing_in_leaves_a_session_that_only_its_owner_reads(
    emulator: Emulator, telegram: TelegramSettings, tmp_path: Path
) -> None:
    signed_in = await sign_in_as(emulator, telegram, tmp_path / "new")
    assert (signed_in.name, signed_in.premium, signed_in.already) == ("Ember", False, False)
    assert stat.S_IMODE((tmp_path / "new.session").stat().st_mode) == 0o600


async def test_an_account_with_a_second_password_is_asked_for_it(
    emulator: Emulator, telegram: TelegramSettings, tmp_path: Path
) -> None:
    assert (await sign_in_as(emulator, telegram, tmp_path / "lukas", SECOND_PHONE)).premium
    async with open_account(telegram, tmp_path / "lukas", flood_wait_in_place_s=2) as account:
        assert account.file_bytes_max == file_bytes_max(premium=True)


@pytest.mark.parametrize(("wanted", "taken"), [(30_000_000, 30_000_000), (9 * 10**9, file_bytes_max(premium=False))])
async def test_an_owner_may_want_smaller_files_than_telegram_takes(
    telegram: TelegramSettings, session: Path, wanted: int, taken: int
) -> None:
    async with open_account(telegram, session, flood_wait_in_place_s=2, file_bytes_max=wanted) as account:
        assert account.file_bytes_max == taken


async def test_a_session_that_is_signed_in_already_asks_nothing(telegram: TelegramSettings, session: Path) -> None:
    async def never() -> str:
        raise AssertionError

    assert (await sign_in(telegram, session, phone=PHONE, ask_code=never, ask_password=never)).already


async def test_wrong_codes_are_refused_after_a_few_tries(telegram: TelegramSettings, tmp_path: Path) -> None:
    asked = 0

    async def wrong() -> str:
        nonlocal asked
        asked += 1
        return "00000"

    with pytest.raises(InputError, match="code"):
        await sign_in(telegram, tmp_path / "new", phone=PHONE, ask_code=wrong, ask_password=wrong)
    assert asked == 3


async def test_an_unknown_number_is_refused_by_name(telegram: TelegramSettings, tmp_path: Path) -> None:
    async def never() -> str:
        raise AssertionError

    with pytest.raises(InputError, match="4999"):
        await sign_in(telegram, tmp_path / "new", phone="4999", ask_code=never, ask_password=never)


# ---- opening an account --------------------------------------------------------------------------


async def test_an_opened_account_knows_itself(account: Account) -> None:
    assert account.user_id > 0
    assert not account.premium
    assert account.file_bytes_max == file_bytes_max(premium=False)


async def test_a_session_that_nobody_signed_in_says_how_to(telegram: TelegramSettings, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        async with open_account(telegram, tmp_path / "blank", flood_wait_in_place_s=2):
            pass
    assert "telecine login" in (caught.value.hint or "")


async def test_a_session_in_use_is_refused(account: Account, telegram: TelegramSettings, session: Path) -> None:
    with pytest.raises(ConfigError, match="another process"):
        async with open_account(telegram, session, flood_wait_in_place_s=2):
            pass


async def test_a_telegram_that_does_not_answer_is_unavailable(
    emulator: Emulator, telegram: TelegramSettings, session: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telecine.core.worker.telegram.account.CONNECT_RETRIES", 0)
    await emulator.mtproto.stop()
    with pytest.raises(UnavailableError):
        async with open_account(telegram, session, flood_wait_in_place_s=2):
            pass


async def test_a_key_file_that_holds_no_key_is_refused_by_name(telegram: TelegramSettings, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("nothing")
    with pytest.raises(ConfigError, match=r"wrong\.pem"):
        async with open_account(
            msgspec.structs.replace(telegram, public_key=wrong), tmp_path / "new", flood_wait_in_place_s=2
        ):
            pass


async def test_premium_that_lapses_is_noticed(
    account: Account, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    user = emulator.world.directory.user_by_phone(PHONE)
    assert user is not None
    user.premium = True
    await account.refresh()
    assert account.premium
    user.premium = False
    with caplog.at_level(logging.WARNING):
        await account.refresh()
    assert not account.premium
    assert "no longer Premium" in caplog.text


# ---- channels ------------------------------------------------------------------------------------


async def test_channels_are_opened_once_with_the_bot_in_charge(channels: Channels, emulator: Emulator) -> None:
    opened = [await channels.open(ref, BOT_USERNAME) for ref in (REF, OTHER)]
    again = [await channels.open(ref, BOT_USERNAME) for ref in (REF, OTHER)]
    assert again == opened
    world = emulator.world
    assert sorted(channel.title for channel in world.channels.all()) == ["CM_C000001", "CM_C000002"]
    for channel in world.channels.all():
        assert channel.id in opened
        (bot_id,) = channel.admins
        assert channel.admins[bot_id].post_messages


async def test_a_channel_that_a_crash_left_unreported_is_found_by_its_title(
    channels: Channels, emulator: Emulator, account: Account
) -> None:
    made = await channels.open(REF, None)
    fresh = Channels(account.client, SystemClock())
    assert await fresh.open(REF, BOT_USERNAME) == made
    assert await fresh.open(OTHER, BOT_USERNAME) != made
    assert len(emulator.world.channels.all()) == 2


async def test_a_channel_that_was_open_is_taken_by_its_id_whatever_it_is_called_now(
    channels: Channels, emulator: Emulator
) -> None:
    made = await channels.open(REF, None)
    channel = emulator.world.channels.find(made)
    assert channel is not None
    emulator.world.channels.retitle(channel, channel.creator_id, "Films")
    assert await channels.open(ChannelRef(1, REF.title, made), BOT_USERNAME) == made
    await channels.check(made)
    assert len(emulator.world.channels.all()) == 1


@pytest.mark.parametrize("known", [True, False], ids=["known", "not known"])
@pytest.mark.parametrize("deleted", [True, False], ids=["deleted", "banned"])
async def test_a_channel_that_was_open_and_is_lost_is_not_made_anew(
    channels: Channels, emulator: Emulator, known: bool, deleted: bool
) -> None:
    made = await channels.open(REF, None)
    world = emulator.world
    channel = world.channels.find(made)
    assert channel is not None
    if deleted:
        world.channels.delete(channel, channel.creator_id)
    else:
        world.channels.ban(channel, channel.creator_id)
    if not known:
        channels.forget(made)
    for use in (channels.check(made), channels.open(ChannelRef(1, REF.title, made), BOT_USERNAME)):
        with pytest.raises(TelegramError) as caught:
            await use
        assert caught.value.name in CHANNEL_LOST
    assert len(world.channels.all()) == (0 if deleted else 1)


async def test_a_lost_answer_to_the_creation_leaves_one_channel(channels: Channels, emulator: Emulator) -> None:
    emulator.faults.plan(LostReply(method="channels.createChannel"))
    await channels.open(REF, BOT_USERNAME)
    assert [channel.title for channel in emulator.world.channels.all()] == ["CM_C000001"]


async def test_a_foreign_channel_is_no_peer(channels: Channels) -> None:
    with pytest.raises(TelegramError, match="not among"):
        await channels.peer(2_000_000_000_000)


async def test_a_long_wait_comes_up_with_its_seconds(channels: Channels, emulator: Emulator) -> None:
    emulator.faults.plan(Flood(method="channels.createChannel", seconds=300))
    with pytest.raises(FloodWaitError) as caught:
        await channels.open(REF, None)
    assert caught.value.seconds == 300
    assert caught.value.request == "channels.createChannel"


async def test_a_refusal_keeps_telegrams_own_name(channels: Channels, emulator: Emulator) -> None:
    emulator.faults.plan(RpcFailure(method="channels.createChannel", code=400, name="CHANNELS_TOO_MUCH"))
    with pytest.raises(TelegramError) as caught:
        await channels.open(REF, None)
    assert caught.value.name == "CHANNELS_TOO_MUCH"


async def test_an_unknown_bot_is_named(channels: Channels) -> None:
    with pytest.raises(TelegramError, match=r"USERNAME|nobody_bot"):
        await channels.open(REF, "nobody_bot")
