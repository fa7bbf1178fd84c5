"""Every way in which the emulated host goes wrong, and what each means for a link."""

from __future__ import annotations

import random

import pytest

from telecine.core.emulator.sources.faults import SourceFaultKind as Fault
from telecine.core.reasons import Reason
from telecine.core.worker.sources.source import SourceError

from .conftest import Hosted, whole

NAME = "film.mkv"
CONTENT = random.Random(11).randbytes(1_500_000)

OUTCOMES: dict[Fault, tuple[dict[str, object], Reason | None]] = {
    Fault.DEAD: ({}, Reason.GONE),
    Fault.RATE_LIMITED: ({}, Reason.RATE_LIMITED),
    Fault.SLOW: ({"bytes_per_s": 100_000}, Reason.STALLED),
    Fault.STALL: ({"after_bytes": 100_000}, Reason.STALLED),
    Fault.TRUNCATED: ({"after_bytes": 10_000}, Reason.TRUNCATED),
    Fault.LYING_TYPE: ({}, None),
    Fault.LYING_LENGTH: ({"content_length": 3_000_000}, None),  # ranges tell the truth
    Fault.NO_RANGES: ({}, None),
    Fault.NO_LENGTH: ({}, None),
    Fault.NO_HEAD: ({}, None),  # nobody asks for HEAD
    Fault.CHANGING: ({}, Reason.WRONG_CONTENT),
    Fault.RESIZED: ({}, Reason.WRONG_CONTENT),
    Fault.NO_VALIDATORS: ({}, None),
    Fault.WRONG_RANGE: ({}, Reason.NETWORK),
    Fault.COMPRESSED: ({}, Reason.NOT_MEDIA),
    Fault.CROWDED: ({}, None),
    Fault.REDIRECT: ({"location": "file:///etc/passwd"}, Reason.FORBIDDEN),
    Fault.REDIRECT_LOOP: ({}, Reason.GONE),
    Fault.HTML_PAGE: ({}, Reason.NOT_MEDIA),
}


def test_every_fault_is_tried() -> None:
    assert set(OUTCOMES) == set(Fault)


@pytest.mark.parametrize("fault", list(Fault))
async def test_fault_ends_in_its_reason_or_in_the_bytes_of_the_file(fault: Fault, sources: Hosted) -> None:
    numbers, reason = OUTCOMES[fault]
    sources.add(NAME, CONTENT)
    sources.break_link(NAME, fault, **numbers)
    if reason is not None:
        assert (await sources.failure(NAME)).reason is reason
        return
    async with sources.open(NAME) as source:
        assert await whole(source) == CONTENT


@pytest.mark.parametrize("fault", [kind for kind, (_, reason) in OUTCOMES.items() if reason is not None])
async def test_failure_leaves_no_connection_behind_and_the_next_source_works(fault: Fault, sources: Hosted) -> None:
    sources.add(NAME, CONTENT)
    sources.add("next.mkv", CONTENT)
    sources.break_link(NAME, fault, **OUTCOMES[fault][0])
    async with sources.boot() as boot:
        with pytest.raises(SourceError):
            async with boot.open(sources.of(NAME)) as source:
                await whole(source)
        async with boot.open(sources.of("next.mkv")) as source:
            assert await whole(source) == CONTENT


async def test_redirect_to_a_private_address_is_refused(sources: Hosted) -> None:
    sources.break_link(NAME, Fault.REDIRECT)
    assert (await sources.failure(NAME, allow_private_sources=False)).reason is Reason.FORBIDDEN


async def test_packed_file_is_refused_with_its_why_before_it_is_unpacked(sources: Hosted) -> None:
    sources.add(NAME, b"\0" * 2_000_000)
    sources.break_link(NAME, Fault.COMPRESSED)
    async with sources.boot() as boot:
        with pytest.raises(SourceError, match="compressed"):
            async with boot.open(sources.of(NAME)):
                pass


@pytest.mark.parametrize("fault", [Fault.CHANGING, Fault.RESIZED])
async def test_change_in_the_middle_of_a_file_is_seen(fault: Fault, sources: Hosted) -> None:
    sources.add(NAME, CONTENT * 8)
    sources.break_link(NAME, fault, after_requests=3)
    assert (await sources.failure(NAME)).reason is Reason.WRONG_CONTENT


async def test_lying_length_without_ranges_is_truncated_or_cut(sources: Hosted) -> None:
    sources.add(NAME, CONTENT)
    sources.break_link(NAME, Fault.NO_RANGES)
    sources.break_link(NAME, Fault.LYING_LENGTH, content_length=2_000_000)
    assert (await sources.failure(NAME)).reason is Reason.TRUNCATED
