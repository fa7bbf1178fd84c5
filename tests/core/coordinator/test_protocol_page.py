"""docs/protocol.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp.web_protocol import MAX_MSG_QUEUE_SIZE

from telecine.core import errors
from telecine.core.coordinator.admission import CALLS_PER_TOKEN_MAX
from telecine.core.coordinator.app import ROUTES
from telecine.core.coordinator.calls import PARAMETERS_MAX
from telecine.core.coordinator.conditional import GZIP_BYTES_MIN
from telecine.core.coordinator.events import KEEP_ALIVE_S
from telecine.core.coordinator.http.limits import Limits
from telecine.core.coordinator.tokens import Scope
from telecine.core.events import EventKind
from telecine.core.protocol import (
    PROBLEM_TYPE,
    BeatAnswer,
    BeatRequest,
    ChannelOpened,
    ClaimRequest,
    Hello,
    Lease,
    Outcome,
    Settled,
    SettleRequest,
    Welcome,
)

PAGE = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text(encoding="utf-8")


def test_every_call_is_listed_with_who_may_make_it() -> None:
    listed = set(re.findall(r"^\| `(\w+ /\S+)` \| (\w+) \|", PAGE, re.MULTILINE))
    who = {frozenset[Scope](): "anyone", frozenset(Scope): "both"} | {frozenset({s}): s.value for s in Scope}
    assert listed == {(f"{route.method} {route.path}", who[route.scopes]) for route in ROUTES}


def test_every_error_of_the_table_exists_with_its_status() -> None:
    kinds = (kind for kind in vars(errors).values() if isinstance(kind, type))
    known = {(kind.http_status, kind.code) for kind in kinds if issubclass(kind, errors.TelecineError)}
    listed = re.findall(r"^\| (\d+) \| `(\w+)` \|", PAGE, re.MULTILINE)
    assert len(listed) == 10
    assert {(int(status), code) for status, code in listed} <= known
    assert PROBLEM_TYPE in PAGE


def test_every_bound_is_listed_as_it_is() -> None:
    limits = Limits()
    bounds = PAGE.partition("What a client may send")[2].partition("## Calls")[0]
    expected = {
        "address with its query": limits.target_bytes_max // 1024,
        "headers": limits.headers_max,
        "value of one header": limits.header_bytes_max // 1024,
        "body": limits.body_bytes_max // 1024**2,
        "parameters": PARAMETERS_MAX,
        "requests sent ahead": MAX_MSG_QUEUE_SIZE,
        "calls at once with one token": CALLS_PER_TOKEN_MAX,
        "clients at once": limits.connections_max,
        "time without a request on a connection": int(limits.idle_wait_s),
        "time without taking any of what is sent": int(limits.write_wait_s),
    }
    listed = re.findall(r"^\| ([a-z][^|]*) \| (\d+)", bounds, re.MULTILINE)
    assert {name: int(bound) for name, bound in listed} == expected
    assert f"a call has {limits.ahead_wait_s:g} s" in bounds
    assert f"all of them {limits.head_wait_s:g} s after" in bounds
    assert f"{limits.head_wait_s:g} s before the first" in bounds
    assert f"all of it {limits.body_wait_s:g} s after" in bounds
    assert f"more than {GZIP_BYTES_MIN} bytes" in PAGE


def test_every_event_is_listed() -> None:
    events = PAGE.partition("## Events")[2]
    assert set(re.findall(r"^\| `(\w+)` \|", events, re.MULTILINE)) == {kind.value for kind in EventKind}
    assert f"every {KEEP_ALIVE_S:g} s" in events


@pytest.mark.parametrize(
    ("call", "asks", "answers"),
    [
        ("workers/hello", Hello, Welcome),
        ("channels/1/opened", ChannelOpened, None),
        ("leases", ClaimRequest, Lease),
        ("leases/beat", BeatRequest, BeatAnswer),
        ("leases/1.1.1/settle", SettleRequest, Settled),
    ],
)
def test_conversation_is_made_of_real_messages(call: str, asks: Any, answers: Any) -> None:
    match = re.search(rf"^\$ api {re.escape(call)} '(?P<asked>[^']*)'\n(?P<told>[^$`]*)", PAGE, re.MULTILINE)
    assert match is not None
    msgspec.json.decode(match["asked"], type=asks)
    if answers is not None:
        msgspec.json.decode(match["told"], type=answers)


def test_other_outcomes_are_real_messages() -> None:
    outcomes = re.findall(r'^\{"type": "(?!urn).*\}$', PAGE, re.MULTILINE)
    assert len(outcomes) == 3
    for text in outcomes:
        msgspec.json.decode(text, type=Outcome)
