"""What many ask for at once ends as if one had asked after the other, though it shares its statements."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.store.conftest import POLICY, Scene, film, link, uploaded

from telecine.core.errors import ConflictError, InputError, LeaseLostError
from telecine.core.protocol import (
    BeatRequest,
    ClaimRequest,
    Lease,
    Outcome,
    Progress,
    SettleDone,
    SettleFailed,
    SettleFloodWait,
    SettleReleased,
    SourceReport,
    Stage,
)
from telecine.core.reasons import Reason
from telecine.store import Store

if TYPE_CHECKING:
    from tests.clocks import HandClock

WORKERS = 6
TABLES = (
    "upload_variants",
    "variant_sources",
    "telegram_objects",
    "upload_attempts",
    "channels",
    "accounts",
    "hosts",
    "workers",
)
Call = Callable[[Scene], Awaitable[Any]]


async def furnish(scene: Scene, dice: random.Random) -> None:
    """Workers of three accounts, and films of every sort that a claim tells apart."""
    for number in range(WORKERS):
        await scene.enrol(f"w{number}", account=f"a{number % 3}", channels=2)
    links = [
        [
            link(f"{n}-{m}", url=f"http://host-{dice.randrange(4)}.example/{n}-{m}.mkv")
            for m in range(dice.randint(1, 3))
        ]
        for n in range(30)
    ]
    await scene.imports(*(film(str(n), *some) for n, some in enumerate(links)))
    accounts = [None, None, *(row[0] for row in scene.sql("SELECT id FROM accounts ORDER BY id"))]
    sorts = [(n, dice.choice(accounts), dice.choice([2, 2, 1]), dice.choice([0] * 9 + [10])) for n in range(1, 31)]
    scene.sql(
        "UPDATE upload_variants SET account_id = value ->> 1, priority = value ->> 2, disk_bytes = value ->> 3"
        " FROM json_each(?) WHERE upload_variants.id = value ->> 0",
        msgspec.json.encode(sorts).decode(),
    )
    if dice.random() < 0.5:
        scene.sql("UPDATE hosts SET leases_max = 2 WHERE id = 1")
        scene.sql("UPDATE hosts SET parked_until_ms = ?, rung = 1 WHERE id = 2", scene.clock.ms + 60_000)
    if dice.random() < 0.5:
        scene.sql("UPDATE accounts SET sends_parked_until_ms = ? WHERE name = 'a1'", scene.clock.ms + 3_600_000)


def claims(dice: random.Random, turn: int) -> list[tuple[str, ClaimRequest]]:
    """Some claims; a few are repeated, a few are of a process that is not the worker's latest."""
    asked = []
    for number in range(12):
        worker = f"w{dice.randrange(WORKERS)}"
        request = f"{worker}-{turn}-{number - dice.choice([0, 0, 0, 1])}"
        boot = "boot-0" if dice.random() < 0.1 else "boot-1"
        asked.append((worker, ClaimRequest(boot, request, disk_free_bytes=dice.choice([0, 100]))))
    return asked


def report(dice: random.Random, lease: Lease) -> Outcome:
    first = lease.sources[0].link_id
    used = SourceReport(first, None, None, 10, 1.0)
    fine = uploaded(lease)
    part = fine.objects[0]
    reports: list[Outcome] = [
        *[fine] * 8,
        SettleDone((part,), (msgspec.structs.replace(used, link_id=999),), "direct"),
        SettleDone((msgspec.structs.replace(part, part_no=2),), (used,), "direct"),
        SettleDone((msgspec.structs.replace(part, message_id=7),), (used,), "direct"),
        SettleDone((msgspec.structs.replace(part, channel_id=1),), (used,), "direct"),
        SettleFailed(Reason.GONE, (SourceReport(first, Reason.GONE),)),
        SettleFailed(Reason.STALLED, (SourceReport(first, Reason.STALLED),)),
        SettleFloodWait(5.0, "upload.saveBigFilePart"),
        SettleReleased(),
    ]
    return dice.choice(reports)


def beats(dice: random.Random, held: Sequence[tuple[str, Lease]]) -> list[tuple[str, BeatRequest]]:
    """Each worker of its own leases, of some twice, and now and then of another's, or of what is no lease of ours."""
    asked = []
    for worker, lease in (*held, *held[:2]):
        others = [other.lease for _, other in held if dice.random() < 0.2]
        tokens = [lease.lease, *others, *dice.choice([[], [], ["9.1.1"], ["1.99999.1"], ["none"]])]
        link = dice.choice([lease.sources[0].link_id, 999])
        said = tuple(Progress(token, Stage.UPLOADING, link, dice.randrange(50), 50) for token in tokens)
        asked.append((worker, BeatRequest("boot-0" if dice.random() < 0.1 else "boot-1", said)))
    return asked


def claiming(worker: str, request: ClaimRequest) -> Call:
    return lambda scene: scene.store.queue.claim(worker, request)


def beating(worker: str, request: BeatRequest) -> Call:
    return lambda scene: scene.store.queue.beat(worker, request)


def settling(worker: str, lease: Lease, outcome: Outcome) -> Call:
    return lambda scene: scene.store.queue.settle(worker, lease.lease, outcome)


async def answers(scene: Scene, calls: Sequence[Call], *, together: bool) -> list[Any]:
    async def answer(call: Call) -> Any:
        try:
            return await call(scene)
        except (ConflictError, InputError, LeaseLostError) as error:
            return type(error), str(error)

    if together:
        return list(await asyncio.gather(*map(answer, calls)))
    return [await answer(call) for call in calls]


def contents(scene: Scene) -> dict[str, list[Any]]:
    return {table: scene.sql(f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES}  # noqa: S608


@pytest.mark.parametrize("seed", range(6))
async def test_what_is_asked_together_is_answered_as_one_after_the_other(
    tmp_path: Path, clock: HandClock, seed: int
) -> None:
    policy = msgspec.structs.replace(POLICY, channel_messages_max=5)
    dice = random.Random(seed)
    async with (
        Store.open(tmp_path / "alone.db", clock=clock, policy=policy) as first,
        Store.open(tmp_path / "together.db", clock=clock, policy=policy) as second,
    ):
        alone, together = Scene(first, clock, tmp_path / "alone.db"), Scene(second, clock, tmp_path / "together.db")
        for scene in (alone, together):
            await furnish(scene, random.Random(seed))
        for turn in range(3):
            clock.advance(dice.choice([0, 2]))
            asked = claims(dice, turn)
            calls = [claiming(worker, request) for worker, request in asked]
            leases = await answers(alone, calls, together=False)
            assert await answers(together, calls, together=True) == leases
            assert contents(together) == contents(alone)
            held = {
                lease.lease: (worker, lease)
                for (worker, _), lease in zip(asked, leases, strict=True)
                if isinstance(lease, Lease)
            }
            for lease in [lease for _, lease in held.values() if dice.random() < 0.2]:
                for scene in (alone, together):
                    await scene.store.operations.cancel(lease.code)
            clock.advance(dice.choice([0, 2]))
            calls = [beating(*said) for said in beats(dice, list(held.values()))]
            verdicts = await answers(alone, calls, together=False)
            assert await answers(together, calls, together=True) == verdicts
            assert contents(together) == contents(alone)
            calls = [
                settling(worker, lease, report(dice, lease))
                for worker, lease in (*held.values(), *list(held.values())[:2])
            ]
            settled = await answers(alone, calls, together=False)
            assert await answers(together, calls, together=True) == settled
            assert contents(together) == contents(alone)
