"""Workers that do nothing but claim and settle, straight at the store: what the queue can do without HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from tests.bench.pace import Pace, Stopwatch

from telecine.core.protocol import (
    ClaimRequest,
    Hello,
    Lease,
    ObjectReport,
    SettleDone,
    SettleFloodWait,
    SourceReport,
)
from telecine.core.queue import Queue

CHANNELS_PER_ACCOUNT = 3
TELEGRAM_ID_OFFSET = 1_000_000  # of a channel's id in Telegram over ours
ACCOUNT_BYTES_MAX = 4000 * 524_288
DISK_BYTES = 1 << 40


class IdleError(Exception):
    """A worker found nothing to do: the queue was not filled enough, and the measurement is worth nothing."""


class Hand:
    """One worker: it makes one call at a time."""

    def __init__(self, queue: Queue, name: str, account: str) -> None:
        self.name = name
        self.account = account
        self._queue = queue
        self._boot_id = f"boot-of-{name}"
        self._claims = 0

    @property
    def telegram_user_id(self) -> int:
        """The account's."""
        return int(self.account.rpartition("-")[2]) + 1

    async def enrol(self) -> None:
        """Say hello and open the channels of the account."""
        hello = Hello(self._boot_id, "1.0", self.telegram_user_id, premium=True)
        wanted = await self._queue.hello(self.name, self.account, hello, channels_wanted=CHANNELS_PER_ACCOUNT)
        for channel in wanted:
            if channel.telegram_id is None:
                await self._queue.channel_opened(self.name, channel.id, TELEGRAM_ID_OFFSET + channel.id)

    async def claim(self) -> Lease:
        """Raises IdleError."""
        self._claims += 1
        request = ClaimRequest(
            self._boot_id,
            f"{self.name}-{self._claims}",
            disk_free_bytes=DISK_BYTES,
            file_bytes_max=ACCOUNT_BYTES_MAX,
        )
        lease = await self._queue.claim(self.name, request)
        if lease is None:
            raise IdleError(f"{self.name} found nothing to claim")
        return lease

    async def settle(self, lease: Lease) -> None:
        await self._queue.settle(self.name, lease.lease, uploaded(lease))

    async def report_flood(self, wait_s: float) -> None:
        """Have the account parked, as a worker does that Telegram makes wait."""
        lease = await self.claim()
        await self._queue.settle(self.name, lease.lease, SettleFloodWait(wait_s, "SendMediaRequest"))


def uploaded(lease: Lease) -> SettleDone:
    """The report of an upload in one part, by the lease's first link."""
    assert lease.channel.telegram_id is not None
    variant_id = int(lease.lease.split(".")[1])
    sent = ObjectReport(1, 1, lease.channel.telegram_id, variant_id, 1 << 30, "0" * 64, 2700.0, 1920, 1080)
    return SettleDone((sent,), (SourceReport(lease.sources[0].link_id, None, None, 1 << 30, 60.0),), "direct")


async def muster(queue: Queue, *, accounts: int, hands: int) -> list[Hand]:
    """`hands` enrolled workers, dealt out to `accounts` accounts, whose ids are 1 to `accounts` in a new database."""
    crew = [Hand(queue, f"worker-{n}", f"account-{n % accounts}") for n in range(hands)]
    for hand in crew:
        await hand.enrol()
    return crew


async def pairs(crew: Sequence[Hand], count: int) -> Pace:
    """Claim and settle `count` times, each hand as soon as it is free again."""
    left = count

    async def work(hand: Hand) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await hand.settle(await hand.claim())

    watch = Stopwatch()
    async with asyncio.TaskGroup() as group:
        for hand in crew:
            group.create_task(work(hand))
    return watch.pace(count)


async def claim_latencies_ms(crew: Sequence[Hand], claims: int) -> list[float]:
    """How long each of `claims` claims took, one at a time, the hands taking turns; each is settled afterwards."""
    latencies_ms = []
    for turn in range(claims):
        hand = crew[turn % len(crew)]
        began_s = time.perf_counter()
        lease = await hand.claim()
        latencies_ms.append((time.perf_counter() - began_s) * 1000)
        await hand.settle(lease)
    return latencies_ms
