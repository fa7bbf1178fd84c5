"""An account of the embedded Telegram, ready to send."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.core.worker.scripted import BOT_USERNAME
from tests.core.worker.telegram.desk import IN_PLACE_S, Desk

from telecine.core.clock import SystemClock
from telecine.core.config import TelegramSettings
from telecine.core.protocol import ChannelRef
from telecine.core.worker.journal import Journal
from telecine.core.worker.telegram.account import open_account
from telecine.core.worker.telegram.channels import Channels


@pytest.fixture
async def desk(telegram: TelegramSettings, session: Path, tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_account(telegram, session, flood_wait_in_place_s=IN_PLACE_S) as account:
        channels = Channels(account.client, SystemClock())
        opened = await channels.open(ChannelRef(1, "CM_C000001"), BOT_USERNAME)
        with Journal(tmp_path / "ember.journal") as journal:
            desk = Desk(account, channels, opened, journal)
            yield desk
            await desk.lines.close()
