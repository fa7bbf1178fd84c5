"""The operators' client of the API: what it sends, and what it makes of whatever answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from aiohttp import web
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.certificates import self_signed
from yarl import URL

from telecine.core import api as api_module
from telecine.core.api import Api, path_of
from telecine.core.config import OperatorSettings
from telecine.core.errors import (
    ConfigError,
    ForbiddenError,
    InputError,
    NotFoundError,
    TelecineError,
    UnauthorizedError,
    UnavailableError,
)
from telecine.core.operator_protocol import HostLimit, HostStatus, Priority, VariantMoved

TOKEN = "a.b.c"
Nothing: Any = type(None)
HOST = HostStatus("files.example:80", 0, 2, 0, 0.0, None)


class Arrived(msgspec.Struct, frozen=True):
    """A request as the server got it."""

    method: str
    raw_path: str
    headers: Mapping[str, str]
    body: bytes


Answers = Callable[[web.Response], AbstractAsyncContextManager[tuple[Api, list[Arrived]]]]


@pytest.fixture
def answering() -> Answers:
    """A server that gives one answer to everything, the client that asks it, and what arrived."""

    @asynccontextmanager
    async def serve(response: web.Response) -> AsyncIterator[tuple[Api, list[Arrived]]]:
        arrived: list[Arrived] = []

        async def handle(request: web.BaseRequest) -> web.Response:
            sent = request.method, request.rel_url.raw_path, request.headers, await request.read()
            arrived.append(Arrived(*sent))
            return response

        runner = web.ServerRunner(web.Server(handle))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
            async with Api(OperatorSettings(coordinator_url=url, token=TOKEN)) as api:
                yield api, arrived
        finally:
            await runner.cleanup()

    return serve


def json_answer(body: str, status: int = 200) -> web.Response:
    return web.Response(text=body, status=status, content_type="application/json")


def problem(code: str, status: int) -> web.Response:
    return json_answer(
        f'{{"type":"urn:telecine:problem:{code}","title":"t","status":{status},"detail":"no such host"}}', status
    )


# ---- what it sends -------------------------------------------------------------------------------


async def test_a_message_is_sent_as_json_with_the_token(answering: Answers) -> None:
    async with answering(json_answer('{"code":"C","state":"ready"}')) as (api, arrived):
        moved = await api.post(path_of("variants", "C", "priority"), VariantMoved, Priority(0))
    assert moved.code == "C"
    request = arrived[0]
    assert (request.method, request.raw_path) == ("POST", "/v1/variants/C/priority")
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert request.body == b'{"priority":0}'


async def test_a_call_without_a_message_has_no_body(answering: Answers) -> None:
    async with answering(json_answer('{"code":"C","state":"ready"}')) as (api, arrived):
        await api.post("/v1/variants/C/retry", VariantMoved)
    assert arrived[0].body == b""
    assert arrived[0].headers.get("Content-Type") != "application/json"


async def test_a_name_with_signs_of_a_url_arrives_as_it_is(answering: Answers) -> None:
    name = "a b/c?d#e%2f:80"
    async with answering(json_answer(msgspec.json.encode(HOST).decode())) as (api, arrived):
        assert await api.post(path_of("hosts", name, "limit"), HostStatus, HostLimit(2)) == HOST
    assert [unquote(segment) for segment in arrived[0].raw_path.split("/")[3:]] == [name, "limit"]


@given(st.text(min_size=1))
def test_a_path_has_as_many_segments_as_it_was_given(name: str) -> None:
    assume(name not in {".", ".."})
    path = URL("http://coordinator" + path_of("hosts", name, "limit")).raw_path
    assert [unquote(segment) for segment in path.split("/")] == ["", "v1", "hosts", name, "limit"]


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_segment_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="is not a name"):
        path_of("hosts", name, "limit")


def test_a_token_must_be_there() -> None:
    with pytest.raises(ConfigError, match=r"operator\.token is missing"):
        Api(OperatorSettings())


# ---- what it makes of answers --------------------------------------------------------------------


async def test_an_answer_without_a_body_is_none(answering: Answers) -> None:
    async with answering(web.Response(status=204)) as (api, _):
        assert await api.post("/v1/x", Nothing) is None


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (problem("not_found", 404), NotFoundError, "^no such host$"),
        (problem("unauthorized", 401), UnauthorizedError, "refuses operator.token: no such host"),
        (problem("forbidden", 403), ForbiddenError, "refuses operator.token"),
        (problem("unavailable", 503), UnavailableError, "answers: no such host"),
        (web.Response(text="<html>", status=502), UnavailableError, "HTTP status 502"),
        (web.Response(text="<html>", status=404), TelecineError, "not as a coordinator says it"),
        (web.Response(text="<html>"), UnavailableError, "does not answer like a coordinator"),
        (json_answer('{"name":1}'), UnavailableError, "does not answer like a coordinator"),
        (web.Response(status=302, headers={"Location": "/elsewhere"}), UnavailableError, "does not answer like"),
    ],
)
async def test_what_is_refused_or_strange_is_told_apart(
    answering: Answers, answer: web.Response, kind: type[TelecineError], words: str
) -> None:
    async with answering(answer) as (api, _):
        with pytest.raises(kind, match=words) as caught:
            await api.get("/v1/hosts/x", HostStatus)
    assert type(caught.value) is kind


@pytest.mark.parametrize(("code", "status"), [("unauthorized", 401), ("forbidden", 403)])
async def test_a_token_that_is_refused_comes_with_the_command_for_one_of_an_operator(
    answering: Answers, code: str, status: int
) -> None:
    body = {"type": f"urn:telecine:problem:{code}", "title": "t", "status": status, "detail": "no", "hint": "another"}
    async with answering(json_answer(msgspec.json.encode(body).decode(), status)) as (api, _):
        with pytest.raises(TelecineError) as caught:
            await api.get("/v1/hosts/x", HostStatus)
    assert caught.value.hint == "`telecine token issue --operator NAME` on the main machine prints one"


async def test_nobody_at_the_address_is_a_temporary_failure() -> None:
    async with Api(OperatorSettings(coordinator_url="http://127.0.0.1:9", token=TOKEN)) as api:
        with pytest.raises(UnavailableError, match=r"no coordinator answers at http://127\.0\.0\.1:9"):
            await api.get("/v1/status", HostStatus)


@pytest.mark.parametrize(
    "url", ["http://..", f"http://{'a' * 64}", "http://a..b:80", "http://:80", "http://127.0.0.1:99999", "http://[::1"]
)
async def test_an_address_that_nobody_can_have_is_a_setting_to_mend(url: str) -> None:
    async with Api(OperatorSettings(coordinator_url=url, token=TOKEN)) as api:
        with pytest.raises(ConfigError, match=r"operator\.coordinator_url: .* is no address that can be asked"):
            await api.get("/v1/status", HostStatus)


async def test_a_certificate_that_does_not_hold_is_named_and_may_hold_tomorrow(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=self_signed(tmp_path))
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with Api(OperatorSettings(coordinator_url=url, token=TOKEN)) as api:
            with pytest.raises(UnavailableError, match=rf"the certificate of {url} does not hold: .*self-signed"):
                await api.get("/v1/status", HostStatus)


async def test_a_coordinator_that_says_nothing_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_module, "TIMEOUT_S", 0.05)
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with Api(OperatorSettings(coordinator_url=url, token=TOKEN)) as api:
            with pytest.raises(UnavailableError, match=r"no coordinator answers at .*: nothing within 0.05 s"):
                await api.get("/v1/status", HostStatus)
