"""A real worker is killed at any moment of an upload, and every part is in the channel once, and sent once.

Where it is killed in the slow run is a function of a seed. `TELECINE_KILL_SEED` repeats a run, and
`TELECINE_KILL_SKIP` leaves out its first moments.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
from collections.abc import AsyncIterator, Iterable
from hashlib import sha256
from pathlib import Path

import pytest
from tests.e2e.uploads.deployment import Deployment, deployed
from tests.e2e.uploads.moments import At, Film, Moment, drawn, killed_at
from tests.waiting import until

from telecine.core.catalogue import StoredObject
from telecine.core.codes import PartCode, parse_variant
from telecine.core.emulator.media.specs import Container
from telecine.core.emulator.media.vast import vast
from telecine.core.emulator.telegram.keys import ServerKey
from telecine.core.plans import PART_BYTES
from telecine.core.worker.telegram.uploaded import digest_of

SEED, SKIP = "TELECINE_KILL_SEED", "TELECINE_KILL_SKIP"
MOMENTS = 100
IN_FLIGHT = 4
FILE_BYTES_MAX = 16 * 1024 * 1024
SIZES = {Film.DIRECT: 12_000_000, Film.REMUX: 12_000_000, Film.SPLIT: 30_000_000}  # all parts by saveBigFilePart

TELLING = (
    Moment(Film.DIRECT, At.SOURCE, 2),
    Moment(Film.DIRECT, At.PART, 15),
    Moment(Film.REMUX, At.PART, 10, carried_out=True),
    Moment(Film.SPLIT, At.PART, 45, carried_out=True),
    Moment(Film.SPLIT, At.MESSAGE, 2),
    Moment(Film.DIRECT, At.MESSAGE, carried_out=True),
    Moment(Film.REMUX, At.SETTLEMENT),
    Moment(Film.REMUX, At.SETTLEMENT, carried_out=True),
)


@pytest.fixture
async def deployment(tmp_path: Path, server_key: ServerKey) -> AsyncIterator[Deployment]:
    async with deployed(
        tmp_path, server_key, jobs=1, connections=2, parts_in_flight=IN_FLIGHT, file_bytes_max=FILE_BYTES_MAX
    ) as running:
        for film, size_bytes in SIZES.items():
            container = Container.MP4 if film is Film.DIRECT else Container.MKV
            file = running.media / film.value
            await asyncio.to_thread(vast, file, size_bytes=size_bytes, seconds=16, container=container)
        yield running


class Trial:
    """Kills a worker again and again, each time over another upload."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._calm: dict[Film, list[bytes]] = {}

    def tail(self) -> str:
        """What the worker said last."""
        return self._deployment.worker.tail()

    async def upload_in_calm(self) -> None:
        """How each film is stored where nothing happens: whatever happens, it must be stored like that."""
        for film in Film:
            code = await self._deployment.plan(film.value)
            await self._deployment.done(code)
            self._calm[film] = [self._deployment.content(stored) for stored in self._deployment.uploaded(code)]
        assert [len(contents) for contents in self._calm.values()] == [1, 1, 2]
        assert self._calm[Film.DIRECT][0] == (self._deployment.media / Film.DIRECT.value).read_bytes()

    @property
    def parts(self) -> dict[Film, int]:
        """How many upload parts each film takes."""
        return {film: _parts(contents) for film, contents in self._calm.items()}

    async def survive(self, moment: Moment) -> None:
        deployment, requests = self._deployment, self._deployment.requests
        before = requests[At.PART.value]
        code = await killed_at(moment, deployment)
        await deployment.worker.start()
        kept = await deployment.done(code)
        self._check_channel(code, moment.film, kept)
        await self._nothing_is_left()
        again = _parts(self._calm[moment.film][:1]) if moment.is_between_messages else 0
        lost = 2 * IN_FLIGHT  # on their way when the line was cut, and again when the worker died a moment later
        assert requests[At.PART.value] - before <= self.parts[moment.film] + again + lost

    def _check_channel(self, code: str, film: Film, kept: Iterable[StoredObject]) -> None:
        stored, calm = self._deployment.uploaded(code), self._calm[film]
        parts = [str(PartCode(parse_variant(code), number, len(calm))) for number in range(1, len(calm) + 1)]
        assert [one.code for one in stored] == parts
        assert [self._deployment.content(one) for one in stored] == calm
        told = [(one.channel_id, one.message_id, one.document.size_bytes) for one in stored]
        assert told == [(one.channel_id, one.message_id, one.size_bytes) for one in kept]
        assert [one.sha256 for one in kept] == [digest_of(_digests(content)) for content in calm]

    async def _nothing_is_left(self) -> None:
        """The worker tidies up behind the settlement."""

        def is_tidy() -> bool:
            self._deployment.worker.check()
            return not self._deployment.left_behind()

        await until(is_tidy)


def _parts(contents: Iterable[bytes]) -> int:
    return sum(-(-len(content) // PART_BYTES) for content in contents)


def _digests(content: bytes) -> Iterable[bytes]:
    return (sha256(content[at : at + PART_BYTES]).digest() for at in range(0, len(content), PART_BYTES))


async def test_killed_at_telling_moments_of_an_upload_each_part_is_there_once(deployment: Deployment) -> None:
    trial = Trial(deployment)
    await trial.upload_in_calm()
    for moment in TELLING:
        await _survived(trial, moment, f"{moment}")


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_killed_at_a_hundred_moments_of_uploads_each_part_is_there_once(deployment: Deployment) -> None:
    seed = int(os.environ.get(SEED) or secrets.randbits(32))
    skipped = int(os.environ.get(SKIP, "0"))
    trial = Trial(deployment)
    await trial.upload_in_calm()
    for number, moment in enumerate(itertools.islice(drawn(seed, trial.parts), MOMENTS)):
        if number >= skipped:
            await _survived(trial, moment, f"{moment}; {SEED}={seed} {SKIP}={number} comes to it at once")


async def _survived(trial: Trial, moment: Moment, note: str) -> None:
    try:
        await trial.survive(moment)
    except BaseException as error:
        error.add_note(f"killed at {note}\n{trial.tail()}")
        raise
