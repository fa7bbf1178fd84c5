"""When a worker is killed: at which of its requests, for which film, before the request was carried out or after."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Iterator
from enum import StrEnum

import msgspec
from tests.e2e.uploads.deployment import ACCOUNT, Deployment

from telecine.core.emulator.faults import Disconnect, LostReply

STRIKE_TIMEOUT_S = 30.0


class Film(StrEnum):
    """One for each way in which films are uploaded; the value is the file's name."""

    DIRECT = "direct.mp4"
    REMUX = "remux.mkv"
    SPLIT = "split.mkv"


class At(StrEnum):
    """What the worker was asking for."""

    CLAIM = "*/leases"
    TITLE = "*/variants/*"
    SOURCE = "source"
    CHANNEL = "channels.getChannels"
    PART = "upload.saveBigFilePart"
    PICTURE = "upload.saveFilePart"
    NEWEST = "messages.getHistory"
    MESSAGE = "messages.sendMedia"
    READING_BACK = "channels.getMessages"
    SETTLEMENT = "*/settle"


OF_COORDINATOR = frozenset({At.CLAIM, At.TITLE, At.SETTLEMENT})

# What to draw from. Parts are most of an upload's time, but what follows them is where most can go wrong.
WEIGHTS = {
    At.CLAIM: 2,
    At.TITLE: 2,
    At.CHANNEL: 2,
    At.SOURCE: 10,
    At.PART: 40,
    At.PICTURE: 6,
    At.NEWEST: 6,
    At.MESSAGE: 18,
    At.READING_BACK: 8,
    At.SETTLEMENT: 12,
}


class Moment(msgspec.Struct, frozen=True):
    """The `nth` of such requests, from 1. `carried_out`: the worker dies before it hears of it."""

    film: Film
    at: At
    nth: int = 1
    carried_out: bool = False

    def __str__(self) -> str:
        when = "carrying out" if self.carried_out else "taking"
        return f"{self.film.value}: after {when} request {self.nth} of {self.at.name.lower()}"

    @property
    def is_between_messages(self) -> bool:
        """Whether one message of the upload is in the channel and another is not: the first is made anew."""
        if self.film is not Film.SPLIT:
            return False
        if self.nth == 1:
            return (self.at is At.MESSAGE and self.carried_out) or self.at is At.READING_BACK
        return self.at in (At.PICTURE, At.NEWEST) or (self.at is At.MESSAGE and not self.carried_out)


def drawn(seed: int, parts: dict[Film, int]) -> Iterator[Moment]:
    """Moments without end; the same for the same seed. `parts`: how many upload parts a film has."""
    rng = random.Random(f"{seed}/kills")
    while True:
        film = rng.choice(list(Film))
        at = rng.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))[0]
        yield Moment(film, at, rng.randint(1, _last(at, film, parts)), rng.random() < 0.5)


def _last(at: At, film: Film, parts: dict[Film, int]) -> int:
    if at is At.PART:
        return parts[film]
    if at is At.SOURCE:
        return 4  # there are more, but how many depends on the pace
    once = at in OF_COORDINATOR or at is At.CHANNEL
    return 2 if film is Film.SPLIT and not once else 1


async def killed_at(moment: Moment, deployment: Deployment) -> str:
    """Have the film uploaded and the worker killed at that moment; the upload's code."""
    struck = _watch(moment, deployment)
    code = await deployment.plan(moment.film.value)
    async with asyncio.timeout(STRIKE_TIMEOUT_S):
        await struck
    await deployment.kill_worker()
    return code


def _watch(moment: Moment, deployment: Deployment) -> Awaitable[object]:
    """From now on; what is returned is over when the moment has come."""
    emulator = deployment.emulator
    if moment.at in OF_COORDINATOR:
        lost = asyncio.Event()
        deployment.front.cut_off(moment.at.value, answered=moment.carried_out, then=lost.set)
        return lost.wait()
    if moment.at is At.SOURCE:
        count = emulator.sources.count(moment.film.value)
        goal = count.requests + moment.nth
        return emulator.world.until(lambda: count.requests >= goal)
    fault = LostReply if moment.carried_out else Disconnect
    emulator.faults.plan(fault(account=ACCOUNT, method=moment.at.value, after=moment.nth - 1))
    taken = emulator.faults.taken.total()
    return emulator.world.until(lambda: emulator.faults.taken.total() > taken)
