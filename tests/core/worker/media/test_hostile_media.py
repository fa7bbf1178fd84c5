"""Files that were tampered with, in the real child: whatever they do, the worker gets an answer and goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from time import monotonic

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telecine.core.plans import Expectation, Probe, plan
from telecine.core.quality import Quality
from telecine.core.reasons import Reason
from telecine.core.worker.media.process import MediaChild, MediaLimits
from telecine.core.worker.sources.errors import SourceError

from .conftest import KINDS, Clip
from .held import HeldSource

SAMPLES = ("mp4", "mp4_moov_last", "mkv", "avi", "webm_vp8")
LIMITS = MediaLimits(memory_bytes_max=1024**3, cpu_s_max=20, silence_s=10.0)
ANSWER_S_MAX = 15.0

places = st.floats(0, 1, exclude_max=True)
# The head of a file is where most harm can be done.
somewhere = st.one_of(places.map(lambda share: share**4), places)
bytes_written = st.tuples(somewhere, st.binary(min_size=1, max_size=12))
lengths_written = st.tuples(somewhere, st.sampled_from([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00" * 4]))
mutations = st.lists(bytes_written | lengths_written, min_size=1, max_size=12)


class Target:
    """A child that is kept from file to file for as long as it lives."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._stack = AsyncExitStack()
        self._source = HeldSource(b"")
        self._media: MediaChild | None = None

    def probe(self, content: bytes) -> Probe | SourceError:
        """The child's answer, or what became of it. Fails the test for anything else."""
        return self._runner.run(self._probe(content))

    async def _probe(self, content: bytes) -> Probe | SourceError:
        if self._media is None or self._source.size_bytes != len(content):
            await self._stack.aclose()
            self._source = HeldSource(content)
            self._media = await self._stack.enter_async_context(MediaChild.start(self._source, LIMITS))
        self._source.replace(content)
        try:
            found = await self._media.probe()
            await self._media.thumbnail()
        except SourceError as error:
            if "parser" in str(error):
                self._media = None  # it died of it
            return error
        return found

    def close(self) -> None:
        self._runner.run(self._stack.aclose())


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with asyncio.Runner() as runner:
        child = Target(runner)
        yield child
        child.close()


@pytest.fixture(scope="module")
def contents(clip: Clip) -> dict[str, bytes]:
    small = {kind: msgspec.structs.replace(KINDS[kind], name=f"small-{kind}", seconds=0.5) for kind in SAMPLES}
    return {kind: clip(spec).read_bytes() for kind, spec in small.items()}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(SAMPLES), changes=mutations)
def test_file_that_was_tampered_with_is_probed_or_refused(
    kind: str, changes: list[tuple[float, bytes]], contents: dict[str, bytes], target: Target
) -> None:
    content = bytearray(contents[kind])
    for share, data in changes:
        at = int(share * len(content))
        content[at : at + len(data)] = data[: len(content) - at]
    started_s = monotonic()
    found = target.probe(bytes(content))
    assert monotonic() - started_s < ANSWER_S_MAX
    if isinstance(found, SourceError):
        assert found.reason in (Reason.NOT_MEDIA, Reason.TRUNCATED)
    else:
        assert plan(found, Expectation(Quality.TINY, 1 << 31)).why


BRAND = b"\x00\x00\x00\x14ftypisom\x00\x00\x02\x00isom"
BOMBS = {
    "boxes without end": b"\x00\x00\x00\x08moov" * 100_000,
    "boxes in boxes": BRAND + b"".join((200_000 - 8 * depth).to_bytes(4, "big") + b"moov" for depth in range(20_000)),
    "a table of four thousand million": BRAND
    + b"\x00\x10\x00\x00moov\x00\x0f\xff\xf8trak\x00\x0f\xff\xf0stbl\x00\x0f\xff\xe8stsz"
    + bytes(8)
    + b"\xff" * 4
    + bytes(1 << 20),
    "tracks without end": b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01"
    + b"\xff" * 7
    + b"\x16\x54\xae\x6b\x84\xae\x82\xd7\x00" * 50_000,
    "lists in lists": b"RIFF\xff\xff\xff\x00AVI LIST\xff\xff\xff\x7fhdrl" + b"LIST\xff\xff\xff\x7fstrl" * 50_000,
    "packets of nothing": b"\x47\x40\x00\x10" + b"\xff" * 184 + (b"\x47\x1f\xff\x10" + b"\xff" * 184) * 5_000,
}


@pytest.mark.parametrize("content", BOMBS.values(), ids=BOMBS)
def test_bomb_costs_a_failed_probe_and_no_more(content: bytes, target: Target) -> None:
    started_s = monotonic()
    found = target.probe(content)
    assert monotonic() - started_s < ANSWER_S_MAX
    if isinstance(found, Probe):
        assert plan(found, Expectation(Quality.AUTO, 1 << 31)).reason is Reason.NOT_MEDIA
    else:
        assert found.reason in (Reason.NOT_MEDIA, Reason.TRUNCATED)


@given(kind=st.sampled_from(SAMPLES), share=places)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_file_that_breaks_off_is_refused(kind: str, share: float, contents: dict[str, bytes], target: Target) -> None:
    content = contents[kind][: int(share * (len(contents[kind]) - 200))]
    found = target.probe(content)
    assert isinstance(found, SourceError)
    assert found.reason in (Reason.NOT_MEDIA, Reason.TRUNCATED)
