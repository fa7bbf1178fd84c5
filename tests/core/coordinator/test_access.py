from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import jwt
import pytest

from telecine.core.coordinator.admission import CALLS_PER_TOKEN_MAX
from telecine.core.coordinator.app import ROUTES
from telecine.core.coordinator.calls import ANYONE, Route
from telecine.core.coordinator.tokens import Scope

if TYPE_CHECKING:
    from tests.core.coordinator.conftest import Api

GUARDED = tuple(route for route in ROUTES if route.scopes != ANYONE)


def _path(route: Route) -> str:
    """An address of the call: every placeholder filled."""
    return re.sub(r"\{\w+\}", "1", route.path)


def _name(value: object) -> str:
    return f"{value.method} {value.path}" if isinstance(value, Route) else str(value)


@pytest.mark.parametrize("route", GUARDED, ids=_name)
async def test_guarded_call_asks_for_a_token(api: Api, route: Route) -> None:
    foreign = jwt.encode({"sub": "mallory", "scope": "operator"}, "another coordinator's secret" * 2, "HS256")
    for headers in ({}, {"Authorization": f"Bearer {foreign}"}):
        async with api.client.request(route.method, api.server.url + _path(route), headers=headers) as response:
            problem = await response.json(content_type=None)
            assert response.status == 401
            assert response.content_type == "application/problem+json"
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
            assert problem["type"] == "urn:telecine:problem:unauthorized"
    assert not api.queue.heard


@pytest.mark.parametrize(
    ("route", "scope"), [(route, scope) for route in GUARDED for scope in set(Scope) - route.scopes], ids=_name
)
async def test_guarded_call_refuses_the_other_scope(api: Api, route: Route, scope: Scope) -> None:
    headers = api.as_worker() if scope is Scope.WORKER else api.as_operator()
    async with api.client.request(route.method, api.server.url + _path(route), headers=headers) as response:
        assert response.status == 403
        assert (await response.json(content_type=None))["type"] == "urn:telecine:problem:forbidden"
    assert not api.queue.heard


def test_workers_and_operators_share_no_call_but_one() -> None:
    assert [route.path for route in ROUTES if len(route.scopes) > 1] == ["/v1/variants/{code}"]


def test_only_probes_metrics_and_the_description_are_open() -> None:
    opened = {route.path for route in ROUTES if route.scopes == ANYONE}
    assert opened == {"/healthz", "/readyz", "/metrics", "/v1/openapi.json"}


async def test_calls_at_once_are_limited_by_token(api: Api) -> None:
    await api.queue.claiming.acquire()
    claims = [asyncio.create_task(api.claim(f"r{n}").__aenter__()) for n in range(CALLS_PER_TOKEN_MAX)]
    await api.queue.until(lambda: len(api.queue.heard) == CALLS_PER_TOKEN_MAX)
    async with api.claim("one too many") as response:
        assert (response.status, response.content_type) == (429, "application/problem+json")
        assert int(response.headers["Retry-After"]) > 0
    assert len(api.queue.heard) == CALLS_PER_TOKEN_MAX
    async with api.get("/v1/status") as response:  # another token is not meant
        assert response.status == 200
    api.queue.claiming.release()
    assert {(await claim).status for claim in claims} == {204}
    async with api.claim("again") as response:
        assert response.status == 204


async def test_revoked_and_expired_tokens_are_turned_away_on_their_next_call(api: Api) -> None:
    async with api.get("/v1/status") as response:
        assert response.status == 200
    await api.services.tokens.revoke("operator-1")
    async with api.get("/v1/status") as response:
        assert response.status == 401
    api.clock.ahead_ms = 3_601_000
    async with api.claim() as response:
        assert response.status == 401
        assert "expired" in (await response.json(content_type=None))["detail"]


async def test_token_that_is_revoked_while_its_claim_waits_gets_no_lease(api: Api) -> None:
    async def claim() -> int:
        async with api.claim(wait_s=9) as response:
            return int(response.status)

    claiming = asyncio.create_task(claim())
    await api.queue.until(lambda: api.queue.waiting == 1)
    await api.services.tokens.revoke("worker-1")
    await api.queue.put("CM_M000001_720P")
    assert await claiming == 401
    assert not api.queue.leased


@pytest.mark.parametrize("header", ["Bearer", "Bearer \udcff\udcfe", "Bearer a.b.c", "Basic YWRhOnNlY3JldA=="])
async def test_broken_header_is_401_over_the_wire(api: Api, header: str) -> None:
    async with api.client.get(api.server.url + "/v1/status", headers={"Authorization": header}) as response:
        assert response.status == 401


async def test_no_token_and_no_query_reaches_the_log(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with api.get("/v1/titles?q=a-private-search") as response:
        assert response.status == 200
    async with api.get("/v1/titles?q=a-private-search", token="a.forged.token") as response:
        assert response.status == 401
    assert "GET /v1/titles: 200" in caplog.text
    assert api.operator not in caplog.text
    assert "forged" not in caplog.text
    assert "private" not in caplog.text


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Authorization: Bearer s3cret\x00s3cret", 400),
        ("Authorization Bearer s3cret", 400),
        ("Authorization: " + "s3cret" * 3000, 431),
    ],
)
async def test_line_that_cannot_be_parsed_is_not_quoted_in_the_log(
    api: Api, caplog: pytest.LogCaptureFixture, line: str, expected: int
) -> None:
    caplog.set_level(logging.DEBUG)
    parts = urlsplit(api.server.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(f"GET /v1/status HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n".encode())
    status = int((await reader.readline()).split(b" ")[1])
    writer.close()
    await writer.wait_closed()
    assert status == expected
    assert f"what is no request: {expected}" in caplog.text
    assert "s3cret" not in caplog.text
