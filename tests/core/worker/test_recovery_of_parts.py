"""A worker that dies between the parts of one film: all of them are in the channel in the end, or none."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import cast

import aiohttp
import pytest
from tests.core.worker.scripted import TOKEN, Coordinator

from telecine.core.clock import SystemClock
from telecine.core.codes import PartCode, parse_variant
from telecine.core.protocol import Lease, SettleDone, SourceReport
from telecine.core.worker.coordinator import CoordinatorClient
from telecine.core.worker.journal import Closed, Journal, Sending, Sent, UnsentObject
from telecine.core.worker.recovery import Recovery, Resolution
from telecine.core.worker.telegram.channels import Channels, StoredMessage

CODE = "CM_M000321_1080P"
PARTS = 3
CHANNEL = 500
PARTS_OF_ALL = tuple(range(1, PARTS + 1))


class Shelf:
    """A channel: messages by their ids."""

    def __init__(self) -> None:
        self.messages: dict[int, str] = {}

    def post(self, code: str) -> int:
        message_id = max(self.messages, default=10) + 1
        self.messages[message_id] = code
        return message_id

    async def find(self, _: int, code: str, *, after: int) -> StoredMessage | None:
        found = [number for number, held in self.messages.items() if held == code and number > after]
        return StoredMessage(found[-1], code, 10, None, "video/mp4", is_video=True) if found else None

    find_settled = find

    async def delete(self, _: int, message_id: int) -> None:
        self.messages.pop(message_id, None)


class Dying:
    """A worker up to the moment that it dies, and the next one."""

    def __init__(self, folder: Path, coordinator: Coordinator, web: aiohttp.ClientSession) -> None:
        self.shelf = Shelf()
        self.path = folder / "ember.journal"
        self._client = CoordinatorClient(web, coordinator.url, TOKEN, SystemClock())
        self.lease = coordinator.put(CODE)
        coordinator.leases.clear()
        coordinator.live[self.lease.lease] = self.lease

    def code(self, part_no: int) -> str:
        return str(PartCode(parse_variant(CODE), part_no, PARTS))

    def send(self, *, noted: Iterable[int] = (), unnoted: Iterable[int] = (), unsent: Iterable[int] = ()) -> None:
        """Parts whose message the journal knows, whose answer was not heard, and that were only announced."""
        noted, unnoted = set(noted), set(unnoted)
        with Journal(self.path) as journal:
            for part_no in sorted(noted | unnoted | set(unsent)):
                journal.append(_announced(self.lease, self.code(part_no), part_no))
                if part_no in noted | unnoted:
                    message_id = self.shelf.post(self.code(part_no))
                    if part_no in noted:
                        journal.append(Sent(self.lease.lease, part_no, message_id))

    async def next_start(self) -> Resolution | None:
        """What becomes of the lease; None where nothing was open."""
        with Journal(self.path) as journal:
            recovery = Recovery(cast("Channels", self.shelf), journal, self._client)
            if self.lease.lease not in journal.open_leases():
                return None
            resolution = await recovery.resolve(self.lease.lease)
            assert journal.open_leases() == ()
            return resolution


def _announced(lease: Lease, code: str, part_no: int) -> Sending:
    report = UnsentObject(part_no, PARTS, CHANNEL, 0, 10, "0" * 64)
    return Sending(lease.lease, "boot", CODE, code, 1, 10, report, "split", (SourceReport(1, None),))


@pytest.fixture
def dying(tmp_path: Path, coordinator: Coordinator, web_session: aiohttp.ClientSession) -> Dying:
    return Dying(tmp_path, coordinator, web_session)


@pytest.mark.parametrize(
    ("noted", "unnoted", "unsent"),
    [
        ({1}, (), ()),  # died before the second was announced
        ({1}, (), {2}),  # announced, never sent
        ({1}, {2}, ()),  # sent, the answer not heard
        ({1, 2}, (), {3}),
        ((), {1}, ()),
        ((), (), {1}),
    ],
)
async def test_parts_that_are_not_all_there_are_taken_out_again(
    dying: Dying, coordinator: Coordinator, noted: Iterable[int], unnoted: Iterable[int], unsent: Iterable[int]
) -> None:
    dying.shelf.post("CM_M000007_720P")
    dying.send(noted=noted, unnoted=unnoted, unsent=unsent)
    assert await dying.next_start() is Resolution.WITHDRAWN
    assert list(dying.shelf.messages.values()) == ["CM_M000007_720P"]  # somebody else's stays
    assert coordinator.settled == {}


@pytest.mark.parametrize(("noted", "unnoted"), [(PARTS_OF_ALL, ()), ({1, 2}, {3}), ((), PARTS_OF_ALL)])
async def test_parts_that_are_all_there_are_settled_in_order(
    dying: Dying, coordinator: Coordinator, noted: Iterable[int], unnoted: Iterable[int]
) -> None:
    dying.send(noted=noted, unnoted=unnoted)
    assert await dying.next_start() is Resolution.SETTLED
    outcome = coordinator.settled[dying.lease.lease]
    assert isinstance(outcome, SettleDone)
    assert [(sent.part_no, sent.part_count) for sent in outcome.objects] == [(1, 3), (2, 3), (3, 3)]
    assert [dying.shelf.messages[sent.message_id] for sent in outcome.objects] == list(map(dying.code, PARTS_OF_ALL))


async def test_all_parts_of_a_lease_that_is_lost_are_taken_out(dying: Dying, coordinator: Coordinator) -> None:
    dying.send(noted=PARTS_OF_ALL)
    coordinator.lose(dying.lease)
    assert await dying.next_start() is Resolution.WITHDRAWN
    assert dying.shelf.messages == {}


async def test_parts_that_were_settled_before_the_answer_was_heard_stay(dying: Dying, coordinator: Coordinator) -> None:
    dying.send(noted=PARTS_OF_ALL)
    before = dying.path.read_bytes()
    assert await dying.next_start() is Resolution.SETTLED
    dying.path.write_bytes(before)  # it died before it could write down that nothing is open
    assert await dying.next_start() is Resolution.SETTLED
    assert len(dying.shelf.messages) == PARTS


async def test_what_was_closed_is_nobodys_business(dying: Dying) -> None:
    dying.send(noted={1})
    with Journal(dying.path) as journal:
        journal.append(Closed(dying.lease.lease))
    assert await dying.next_start() is None
    assert len(dying.shelf.messages) == 1


async def test_leases_that_are_held_are_left_to_their_jobs(
    dying: Dying, coordinator: Coordinator, web_session: aiohttp.ClientSession
) -> None:
    dying.send(noted={1})
    with Journal(dying.path) as journal:
        client = CoordinatorClient(web_session, coordinator.url, TOKEN, SystemClock())
        recovery = Recovery(cast("Channels", dying.shelf), journal, client)
        await recovery.resolve_all(held={dying.lease.lease})
        assert len(dying.shelf.messages) == 1
        await recovery.resolve_all()
        assert dying.shelf.messages == {}


async def test_messages_of_a_variant_that_is_held_again_are_left_alone(
    dying: Dying, coordinator: Coordinator, web_session: aiohttp.ClientSession
) -> None:
    dying.send(noted=PARTS_OF_ALL)
    coordinator.lose(dying.lease)
    with Journal(dying.path) as journal:
        client = CoordinatorClient(web_session, coordinator.url, TOKEN, SystemClock())
        recovery = Recovery(cast("Channels", dying.shelf), journal, client)
        await recovery.resolve_all(held={"1.99.1", dying.lease.code})
        assert len(dying.shelf.messages) == PARTS
        assert journal.open_leases() == (dying.lease.lease,)
