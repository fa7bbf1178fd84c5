"""The demonstration from curtain to curtain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from telecine.core.api import Api
from telecine.core.catalogue import VariantDetail
from telecine.core.clock import Clock
from telecine.core.config import OperatorSettings
from telecine.core.demo import audit, catalogue, content, delivering, stage
from telecine.core.demo.audit import Post
from telecine.core.demo.cast import Cast
from telecine.core.demo.files import make_files
from telecine.core.demo.report import Delivery, Mismatch, Report, Viewing, compose
from telecine.core.demo.screen import Screen
from telecine.core.demo.stage import BOT_USERNAME, VIEWER, WORKERS, Stage
from telecine.core.demo.titles import TITLES, Title
from telecine.core.demo.viewer import signed_in
from telecine.core.demo.watching import Watch
from telecine.core.emulator.control.client import EmulatorControl
from telecine.core.emulator.faults import Flood, Line, LostReply
from telecine.core.operator_protocol import Status

LATENCY_S = 0.01
BANDWIDTH_BYTES_PER_S = 3_000_000  # slow enough for a heartbeat to tell of the middle of every large upload
FLOOD_WAIT_S = 5
SHORT_WAIT_S = 1
FAULTS = (  # for whichever account makes the call, so that each is met in every run
    Flood(method="messages.sendMedia", seconds=FLOOD_WAIT_S, after=1),
    LostReply(method="messages.sendMedia", after=2),  # later: repeated into a wait, it would end in no parked account
    Flood(method="upload.save*Part", seconds=SHORT_WAIT_S, after=3),
)
BOT_API_CHANNEL_OFFSET = 10**12  # the Bot API writes channel 5 as -1000000000005


class Demonstration:
    """One run over a cleared stage."""

    def __init__(self, place: Stage, screen: Screen, clock: Clock, titles: Sequence[Title] = TITLES) -> None:
        self._stage = place
        self._titles = titles
        self._screen = screen
        self._clock = clock
        self._content = content.content(titles)
        self._seconds: dict[str, float] = {}
        self.cast = Cast(place, clock)

    async def run(self) -> Report:
        """Everything. Raises TelecineError where it cannot go on; the processes are left to the caller."""
        started_s = self._clock.monotonic_s()
        with self._phase("media", "making films of every kind, good and bad"):
            await self._make_media()
        async with EmulatorControl(self._stage.control_url) as control:
            with self._phase("start", "starting the emulator, signing three accounts in, starting the coordinator"):
                operator = await self._start(control)
            async with Api(operator) as api:
                await self.cast.start_coordinator(api)
                report = await self._play(control, api)
        seconds = round(self._clock.monotonic_s() - started_s, 1)
        return msgspec.structs.replace(report, seconds=seconds, seconds_by_phase=self._seconds)

    async def _make_media(self) -> None:
        def on_made(done: int, total: int) -> None:
            self._screen.progress("files", done, total)

        await make_files(self._content.links.values(), self._stage.media, on_made=on_made)

    async def _start(self, control: EmulatorControl) -> OperatorSettings:
        await self.cast.start_emulator(control)
        await control.replace_cm_content(self._content.cm)
        for link in self._content.links.values():
            if fault := content.fault(link):
                await control.set_source_faults(link.path, fault)
        operator = await self.cast.prepare_main()
        await self.cast.sign_in(control)
        for worker in WORKERS:
            await control.set_line(worker.name, Line(latency_s=LATENCY_S, bandwidth_bytes_per_s=BANDWIDTH_BYTES_PER_S))
        await control.plan(*FAULTS)
        return operator

    async def _play(self, control: EmulatorControl, api: Api) -> Report:
        with self._phase("import", "importing from CM"):
            self._screen.say(await self.cast.import_catalogue())
        watch = Watch(api, self.cast, self._screen, self._clock)
        with self._phase("upload", "three workers move the films into Telegram"):
            for worker in WORKERS:
                self.cast.start_worker(worker.name)
            await watch.until_settled()
            await watch.until_harvested()
        with self._phase("deliver", "a user searches, presses buttons and receives"):
            variants = await catalogue.variants(api)
            deliveries, missing = await self._deliver(control, api, variants)
        with self._phase("audit", "looking for duplicates and for lost links"):
            return compose(
                await api.get("/v1/status", Status),
                await control.stats(),
                audit.audit_channels(await _posts(control), variants),
                Viewing(
                    deliverable=sum(audit.is_deliverable(variant, self._content.links) for variant in variants),
                    deliveries=tuple(deliveries),
                    missing=tuple(missing),
                ),
                links_lost=audit.links_lost(self._content.links, variants),
                workers_killed=len(watch.killed),
                workers_to_kill=int(any(link.clip.is_large for link in self._content.links.values())),
            )

    async def _deliver(
        self, control: EmulatorControl, api: Api, variants: Sequence[VariantDetail]
    ) -> tuple[list[Delivery], list[Mismatch]]:
        ways = delivering.wishes(await catalogue.titles(api), self._titles)
        targets, missing = delivering.targets(variants, ways, self._content.links)
        telegram = (stage.EMULATOR_HOST, self._stage.mtproto_port)

        async def code() -> str:
            return await self.cast.login_code(VIEWER, control)

        async with signed_in(
            telegram,
            await asyncio.to_thread(self._stage.public_key.read_text),
            phone=VIEWER.phone,
            code=code,
            bot=BOT_USERNAME,
            folder=self._stage.received,
        ) as viewer:
            await viewer.start()
            return await delivering.deliver_all(viewer, targets, self._stage.media, self._screen), missing

    @contextmanager
    def _phase(self, name: str, text: str) -> Iterator[None]:
        self._screen.phase(text)
        started_s = self._clock.monotonic_s()
        yield
        self._seconds[name] = round(self._clock.monotonic_s() - started_s, 1)


async def _posts(control: EmulatorControl) -> list[Post]:
    """Every message of every storage channel."""
    return [
        Post(-channel.chat_id - BOT_API_CHANNEL_OFFSET, message.id, message.text)
        for channel in await control.channels()
        for message in await control.channel_messages(channel.chat_id)
    ]
