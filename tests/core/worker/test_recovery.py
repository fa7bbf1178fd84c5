"""A message that Telegram has taken but posts later, for which the embedded Telegram has no patience."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from telethon.tl import types
from tests.core.worker.scripted import TOKEN, Coordinator

from telecine.core.clock import SystemClock
from telecine.core.errors import TelegramError
from telecine.core.protocol import SettleDone, SourceReport
from telecine.core.worker.coordinator import CoordinatorClient
from telecine.core.worker.journal import Journal, Sending, UnsentObject
from telecine.core.worker.recovery import Recovery, Resolution
from telecine.core.worker.telegram.channels import StoredMessage
from telecine.core.worker.telegram.engine import UploadedFile
from telecine.core.worker.telegram.sending import Film, Parcel, Post

CODE = "CM_M000321_1080P"
FILE = UploadedFile(file_id=1, name="film.mp4", size_bytes=10, digests=(b"d",))
PARCEL = Parcel(500, CODE, FILE, "film.mp4", "video/mp4", Film(2.0, 1920, 1080, has_audio=True))
POSTED = StoredMessage(7, CODE, 10, "film.mp4", "video/mp4", is_video=True)


class Converting:
    """Telegram while it converts: takes the message as a scheduled one, posts it when `done`."""

    def __init__(self) -> None:
        self.done = False
        self.deleted: list[int] = []
        self.asked = asyncio.Event()

    @property
    def sender(self) -> Converting:
        return self

    async def send(self, request: Any) -> Any:
        number = request.query.random_id
        message = types.Message(id=99, peer_id=types.PeerChannel(500), date=None, message=CODE)
        updates = [types.UpdateMessageID(99, number), types.UpdateNewScheduledMessage(message)]
        return types.Updates(updates, [], [], None, 0)

    async def peer(self, channel_id: int) -> Any:
        return types.InputPeerChannel(channel_id, 0)

    async def find(self, channel_id: int, caption: str, *, after: int) -> StoredMessage | None:
        self.asked.set()
        return POSTED if self.done and (channel_id, caption) == (500, CODE) and after < 7 else None

    async def delete(self, channel_id: int, message_id: int) -> None:
        self.deleted.append(message_id)


@pytest.fixture
def telegram() -> Any:
    return Converting()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "ember.journal") as opened:
        yield opened


@pytest.fixture
async def recovery(
    telegram: Any, journal: Journal, coordinator: Coordinator, web_session: aiohttp.ClientSession
) -> Recovery:
    return Recovery(telegram, journal, CoordinatorClient(web_session, coordinator.url, TOKEN, SystemClock()))


async def send(telegram: Any, journal: Journal, lease: str) -> StoredMessage:
    report = UnsentObject(1, 1, 500, 0, FILE.size_bytes, FILE.sha256)
    sending = Sending(lease, "boot", CODE, CODE, 0, 3, report, "direct", (SourceReport(1, None),))
    post = Post(telegram, telegram, journal, SystemClock(), flood_wait_in_place_s=1)
    return await post.send(PARCEL, sending, generation=0, resend=cast("Any", None))


async def cut_off(telegram: Any, journal: Journal, lease: str) -> None:
    """Send, and die while the message is being converted."""
    sending = asyncio.create_task(send(telegram, journal, lease))
    await telegram.asked.wait()
    sending.cancel()
    await asyncio.wait([sending])


async def test_a_message_that_is_posted_late_is_waited_for(
    telegram: Any, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telecine.core.worker.telegram.sending.PUBLISH_PAUSE_S", 0.01)
    sending = asyncio.create_task(send(telegram, journal, "1.1.1"))
    await telegram.asked.wait()
    telegram.done = True
    assert await sending == POSTED
    assert journal.postings("1.1.1")[0].message_id == 7


async def test_what_is_not_posted_yet_stays_open_across_a_crash(
    telegram: Any, journal: Journal, recovery: Recovery, tmp_path: Path
) -> None:
    await cut_off(telegram, journal, "1.1.1")
    with pytest.raises(TelegramError, match="not posted it yet"):
        await recovery.resolve("1.1.1")
    await recovery.resolve_all()  # and keeps nobody from work
    with Journal(tmp_path / "ember.journal") as reopened:
        assert reopened.postings("1.1.1")[0].taken


async def test_what_is_posted_after_all_is_settled(
    telegram: Any, journal: Journal, recovery: Recovery, coordinator: Coordinator
) -> None:
    lease = coordinator.put(CODE)
    coordinator.live[lease.lease] = lease
    await cut_off(telegram, journal, lease.lease)
    telegram.done = True
    assert await recovery.resolve(lease.lease) is Resolution.SETTLED
    outcome = coordinator.settled[lease.lease]
    assert isinstance(outcome, SettleDone)
    assert outcome.objects[0].message_id == 7
    assert journal.open_leases() == ()


async def test_what_is_posted_when_its_lease_is_lost_is_taken_out_again(
    telegram: Any, journal: Journal, recovery: Recovery
) -> None:
    await cut_off(telegram, journal, "1.1.1")
    telegram.done = True
    assert await recovery.resolve("1.1.1") is Resolution.WITHDRAWN
    assert telegram.deleted == [7]
    assert journal.open_leases() == ()
