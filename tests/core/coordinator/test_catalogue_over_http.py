from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from telecine.core.catalogue import ImportRun, TitleDetail, VariantDetail
from telecine.core.delivery import Resolved
from telecine.core.errors import StoreError
from telecine.core.leases import VariantState
from telecine.core.operator_protocol import Status, TitlePage, VariantPage, Workers
from telecine.core.protocol import Contents

if TYPE_CHECKING:
    from tests.core.coordinator.conftest import Api

CODE = "CM_M000001_720P"


async def _got(response: Any, message: Any, status: int = 200) -> Any:
    assert response.status == status
    assert response.content_type == "application/json"
    return msgspec.json.decode(await response.read(), type=message)


async def test_search_hands_words_and_page_to_the_catalogue(api: Api) -> None:
    async with api.get("/v1/titles?q=night%20tr%C3%A4in&limit=5&offset=10") as response:
        page = await _got(response, TitlePage)
    assert page.titles[0].name == "Night Train"
    assert api.catalogue.asked == [("night träin", 5, 10)]


async def test_titles_without_words_are_listed(api: Api) -> None:
    async with api.get("/v1/titles") as response:
        await _got(response, TitlePage)
    assert api.catalogue.asked == [("", 20, 0)]


async def test_title_is_shown_and_a_missing_one_is_404(api: Api) -> None:
    async with api.get("/v1/titles/1") as response:
        assert (await _got(response, TitleDetail)).name == "Night Train"
    async with api.get("/v1/titles/2") as response:
        assert response.status == 404
        assert (await response.json(content_type=None))["type"] == "urn:telecine:problem:not_found"


async def test_variants_are_paged_to_their_end(api: Api) -> None:
    codes, after = [], ""
    while True:
        async with api.get(f"/v1/variants?state=ready&limit=2&after={after}") as response:
            page = await _got(response, VariantPage)
        codes += [variant.code for variant in page.variants]
        if page.after is None:
            break
        after = page.after
    assert tuple(codes) == api.catalogue.codes
    assert api.catalogue.asked[0] == (VariantState.READY, None, "", 2)


async def test_variant_is_shown_to_operators_and_workers(api: Api) -> None:
    for token in (api.operator, api.worker):
        async with api.get(f"/v1/variants/{CODE}", token=token) as response:
            assert (await _got(response, VariantDetail)).code == CODE


async def test_a_worker_asks_where_its_account_holds_a_file(api: Api) -> None:
    async with api.get(f"/v1/contents/{64 * 'a'}", token=api.worker) as response:
        held = (await _got(response, Contents)).objects
    assert [(one.channel_id, one.message_id, one.code) for one in held] == [(4242, 10, CODE)]
    assert api.catalogue.asked == [("cm-ember", 64 * "a")]


@pytest.mark.parametrize("hash_", ["a", 64 * "A", 63 * "a" + "g", 65 * "a", 64 * "a" + "%0A"])
async def test_what_is_no_hash_is_refused(api: Api, hash_: str) -> None:
    async with api.get(f"/v1/contents/{hash_}", token=api.worker) as response:
        problem = await response.json(content_type=None)
    assert (response.status, problem["field"]) == (400, "blake3")


async def test_operators_hold_no_files(api: Api) -> None:
    async with api.get(f"/v1/contents/{64 * 'a'}", token=api.operator) as response:
        assert response.status == 403


async def test_code_is_resolved_for_a_bot(api: Api) -> None:
    async with api.get(f"/v1/resolve/{CODE}?bot_id=77") as response:
        assert (await _got(response, Resolved)).title == "asked by 77"


async def test_import_starts_once_and_can_be_followed(api: Api) -> None:
    async with api.post("/v1/imports", token=api.operator) as response:
        started = await _got(response, ImportRun, status=202)
        location = response.headers["Location"]
    async with api.get(location) as response:
        assert await _got(response, ImportRun) == started
    async with api.post("/v1/imports", token=api.operator) as response:
        assert response.status == 409
    async with api.get("/v1/imports/2") as response:
        assert response.status == 404


async def test_status_and_workers_show_the_whole_system(api: Api) -> None:
    async with api.get("/v1/status") as response:
        status = await _got(response, Status)
    assert (status.version, status.counts.variants, status.channels) == ("0.0.test", 5, 3)
    async with api.get("/v1/workers") as response:
        assert (await _got(response, Workers)).workers == status.workers


async def test_probes_answer_without_a_token(api: Api) -> None:
    for path in ("/healthz", "/readyz"):
        async with api.client.get(api.server.url + path) as response:
            assert response.status == 200


async def _hang(api: Api) -> None:
    await api.queue.until(lambda: False)


async def _fail(api: Api) -> None:
    raise StoreError("disk I/O error")


@pytest.mark.parametrize("read", [_hang, _fail])
async def test_coordinator_without_its_database_is_alive_but_not_ready(
    api: Api, monkeypatch: pytest.MonkeyPatch, read: Callable[[Api], Awaitable[None]]
) -> None:
    monkeypatch.setattr("telecine.core.coordinator.status_routes.READY_WAIT_S", 0.02)
    monkeypatch.setattr(api.operations, "accounts", partial(read, api))
    async with api.client.get(api.server.url + "/readyz") as response:
        assert response.status == 503
    async with api.client.get(api.server.url + "/healthz") as response:
        assert response.status == 200


async def test_metrics_count_calls_claims_and_states(api: Api) -> None:
    await api.queue.put(CODE)
    for request_id in ("r1", "r1", "r2"):
        async with api.claim(request_id):
            pass
    async with api.client.get(api.server.url + "/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        lines = (await response.text()).splitlines()
    assert 'telecine_http_requests_total{call="POST /v1/leases",status="200"} 2' in lines
    assert 'telecine_claims_total{answer="lease"} 2' in lines  # the second repeats the first
    assert 'telecine_claims_total{answer="none"} 1' in lines
    assert 'telecine_variants{state="ready"} 4' in lines
    assert 'telecine_variants{state="dead"} 0' in lines, "an alarm knows that there was none"
    assert 'telecine_account_parked_seconds{account="cm-ember"} 12.5' in lines
    assert "telecine_workers_seen 1" in lines
    assert "telecine_database_bytes 4096" in lines
    assert "telecine_replicating 1" in lines
    declared = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert {line.split("{")[0].split()[0] for line in lines if not line.startswith("#")} == declared


async def test_metrics_asked_for_often_count_the_catalogue_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = 0
    counts = api.catalogue.counts

    async def counting() -> Any:
        nonlocal counted
        counted += 1
        return await counts()

    monkeypatch.setattr(api.catalogue, "counts", counting)
    for _ in range(3):
        async with api.client.get(api.server.url + "/metrics") as response:
            assert response.status == 200
    assert counted == 1
