from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from telecine.core.coordinator.app import ROUTES
from telecine.core.coordinator.calls import ANYONE, Route
from telecine.core.coordinator.tokens import Scope

if TYPE_CHECKING:
    from tests.core.coordinator.conftest import Api

GUARDED = tuple(route for route in ROUTES if route.scopes != ANYONE)


def _path(route: Route) -> str:
    """An address of the call: every placeholder filled."""
    return re.sub(r"\{\w+\}", "1", route.path)


async def test_every_guarded_call_asks_for_a_token(api: Api) -> None:
    for route in GUARDED:
        async with api.client.request(route.method, api.server.url + _path(route)) as response:
            problem = await response.json(content_type=None)
            assert response.status == 401, route
            assert response.content_type == "application/problem+json"
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
            assert problem["type"] == "urn:telecine:problem:unauthorized"


async def test_every_guarded_call_refuses_the_other_scope(api: Api) -> None:
    for route in GUARDED:
        for scope in set(Scope) - route.scopes:
            headers = api.as_worker() if scope is Scope.WORKER else api.as_operator()
            url = api.server.url + _path(route)
            async with api.client.request(route.method, url, headers=headers) as response:
                assert response.status == 403, route
                assert (await response.json(content_type=None))["type"] == "urn:telecine:problem:forbidden"


def test_only_probes_and_metrics_are_open() -> None:
    assert {route.path for route in ROUTES if route.scopes == ANYONE} == {"/healthz", "/readyz", "/metrics"}


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
    "line",
    ["Authorization: Bearer s3cret\x00s3cret", "Authorization Bearer s3cret", "Authorization: " + "s3cret" * 2000],
)
async def test_line_that_cannot_be_parsed_is_not_quoted_in_the_log(
    api: Api, caplog: pytest.LogCaptureFixture, line: str
) -> None:
    caplog.set_level(logging.DEBUG)
    parts = urlsplit(api.server.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(f"GET /v1/status HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n".encode())
    assert (await reader.read()).split(b" ")[1] == b"400"
    writer.close()
    await writer.wait_closed()
    assert "127.0.0.1" in caplog.text
    assert "s3cret" not in caplog.text
