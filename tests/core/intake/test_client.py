from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.certificates import self_signed
from tests.clocks import JumpingClock
from tests.core.intake.conftest import CmServer, Serve, cm_settings, connect
from yarl import URL

from telecine.core.emulator.faults import CmFailure
from telecine.core.errors import CmError, UnavailableError
from telecine.core.intake import answers
from telecine.core.intake.retries import ATTEMPTS_MAX


def settings(url: str, **tables: Any) -> Any:
    return cm_settings(url, **({"auth": {}} | tables))


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_cm_that_stumbles_is_asked_again(cm: CmServer, status: int) -> None:
    cm.faults.plan(CmFailure(status=status, method="/items/titles", count=2))
    async with connect(cm.settings(), cm.clock) as connection:
        assert await connection.get()
    assert cm.clock.slept_s == [0.75, 1.5]


async def test_cm_that_stays_away_is_given_up(clock: JumpingClock, unused_tcp_port: int) -> None:
    async with connect(settings(f"http://127.0.0.1:{unused_tcp_port}"), clock) as connection:
        with pytest.raises(UnavailableError, match="CM does not answer GET /items/titles: Connect"):
            await connection.get()
    assert len(clock.slept_s) == ATTEMPTS_MAX - 1


async def test_cm_whose_certificate_does_not_hold_is_named_and_asked_again(clock: JumpingClock, tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=self_signed(tmp_path))
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with connect(settings(url), clock) as connection:
            with pytest.raises(UnavailableError, match=r"its certificate does not hold: .*self-signed"):
                await connection.get()
    assert len(clock.slept_s) == ATTEMPTS_MAX - 1


async def test_answer_cut_short_is_fetched_again(serve: Serve, clock: JumpingClock) -> None:
    asked = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        if asked > 1:
            return web.json_response({"data": []})
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'{"data": [')
        assert request.transport
        request.transport.close()
        return response

    async with connect(settings(await serve(answer)), clock) as connection:
        assert await connection.get() == {"data": []}
    assert asked == 2


async def test_answer_that_does_not_come_is_given_up_in_time(serve: Serve, clock: JumpingClock) -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return await asyncio.Future()

    async with connect(settings(await serve(answer), timeout_s=0.02), clock) as connection:
        with pytest.raises(UnavailableError, match=r"GET /items/titles: .*Timeout"):
            await connection.get()


async def test_no_more_requests_run_at_once_than_allowed(serve: Serve, clock: JumpingClock) -> None:
    running = most = 0

    async def answer(_request: web.Request) -> web.StreamResponse:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(20):
            await asyncio.sleep(0)
        running -= 1
        return web.json_response({})

    async with connect(settings(await serve(answer), max_concurrency=3), clock) as connection:
        await asyncio.gather(*(connection.get() for _ in range(20)))
    assert most == 3


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"<html>", "is not JSON"),
        (b"", "is not JSON"),
        (b'{"data": [}', "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'"\xff"', "is not JSON"),
        (b'["\\ud83d", NaN]', "is not JSON"),
        (b'["\\ud83d"', "is not JSON"),
        (b"1" * 2000, "is longer than 1000 bytes"),
    ],
)
async def test_answer_that_is_no_document_is_refused_at_once(
    serve: Serve, clock: JumpingClock, monkeypatch: pytest.MonkeyPatch, body: bytes, problem: str
) -> None:
    limit = 1000 if "longer" in problem else 10**6
    monkeypatch.setattr(answers.read_json, "__defaults__", (limit,))

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()  # of unknown length
        await response.prepare(request)
        await response.write(body)
        return response

    async with connect(settings(await serve(answer)), clock) as connection:
        with pytest.raises(CmError, match=problem):
            await connection.get()
    assert clock.slept_s == []


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (r"Night \ud83d", "Night \ufffd"),
        (r"\uDE82 Train", "\ufffd Train"),
        (r"\ud83d\ud83d\ude82", "\ufffd\U0001f682"),
        (r"\ud83d \\ud83d", "\ufffd \\ud83d"),
    ],
)
async def test_character_that_cm_has_cut_in_half_costs_itself_alone(
    serve: Serve, clock: JumpingClock, written: str, name: str
) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=f'{{"data": [{{"id": 1, "name": "{written}"}}, {{"id": 2, "name": "Gelée"}}]}}')

    async with connect(settings(await serve(answer)), clock) as connection:
        assert await connection.get() == {"data": [{"id": 1, "name": name}, {"id": 2, "name": "Gelée"}]}


async def test_refusal_carries_the_code_and_is_not_repeated(cm: CmServer) -> None:
    async with connect(cm.settings(), cm.clock) as connection:
        with pytest.raises(CmError, match=r"CM refuses GET /cm/items/films: 403 FORBIDDEN") as caught:
            await connection.get("/items/films")
    assert "no right to read it" in (caught.value.hint or "")
    assert cm.count("/items/films") == 1


async def test_page_on_another_host_is_not_fetched(cm: CmServer) -> None:
    async with connect(cm.settings(), cm.clock) as connection:
        with pytest.raises(CmError, match="leads to another host"):
            await connection.client.get(URL("http://other.example/items/titles"))


async def test_redirects_without_end_are_refused(serve: Serve, clock: JumpingClock) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": request.path})

    async with connect(settings(await serve(answer)), clock) as connection:
        with pytest.raises(CmError, match="TooManyRedirects"):
            await connection.get()


@pytest.mark.parametrize(
    ("location", "problem"),
    [
        ("http://cm.example:99999/", "CM redirects GET /items/titles in vain"),
        ("ftp://cm.example/", "CM redirects GET /items/titles in vain"),
        (f"http://{'a' * 70}.example/", "GET /items/titles leads to what cannot be asked for: UnicodeError"),
        ("http://Ł:ż@cm.example/", "GET /items/titles leads to what cannot be asked for: UnicodeEncodeError"),
    ],
)
async def test_redirect_to_what_cannot_be_asked_for_is_refused_at_once(
    serve: Serve, clock: JumpingClock, location: str, problem: str
) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": location})

    async with connect(settings(await serve(answer)), clock) as connection:
        with pytest.raises(CmError, match=problem):
            await connection.get()
    assert clock.slept_s == []


@pytest.mark.parametrize("link", ["<http://[::1>; rel=preload", '<https://cm.example:99999/>; rel="next"'])
async def test_link_header_counts_only_where_pages_are_turned_by_it(
    serve: Serve, clock: JumpingClock, link: str
) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({}, headers={"Link": link})

    url = await serve(answer)
    async with connect(settings(url, paging={"kind": "offset"}), clock) as connection:
        assert await connection.get() == {}
    async with connect(settings(url, paging={"kind": "link_header"}), clock) as connection:
        with pytest.raises(CmError, match="Link header that leads to no URL"):
            await connection.get()


async def test_errors_do_not_show_the_query(serve: Serve, clock: JumpingClock) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=404)

    async with connect(settings(await serve(answer)), clock) as connection:
        with pytest.raises(CmError) as caught:
            await connection.get("/items?key=secret")
    assert "secret" not in str(caught.value)
