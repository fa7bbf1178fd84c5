"""What the tests of uploading and sending work with: an account of the embedded Telegram, over sockets."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import AsyncIterator

from telecine.core.clock import SystemClock
from telecine.core.plans import PART_BYTES
from telecine.core.worker.journal import Journal, Sending, UnsentObject
from telecine.core.worker.parts import Block
from telecine.core.worker.telegram.account import Account
from telecine.core.worker.telegram.channels import Channels, StoredMessage
from telecine.core.worker.telegram.engine import Engine, UploadedFile
from telecine.core.worker.telegram.senders import Lines
from telecine.core.worker.telegram.sending import ExistingFile, Film, Parcel, Post
from telecine.core.worker.telegram.uploads import UploadRecord

CODE = "CM_M000321_1080P"
HASTE_PER_MINUTE = 6000
IN_PLACE_S = 2
BIG = 11 * 1024 * 1024 + 4321
SMALL = 70_000
NOISE = os.urandom(BIG)
FILM = Film(duration_s=2.0, width_px=1920, height_px=1080, has_audio=False)


class Desk:
    """An account with one open channel and all that sends."""

    def __init__(
        self, account: Account, channels: Channels, channel_id: int, journal: Journal, *, content_hash: bool = False
    ) -> None:
        clock = SystemClock()
        ids = random.Random(7)
        self.account = account
        self.channels = channels
        self.channel_id = channel_id
        self.journal = journal
        self.lines = Lines(account, count=4, clock=clock)
        self.engine = Engine(
            self.lines,
            clock=clock,
            new_file_id=lambda: ids.getrandbits(63),
            parts_in_flight=8,
            flood_wait_in_place_s=IN_PLACE_S,
            content_hash=content_hash,
            on_throttle=self._throttled,
        )
        self.throttles = 0
        self.post = Post(
            account, channels, journal, clock, flood_wait_in_place_s=IN_PLACE_S, sends_per_minute=HASTE_PER_MINUTE
        )
        self._fences = itertools.count(1)

    async def _throttled(self) -> None:
        self.throttles += 1

    async def upload(self, size: int, *, known: bool = True, record: UploadRecord | None = None) -> UploadedFile:
        return await self.engine.upload(
            stream(NOISE[:size]), size_bytes=size if known else None, name=f"{CODE}.mp4", record=record
        )

    async def send(
        self,
        file: UploadedFile,
        *,
        film: Film | None = FILM,
        generation: int = 0,
        caption: str = CODE,
        thumbnail: UploadedFile | None = None,
        existing: ExistingFile | None = None,
    ) -> StoredMessage:
        parcel = Parcel(
            self.channel_id, caption, file, f"{CODE}.mp4", "video/mp4", film, thumbnail=thumbnail, existing=existing
        )
        sending = Sending(
            lease=f"1.1.{next(self._fences)}",
            boot_id="boot",
            variant=CODE,
            code=CODE,
            random_id=0,
            after_message_id=await self.channels.newest_message_id(self.channel_id),
            object=UnsentObject(1, 1, self.channel_id, 0, file.size_bytes, file.sha256),
            plan="direct",
            sources=(),
        )

        async def resend(index: int) -> None:
            await self.engine.resend(file, Block(index, NOISE[index * PART_BYTES :][:PART_BYTES][: file.size_bytes]))

        return await self.post.send(parcel, sending, generation=generation, resend=resend)


async def stream(data: bytes) -> AsyncIterator[Block]:
    for index, at in enumerate(range(0, len(data), PART_BYTES)):
        yield Block(index, data[at : at + PART_BYTES])
