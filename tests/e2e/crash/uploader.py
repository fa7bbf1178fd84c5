"""A worker that only pretends to upload: `python -m tests.e2e.crash.uploader PART_FILE BOOT_NUMBER STEPS_FD`.

Everything that must survive a crash is the real thing: protocol client, heartbeat, journal, recovery. What it reads
from links and sends to Telegram is made up, with seeded failures and pauses between all steps, so that a kill finds it
between any two of them.
"""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import sys
from pathlib import Path
from typing import cast

import aiohttp
import msgspec
from tests.e2e.crash.channels_on_disk import ChannelsOnDisk
from tests.e2e.crash.ledger import Booted, Ledger, Stopped
from tests.e2e.crash.witness import WitnessedClient

from telecine.core import codes
from telecine.core.clock import SystemClock
from telecine.core.errors import ConflictError, InputError, LeaseLostError, NotFoundError
from telecine.core.protocol import (
    ClaimRequest,
    Hello,
    Lease,
    Outcome,
    SettleDone,
    SettleFailed,
    SettleFloodWait,
    SettleReleased,
    SettleRequest,
    SourceRef,
    SourceReport,
    Stage,
    Verdict,
)
from telecine.core.reasons import Reason
from telecine.core.worker.coordinator import Claimed, CoordinatorClient
from telecine.core.worker.gate import Gate
from telecine.core.worker.gauge import Gauge
from telecine.core.worker.heartbeat import Heartbeat
from telecine.core.worker.journal import Journal, Sending, Sent, UnsentObject
from telecine.core.worker.park import Park
from telecine.core.worker.recovery import Recovery, Resolution, settlement
from telecine.core.worker.telegram.channels import Channels
from telecine.core.worker.waiting import ended

DESKS = 2  # leases at a time
CLAIM_WAIT_S = 5.0
TELEGRAM_ID_BASE = 1000  # a channel's id in Telegram is ours plus this
DISK_BYTES = 10**12
PART_BYTES = 1 << 20
STEP_S_MAX = 0.012
LONG_STEP_S = (0.2, 1.2)  # longer than the pause between two beats
LONG_STEPS = 0.04
FLOODS, RELEASES, REFUSALS, LINK_FAILURES = 0.03, 0.03, 0.03, 0.25
WAITS_S = (0.0, 0.3)

logger = logging.getLogger(__name__)


class Part(msgspec.Struct, frozen=True):
    """Who an uploader is, and where."""

    name: str
    url: str
    token: str
    folder: str
    seed: int
    telegram_user_id: int
    premium: bool

    @property
    def ledger(self) -> Path:
        return Path(self.folder) / f"{self.name}.ledger"

    @property
    def journal(self) -> Path:
        return Path(self.folder) / f"{self.name}.journal"

    @property
    def channels(self) -> Path:
        return Path(self.folder) / f"{self.name}.channels"


def boot_id(name: str, boot: int) -> str:
    """The name of a worker's process, by which of its boots it is."""
    return f"{name}-{boot}"


class LinkBrokenError(Exception):
    """A link that fails, as often as links do."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class CutShortError(Exception):
    """Something that ends the work on a lease, and is no link's fault. `wait_s`: Telegram asks to wait."""

    def __init__(self, wait_s: float | None = None) -> None:
        super().__init__(wait_s)
        self.wait_s = wait_s


class Uploader:
    """One boot of a worker."""

    def __init__(self, part: Part, boot: int, client: CoordinatorClient, ledger: Ledger, journal: Journal) -> None:
        self._part = part
        self._rng = random.Random(f"{part.seed}/{part.name}/{boot}")
        self._clock = SystemClock()
        self._boot_id = boot_id(part.name, boot)
        self._client = client
        self._ledger = ledger
        self._journal = journal
        self._channels = ChannelsOnDisk(part.channels)
        self._recovery = Recovery(cast("Channels", self._channels), journal, client)
        self._requests = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Clear up after the last boot, then work until `stop`; leases under way are finished."""
        self._ledger.append(Booted(self._boot_id, self._clock.monotonic_s()))
        await self._recovery.resolve_all()
        hello = Hello(self._boot_id, "0", self._part.telegram_user_id, self._part.premium)
        welcome = await self._client.hello(hello)
        for channel in welcome.channels:
            if channel.telegram_id is None:
                await self._client.channel_opened(channel.id, TELEGRAM_ID_BASE + channel.id)
        heartbeat = Heartbeat(
            self._client,
            self._clock,
            boot_id=self._boot_id,
            ttl_s=welcome.lease_ttl_s,
            gate=Gate(),
            park=Park(self._clock),
        )
        beating = asyncio.create_task(heartbeat.run())
        try:
            async with asyncio.TaskGroup() as desks:
                for _ in range(DESKS):
                    desks.create_task(self._work(heartbeat, stop))
        finally:
            await ended(beating)

    async def _work(self, heartbeat: Heartbeat, stop: asyncio.Event) -> None:
        stopping = asyncio.create_task(stop.wait())
        while not stop.is_set():
            claiming = asyncio.create_task(self._client.claim(self._request()))
            await asyncio.wait({claiming, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                await ended(claiming)
            claimed = None if claiming.cancelled() else claiming.result()
            if claimed is not None:
                await self._hold(heartbeat, claimed)

    def _request(self) -> ClaimRequest:
        self._requests += 1
        return ClaimRequest(
            boot_id=self._boot_id,
            request_id=f"{self._boot_id}-{self._requests}",
            wait_s=CLAIM_WAIT_S,
            disk_free_bytes=DISK_BYTES,
            file_bytes_max=(4 if self._part.premium else 2) << 30,
        )

    async def _hold(self, heartbeat: Heartbeat, claimed: Claimed) -> None:
        """A lease while it is beaten for, from the claim to the report; as `Tenure` does it."""
        lease, gauge = claimed.lease, Gauge(claimed.lease, self._clock)
        with heartbeat.hold(claimed, gauge) as holding:
            over = asyncio.create_task(holding.over())
            working = asyncio.create_task(self._upload(lease, gauge))
            try:
                await asyncio.wait({over, working}, return_when=asyncio.FIRST_COMPLETED)
                await ended(working)
                if working.cancelled():
                    self._ledger.append(Stopped(lease.lease, self._clock.monotonic_s()))
                    cancelled = over.result() is Verdict.CANCEL
                    await self._report(lease, SettleReleased() if cancelled else None)
                else:
                    await self._report(lease, working.result())
            finally:
                await ended(over)

    async def _report(self, lease: Lease, outcome: Outcome | None) -> None:
        if self._journal.postings(lease.lease):
            resolution = await self._recovery.resolve(lease.lease)
            if resolution is Resolution.SETTLED:
                return
        if outcome is None or isinstance(outcome, SettleDone):
            return
        await self._pause()
        try:
            await self._client.settle(lease.lease, SettleRequest(self._boot_id, outcome))
        except (ConflictError, NotFoundError, InputError) as refusal:
            logger.info("%s: %s", lease.lease, refusal)
            if not isinstance(refusal, LeaseLostError):
                raise

    async def _upload(self, lease: Lease, gauge: Gauge) -> Outcome:
        reports: list[SourceReport] = []
        for source in lease.sources:
            gauge.turn_to(source.link_id)
            try:
                await self._read()
                await self._send(lease, source, tuple(reports), gauge)
            except LinkBrokenError as broken:
                reports.append(SourceReport(source.link_id, broken.reason, "made up", 1000, 0.001))
            except CutShortError as cut:
                if cut.wait_s is None:
                    return SettleReleased(tuple(reports))
                request = self._rng.choice(("messages.sendMedia", "upload.saveBigFilePart"))
                return SettleFloodWait(cut.wait_s, request, tuple(reports))
            else:
                return settlement(self._journal.postings(lease.lease))
        return SettleFailed(reports[-1].reason or Reason.INTERNAL, tuple(reports), "made up")

    async def _read(self) -> None:
        await self._pause()
        if self._rng.random() < FLOODS:
            raise CutShortError(wait_s=self._rng.uniform(*WAITS_S))
        if self._rng.random() < RELEASES:
            raise CutShortError
        if self._rng.random() < LINK_FAILURES:
            raise LinkBrokenError(self._rng.choice(list(Reason)))

    async def _send(self, lease: Lease, source: SourceRef, failed: tuple[SourceReport, ...], gauge: Gauge) -> None:
        part_count = self._rng.choice((1, 1, 2, 3))
        sources = (*failed, SourceReport(source.link_id, None, None, part_count * PART_BYTES, 0.001))
        for part_no in range(1, part_count + 1):
            gauge.enter(Stage.SENDING)
            await self._post(lease, part_no, part_count, sources)
            gauge.add(PART_BYTES)
            if self._rng.random() < REFUSALS:
                await self._recovery.withdraw(lease.lease)
                raise LinkBrokenError(Reason.TELEGRAM)

    async def _post(self, lease: Lease, part_no: int, part_count: int, sources: tuple[SourceReport, ...]) -> None:
        """Announce in the journal, send, and note what was sent."""
        channel_id = lease.channel.telegram_id
        if channel_id is None:
            raise AssertionError(f"{lease.lease} leads to a channel that is not open")
        caption = str(codes.PartCode(codes.parse_variant(lease.code), part_no, part_count))
        sha256 = f"{self._rng.getrandbits(256):064x}"
        sent = UnsentObject(part_no, part_count, channel_id, 0, PART_BYTES, sha256)
        after = self._channels.newest_message_id()
        self._journal.append(
            Sending(lease.lease, self._boot_id, lease.code, caption, 0, after, sent, "direct", sources)
        )
        await self._pause()
        message_id = self._channels.post(channel_id, caption, PART_BYTES)
        await self._pause()
        self._journal.append(Sent(lease.lease, part_no, message_id))

    async def _pause(self) -> None:
        is_long = self._rng.random() < LONG_STEPS
        await self._clock.sleep(self._rng.uniform(*LONG_STEP_S) if is_long else self._rng.uniform(0, STEP_S_MAX))


async def main(part: Part, boot: int, steps: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    ledger = Ledger(part.ledger, steps=steps)
    rng = random.Random(f"{part.seed}/{part.name}/{boot}/pauses")
    with Journal(part.journal) as journal:
        async with aiohttp.ClientSession() as web:
            client = WitnessedClient(web, part.url, part.token, rng, ledger)
            await Uploader(part, boot, client, ledger, journal).run(stop)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    asyncio.run(main(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Part), *map(int, sys.argv[2:])))
