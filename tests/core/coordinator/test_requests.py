"""What the API does with requests that are not as they should be."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.waiting import until
from yarl import URL

from telecine.core.codes import PART_COUNT_MAX
from telecine.core.coordinator.calls import PARAMETERS_MAX, decode
from telecine.core.coordinator.http.limits import Limits
from telecine.core.errors import ConfigError, InputError, StoreError
from telecine.core.leases import LEASE_CHARS_MAX
from telecine.core.protocol import SOURCES_PER_LEASE_MAX, SettleFailed, SettleRequest
from telecine.core.reasons import Reason

if TYPE_CHECKING:
    from tests.core.coordinator.conftest import Api

HELLO = {"boot_id": "b1", "version": "1", "telegram_user_id": 1, "premium": False}
BODY_BYTES_MAX = Limits().body_bytes_max
OBJECT = {"part_no": 1, "part_count": 1, "channel_id": 1, "message_id": 1, "size_bytes": 1, "sha256": 64 * "0"}
SOURCE = {"link_id": 1, "reason": "gone"}
TOO_LONG = "1.1." + "1" * LEASE_CHARS_MAX


def _done(**reports: Any) -> dict[str, Any]:
    """A settlement; what is not given is empty."""
    return {"boot_id": "b1", "outcome": {"type": "done", "plan": "direct", "sources": [], "objects": [], **reports}}


async def _problem(response: Any) -> dict[str, Any]:
    assert response.content_type == "application/problem+json"
    problem: dict[str, Any] = await response.json(content_type=None)
    assert problem["status"] == response.status
    assert {"type", "title", "detail"} <= problem.keys()
    return problem


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/workers/hello", HELLO | {"premium": "yes"}, "premium"),
        ("/v1/workers/hello", HELLO | {"extra": 1}, "extra"),
        ("/v1/workers/hello", {"boot_id": "b1"}, "version"),
        ("/v1/workers/hello", HELLO | {"boot_id": ""}, "boot_id"),
        ("/v1/workers/hello", HELLO | {"telegram_user_id": 2**63}, "telegram_user_id"),
        ("/v1/workers/hello", HELLO | {"telegram_user_id": -1}, "telegram_user_id"),
        ("/v1/workers/hello", [], None),
        ("/v1/leases", {"boot_id": "b1", "request_id": "r", "wait_s": "long"}, "wait_s"),
        ("/v1/leases", {"boot_id": "b1", "request_id": "r", "wait_s": -1}, "wait_s"),
        ("/v1/leases/beat", {"boot_id": "b1", "leases": [{"lease": "1.1.1", "stage": "idle"}]}, "leases[0].stage"),
        ("/v1/leases/1.1.1/settle", {"boot_id": "b1", "outcome": {"type": "won"}}, "outcome.type"),
        ("/v1/leases/1.1.1/settle", {"boot_id": "b1", "outcome": {}}, "outcome.type"),
        ("/v1/leases/1.1.1/settle", _done(objects=[OBJECT | {"sha256": "abc"}]), "outcome.objects[0].sha256"),
        ("/v1/leases/1.1.1/settle", _done(objects=[OBJECT | {"sha256": 64 * "0" + "\n"}]), "outcome.objects[0].sha256"),
        ("/v1/leases/1.1.1/settle", _done(objects=[OBJECT | {"message_id": 0}]), "outcome.objects[0].message_id"),
        ("/v1/leases/1.1.1/settle", _done(objects=[OBJECT | {"channel_id": 0}]), "outcome.objects[0].channel_id"),
        ("/v1/leases/1.1.1/settle", _done(objects=[OBJECT] * (PART_COUNT_MAX + 1)), "outcome.objects"),
        ("/v1/leases/1.1.1/settle", _done(sources=[SOURCE] * (SOURCES_PER_LEASE_MAX + 1)), "outcome.sources"),
        (f"/v1/leases/{TOO_LONG}/settle", {"boot_id": "b1", "outcome": {"type": "released"}}, "lease"),
        ("/v1/leases/beat", {"boot_id": "b1", "leases": [{"lease": TOO_LONG, "stage": "opening"}]}, "leases[0].lease"),
        ("/v1/workers/hello", HELLO | {"telegram_user_id": 0}, "telegram_user_id"),
        ("/v1/channels/1/opened", {"telegram_id": 0}, "telegram_id"),
        ("/v1/channels/1/opened", {"telegram_id": "4242"}, "telegram_id"),
        ("/v1/channels/one/opened", {"telegram_id": 1}, "id"),
        (f"/v1/channels/{2**63}/opened", {"telegram_id": 1}, "id"),
    ],
)
async def test_wrong_field_is_named(api: Api, path: str, body: Any, field: str | None) -> None:
    async with api.post(path, body) as response:
        problem = await _problem(response)
    assert (problem["status"], problem["type"]) == (400, "urn:telecine:problem:input")
    assert problem.get("field") == field
    assert not api.queue.heard


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (b'"type":"failed","type":"released","reason":"gone","sources":[]', 400),
        (b'"type":"released","type":"failed","reason":"gone","sources":[]', 400),
        (b'"type":"failed","reason":"nonsense","reason":"gone","sources":[],"sources":[]', 400),
        (b'"type":"failed","reason":"stalled","reason":"gone","sources":[],"sources":[]', 200),
    ],
)
async def test_field_given_twice_is_its_last_but_an_outcome_is_of_one_type(
    api: Api, outcome: bytes, status: int
) -> None:
    await api.queue.put("CM_M000001_720P")
    async with api.claim() as response:
        lease = (await response.json())["lease"]
    settlement = b'{"boot_id":"b0","boot_id":"b1","outcome":{%b}}' % outcome
    async with api.post(f"/v1/leases/{lease}/settle", data=settlement) as response:
        assert response.status == status
    ended = [outcome for _, outcome in api.queue.settled.values()]
    assert ended == ([SettleFailed(Reason.GONE, ())] if status == 200 else [])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"boot_id": NaN}',
        b'"\xff\xfe"',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"\x00",
        b"1" * 5000,
        b"{} {}",
        b'{"boot_id":"\\ud800","request_id":"r"}',
        b"null",
    ],
)
async def test_body_that_is_not_json_is_400(api: Api, body: bytes) -> None:
    async with api.post("/v1/leases", data=body) as response:
        assert (await _problem(response))["status"] == 400


@given(body=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
@settings(max_examples=60, deadline=None)
def test_no_body_makes_the_coordinator_fail(body: bytes) -> None:
    """Decoding alone, so that many bodies can be tried."""
    with pytest.raises(InputError):
        decode(body, SettleRequest)


async def test_huge_body_is_413_whether_announced_or_not(api: Api) -> None:
    async def endless() -> Any:
        for _ in range(BODY_BYTES_MAX // 65_536 + 2):
            yield b" " * 65_536

    for body in (io.BytesIO(b" " * (BODY_BYTES_MAX + 1)), endless()):
        async with api.client.post(api.server.url + "/v1/leases", data=body, headers=api.as_worker()) as response:
            assert (await _problem(response))["status"] == 413


async def test_compressed_body_is_415(api: Api) -> None:
    headers = {**api.as_worker(), "Content-Encoding": "gzip"}
    bomb = gzip.compress(b" " * (BODY_BYTES_MAX * 20))
    async with api.client.post(api.server.url + "/v1/leases", data=bomb, headers=headers) as response:
        assert (await _problem(response))["status"] == 415
    assert not api.queue.heard


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/imports"), ("POST", "/v1/accounts/cm-ember/unpark"), ("GET", "/v1/status"), ("GET", "/healthz")],
)
async def test_body_that_a_call_does_not_take_is_refused(api: Api, method: str, path: str) -> None:
    async def chunks() -> Any:
        yield b"{}"

    bodies: list[Any] = [b"{}", io.BytesIO(b" " * (BODY_BYTES_MAX + 1)), chunks()]
    for body in bodies:
        url, headers = api.server.url + path, api.as_operator()
        async with api.client.request(method, url, data=body, headers=headers) as response:
            assert (await _problem(response))["status"] == 400
            assert response.headers["Connection"] == "close"
    assert not api.operations.heard


@pytest.mark.parametrize("media_type", ["application/json", "application/x-www-form-urlencoded", 'text/plain; x="', ""])
async def test_body_is_taken_for_json_whatever_it_is_called(api: Api, media_type: str) -> None:
    headers = {**api.as_worker(), "Content-Type": media_type}
    body = b'{"boot_id":"b1","request_id":"r1"}'
    async with api.client.post(api.server.url + "/v1/leases", data=body, headers=headers) as response:
        assert response.status == 204


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/titles?limit=many", "limit"),
        ("/v1/titles?limit=0", "limit"),
        ("/v1/titles?limit=101", "limit"),
        ("/v1/titles?offset=-1", "offset"),
        ("/v1/titles?page=2", "page"),
        ("/v1/titles?q=a&q=b", "q"),
        (f"/v1/titles?q={'a' * 300}", "q"),
        ("/v1/titles?limit=1e1", "limit"),
        ("/v1/titles?limit=1.0", "limit"),
        ("/v1/titles?limit=%2B1", "limit"),
        ("/v1/titles?limit=1_0", "limit"),
        ("/v1/titles?limit=%D9%A1", "limit"),
        ("/v1/titles?limit=", "limit"),
        ("/v1/titles?limit=true", "limit"),
        (f"/v1/titles?limit={'9' * 6000}", "limit"),
        ("/v1/attempts?before=null", "before"),
        ("/v1/attempts?before=NULL", "before"),
        ("/v1/attempts?outcome=null", "outcome"),
        ("/v1/variants?state=null", "state"),
        ("/v1/variants?state=lost", "state"),
        ("/v1/resolve/CM_M000001_720P", "bot_id"),
        ("/v1/resolve/CM_M000001_720P?bot_id=me", "bot_id"),
        ("/v1/titles/first", "id"),
        ("/v1/titles/1.5", "id"),
        ("/v1/titles/1.0", "id"),
        ("/v1/titles/1e0", "id"),
        ("/v1/titles/null", "id"),
        ("/v1/titles/%201", "id"),
        ("/v1/titles/-1", "id"),
        ("/v1/titles/%D9%A1x", "id"),
        (f"/v1/titles/{10**30}", "id"),
    ],
)
async def test_wrong_parameter_is_named(api: Api, path: str, field: str) -> None:
    async with api.get(path) as response:
        problem = await _problem(response)
    assert (problem["status"], problem["field"]) == (400, field)


async def test_word_for_nothing_is_a_word(api: Api) -> None:
    async with api.get("/v1/variants?account=null&after=null&limit=007") as response:
        assert response.status == 200
    assert api.catalogue.asked == [(None, "null", "null", 7)]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/status?full",
        "/v1/titles/1?limit=1",
        "/v1/workers?=",
        "/v1/titles?" + "&" * 99 + "a",
        "/v1/openapi.json?verbose",
        "/metrics?name=telecine_links",
        "/healthz?a",
    ],
)
async def test_parameter_that_a_call_does_not_take_is_refused(api: Api, path: str) -> None:
    async with api.client.get(URL(api.server.url + path, encoded=True), headers=api.as_operator()) as response:
        assert (await _problem(response))["status"] == 400


async def test_parameters_without_number_are_refused(api: Api) -> None:
    many = "&".join(f"a{number}=1" for number in range(PARAMETERS_MAX + 1))
    async with api.get(f"/v1/titles?{many}") as response:
        assert (await _problem(response))["status"] == 400


@pytest.mark.parametrize(
    "path",
    ["//v1/status", "/v1/status/", "/v1/", "/", "/v1/titles/", "/v1/titles/1/2", "/v1/../v1/status", "/V1/status"],
)
async def test_address_that_is_not_spelt_like_a_call_is_none(api: Api, path: str) -> None:
    async with api.client.get(URL(api.server.url + path, encoded=True), headers=api.as_operator()) as response:
        assert (await _problem(response))["status"] == 404


async def test_unknown_call_and_wrong_method_are_problems(api: Api) -> None:
    async with api.get("/v1/nothing") as response:
        problem = await _problem(response)
        assert (problem["status"], problem["type"]) == (404, "about:blank")
    async with api.get("/v1/leases") as response:
        assert (await _problem(response))["status"] == 405
        assert response.headers["Allow"] == "POST"
    async with api.client.request("PUT", api.server.url + "/v1/status", headers=api.as_operator()) as response:
        assert (await _problem(response))["status"] == 405
        assert response.headers["Allow"] == "GET, HEAD"


async def test_head_is_get_without_the_body(api: Api) -> None:
    async with api.get("/v1/titles") as response:
        expected = response.headers
    async with api.client.head(api.server.url + "/v1/titles", headers=api.as_operator()) as response:
        assert (response.status, await response.read()) == (200, b"")
        assert response.headers["ETag"] == expected["ETag"]
        assert response.headers["Content-Length"] == expected["Content-Length"]


@pytest.mark.parametrize(
    ("error", "status", "kind", "again_after"),
    [
        (RuntimeError("the key is hunter2"), 500, "error", None),
        (StoreError("/var/lib/telecine.db: disk full, hunter2"), 503, "unavailable", "2"),
    ],
    ids=["a bug", "the database"],
)
async def test_fault_of_ours_is_told_to_the_log_and_not_to_the_caller(
    api: Api, caplog: pytest.LogCaptureFixture, error: Exception, status: int, kind: str, again_after: str | None
) -> None:
    api.queue.error = error
    async with api.claim() as response:
        text = await response.text()
        assert (response.status, response.headers.get("Retry-After")) == (status, again_after)
        assert json.loads(text)["type"] == f"urn:telecine:problem:{kind}"
        request_id = response.headers["X-Request-ID"]
    assert "hunter2" not in text
    assert "hunter2" in caplog.text
    assert request_id in caplog.text


async def test_calls_that_fail_for_one_reason_are_one_line_of_the_log(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    api.queue.error = StoreError("the database cannot be written: database or disk is full")
    for _ in range(3):
        async with api.claim() as response:
            assert response.status == 503
    (line,) = [record for record in caplog.records if "disk is full" in record.getMessage()]
    assert line.exc_info is None, "where it happened says nothing about the disk"


async def test_setting_that_is_missing_is_told_to_the_operator(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def start() -> None:
        raise ConfigError("this coordinator has no CM to import from", hint="add the table [cm]")

    monkeypatch.setattr(api.services.imports, "start", start)
    async with api.post("/v1/imports", token=api.operator) as response:
        problem = await _problem(response)
    assert (problem["status"], problem["type"]) == (501, "urn:telecine:problem:config")
    assert problem["hint"] == "add the table [cm]"


async def test_answer_carries_the_callers_request_id_or_one_of_its_own(api: Api) -> None:
    async with api.get("/v1/status", **{"X-Request-ID": "mine-1.a"}) as response:
        assert response.headers["X-Request-ID"] == "mine-1.a"
    async with api.get("/v1/status", **{"X-Request-ID": "a b c; d" * 30}) as response:
        assert response.headers["X-Request-ID"].startswith("request-")
    async with api.client.get(api.server.url + "/v1/nothing") as response:
        assert response.headers["X-Request-ID"].startswith("request-")


async def test_client_that_leaves_in_the_middle_of_its_body_is_no_fault(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    parts = urlsplit(api.server.url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = f"POST /v1/leases HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.worker}\r\nContent-Length: 10\r\n\r\n{{"
    writer.write(head.encode())
    await writer.drain()
    await until(lambda: api.server.connections == 1)
    writer.close()
    await writer.wait_closed()
    await until(lambda: api.server.connections == 0)
    assert caplog.text == ""
