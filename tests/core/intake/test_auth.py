from __future__ import annotations

import asyncio
import base64
import logging
import stat
import traceback
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from aiohttp import web
from tests.clocks import JumpingClock
from tests.core.intake.conftest import PASSWORD, CmServer, Serve, cm_settings, connect, jwt_refresh

from telecine.core.emulator.faults import CmFailure
from telecine.core.errors import CmAuthError, UnavailableError
from telecine.core.intake.tokens import TokenPair

LOGIN, REFRESH, TITLES = "/auth/login", "/auth/refresh", "/items/titles"


class Issuer:
    """A CM that issues numbered tokens and does what a test says about each call."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.accepted: set[str] = set()
        self.alive: set[str] = set()
        self.lose_refreshes = 0
        self.gate: asyncio.Event | None = None
        self.entered = asyncio.Event()
        self.number = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.calls.append(request.path)
        if request.path == LOGIN:
            return self._issue()
        if request.path == REFRESH:
            return await self._refresh(request)
        token = request.headers["Authorization"].removeprefix("Bearer ")
        return web.json_response({"data": [token]}) if token in self.accepted else refused(401, "TOKEN_EXPIRED")

    def count(self, path: str) -> int:
        return self.calls.count(path)

    async def _refresh(self, request: web.Request) -> web.StreamResponse:
        self.entered.set()
        if self.gate:
            await self.gate.wait()
        token = (await request.json())["refresh_token"]
        if token not in self.alive:
            return refused(401, "INVALID_CREDENTIALS")
        self.alive.remove(token)
        if self.lose_refreshes:
            self.lose_refreshes -= 1
            assert request.transport
            request.transport.close()
        return self._issue()

    def _issue(self) -> web.Response:
        self.number += 1
        access, refresh = f"access-{self.number}", f"refresh-{self.number}"
        self.accepted, self.alive = {access}, {refresh}
        return web.json_response({"data": {"access_token": access, "refresh_token": refresh, "expires": 8000}})


def refused(status: int, code: str) -> web.Response:
    return web.json_response({"errors": [{"extensions": {"code": code}}]}, status=status)


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


def kept(token_file: Path) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.json.decode(token_file.read_bytes())
    return document


def keep(token_file: Path, document: bytes) -> None:
    token_file.parent.mkdir(exist_ok=True)
    token_file.write_bytes(document)


def mode(token_file: Path) -> int:
    return stat.S_IMODE(token_file.stat().st_mode)


async def test_many_requests_over_many_lifetimes_share_one_login_and_few_refreshes(cm: CmServer) -> None:
    async with connect(cm.settings(max_concurrency=16), cm.clock) as connection:
        for _ in range(25):
            await asyncio.gather(*(connection.get() for _ in range(16)))
            cm.clock.now_s += 1
    assert cm.count(LOGIN) == 1
    assert cm.count(REFRESH) == 4
    assert cm.count(TITLES) == 25 * 16  # none was sent twice, so none met an expired token


async def test_token_that_all_find_expired_is_renewed_once(cm: CmServer) -> None:
    async with connect(cm.settings(max_concurrency=16), cm.clock) as connection:
        await connection.get()
        cm.cm.auth.expire_access_tokens()
        await asyncio.gather(*(connection.get() for _ in range(16)))
    assert (cm.count(LOGIN), cm.count(REFRESH)) == (1, 1)


async def test_clock_of_cm_may_be_wrong(cm: CmServer) -> None:
    ours = JumpingClock(1_800_000_000.0)
    ours.now_s += 5 * 3600
    async with connect(cm.settings(), ours) as connection:
        for _ in range(14):
            await connection.get()
            ours.now_s += 1
            cm.clock.now_s += 1
    assert (cm.count(LOGIN), cm.count(REFRESH), cm.count(TITLES)) == (1, 2, 14)


async def test_new_pair_is_on_the_disk_for_its_owner_alone_before_it_is_used(
    serve: Serve, issuer: Issuer, clock: JumpingClock, token_file: Path
) -> None:
    seen: list[tuple[bool, int]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == TITLES:
            used = request.headers["Authorization"].removeprefix("Bearer ")
            seen.append((kept(token_file)["pair"]["access_token"] == used, mode(token_file)))
        return await issuer.answer(request)

    settings = cm_settings(await serve(answer), auth=jwt_refresh(token_file=token_file))
    async with connect(settings, clock) as connection:
        for _ in range(3):
            await connection.get()
            clock.now_s += 7
    assert seen == [(True, 0o600)] * 3
    assert issuer.count(REFRESH) == 2
    assert kept(token_file)["pair"]["refresh_token"] in issuer.alive
    assert list(token_file.parent.iterdir()) == [token_file]


async def test_next_process_goes_on_with_the_pair_of_the_last(cm: CmServer, token_file: Path) -> None:
    settings = cm.settings(auth=jwt_refresh(token_file=token_file))
    for _ in range(3):
        async with connect(settings, cm.clock) as connection:
            await connection.get()
        cm.clock.now_s += 20
    assert (cm.count(LOGIN), cm.count(REFRESH)) == (1, 2)


async def test_refresh_token_that_was_used_before_leads_to_a_login(cm: CmServer, token_file: Path) -> None:
    settings = cm.settings(auth=jwt_refresh(token_file=token_file))
    async with connect(settings, cm.clock) as connection:
        await connection.get()
        cm.cm.auth.refresh(kept(token_file)["pair"]["refresh_token"])  # somebody else spends it
        cm.clock.now_s += 20
        await connection.get()
    assert (cm.count(LOGIN), cm.count(REFRESH)) == (2, 1)


@pytest.mark.parametrize("damage", ["tampered", "not a pair", "empty"])
async def test_kept_pair_that_does_not_hold_is_replaced(cm: CmServer, token_file: Path, damage: str) -> None:
    settings = cm.settings(auth=jwt_refresh(token_file=token_file))
    async with connect(settings, cm.clock) as connection:
        await connection.get()
    document = kept(token_file)
    claims = jwt.decode(document["pair"]["access_token"], options={"verify_signature": False})
    document["pair"]["access_token"] = jwt.encode(claims, "x" * 32, algorithm="HS256")
    damaged = {"tampered": msgspec.json.encode(document), "not a pair": b"[]", "empty": b""}
    keep(token_file, damaged[damage])
    async with connect(settings, cm.clock) as connection:
        await connection.get()
        await connection.get()
    assert cm.count(LOGIN) + cm.count(REFRESH) == 2


async def test_pair_of_another_cm_is_not_sent(cm: CmServer, token_file: Path) -> None:
    pair = {"access_token": "of-another", "refresh_token": "of-another", "renew_at_ms": None}
    keep(token_file, msgspec.json.encode({"base_url": "https://other.example", "pair": pair}))
    async with connect(cm.settings(auth=jwt_refresh(token_file=token_file)), cm.clock) as connection:
        await connection.get()
    assert (cm.count(LOGIN), cm.count(REFRESH), cm.count(TITLES)) == (1, 0, 1)


async def test_refresh_whose_answer_is_lost_is_tried_once_more_and_then_a_login(
    serve: Serve, issuer: Issuer, clock: JumpingClock
) -> None:
    issuer.lose_refreshes = 1
    async with connect(cm_settings(await serve(issuer.answer)), clock) as connection:
        await connection.get()
        clock.now_s += 7
        await connection.get()
    assert issuer.calls == [LOGIN, TITLES, REFRESH, REFRESH, LOGIN, TITLES]


@pytest.mark.parametrize("body", ["", "<html>", "{}", '{"data": {"access_token": "", "expires": 8000}}'])
async def test_refresh_that_is_answered_without_a_pair_leads_to_a_login(
    serve: Serve, issuer: Issuer, clock: JumpingClock, body: str
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = await issuer.answer(request)
        return web.Response(text=body) if request.path == REFRESH else response

    async with connect(cm_settings(await serve(answer)), clock) as connection:
        await connection.get()
        clock.now_s += 7
        await connection.get()
    assert issuer.calls == [LOGIN, TITLES, REFRESH, LOGIN, TITLES]


async def test_refresh_outlives_the_request_that_asked_for_it(
    serve: Serve, issuer: Issuer, clock: JumpingClock
) -> None:
    async with connect(cm_settings(await serve(issuer.answer)), clock) as connection:
        await connection.get()
        clock.now_s += 7
        issuer.gate = asyncio.Event()
        asking = asyncio.create_task(connection.get())
        await asyncio.wait_for(issuer.entered.wait(), 10)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        issuer.gate.set()
        assert await connection.get() == {"data": ["access-2"]}
    assert issuer.calls == [LOGIN, TITLES, REFRESH, TITLES]


async def test_without_a_refresh_every_pair_comes_from_a_login(
    serve: Serve, issuer: Issuer, clock: JumpingClock
) -> None:
    async with connect(cm_settings(await serve(issuer.answer), auth=jwt_refresh(refresh=None)), clock) as connection:
        await connection.get()
        clock.now_s += 7
        await connection.get()
    assert issuer.calls == [LOGIN, TITLES, LOGIN, TITLES]


async def test_refresh_token_that_does_not_rotate_is_kept(serve: Serve, clock: JumpingClock) -> None:
    bodies: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        if request.path == TITLES:
            return web.json_response({"data": []})
        bodies.append(await request.json())
        first = {"refresh_token": "for-good"} if request.path == LOGIN else {}
        return web.json_response({"data": {"access_token": "a", "expires": 8000, **first}})

    auth = jwt_refresh(refresh={"path": REFRESH, "body": {"t": "{refresh_token}"}, "rotates": False})
    async with connect(cm_settings(await serve(answer), auth=auth), clock) as connection:
        for _ in range(3):
            await connection.get()
            clock.now_s += 7
    assert bodies[1:] == [{"t": "for-good"}, {"t": "for-good"}]


async def test_token_refused_twice_is_given_up(serve: Serve, issuer: Issuer, clock: JumpingClock) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = await issuer.answer(request)
        return refused(401, "TOKEN_EXPIRED") if request.path == TITLES else response

    async with connect(cm_settings(await serve(answer)), clock) as connection:
        with pytest.raises(CmAuthError, match="has just issued"):
            await connection.get()
    assert issuer.count(TITLES) == 2


async def test_refusal_for_another_reason_is_no_reason_to_renew(
    serve: Serve, issuer: Issuer, clock: JumpingClock
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.query.get("broken"):
            return refused(401, "USER_SUSPENDED")
        return await issuer.answer(request)

    async with connect(cm_settings(await serve(answer)), clock) as connection:
        await connection.get()
        with pytest.raises(CmAuthError, match="401 USER_SUSPENDED"):
            await connection.get(f"{TITLES}?broken=1")
    assert issuer.calls == [LOGIN, TITLES]


@pytest.mark.parametrize("status", [429, 503])
async def test_login_is_tried_again_while_cm_is_busy(cm: CmServer, status: int) -> None:
    cm.faults.plan(CmFailure(status=status, retry_after_s=7 if status == 429 else None, method=LOGIN, count=2))
    async with connect(cm.settings(), cm.clock) as connection:
        await connection.get()
    assert cm.count(LOGIN) == 3
    assert cm.clock.slept_s == ([7.5, 7.5] if status == 429 else [0.75, 1.5])


async def test_login_is_not_sent_on_to_where_cm_redirects_it(serve: Serve, clock: JumpingClock) -> None:
    reached: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        reached.append(await request.text())
        return web.json_response({})

    other = await serve(elsewhere)

    async def redirect(_request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": f"{other}{LOGIN}"})

    async with connect(cm_settings(await serve(redirect)), clock) as connection:
        with pytest.raises(CmAuthError, match="secrets are not sent on"):
            await connection.get()
    assert reached == []


@pytest.mark.parametrize(
    "auth",
    [
        jwt_refresh(),
        {"kind": "static_bearer", "token": "t"},
        {"kind": "api_key", "token": "t", "header": "X-Api-Key"},
        {"kind": "basic", "username": "u", "password": "p"},
    ],
)
async def test_another_origin_is_shown_no_secret(
    serve: Serve, issuer: Issuer, clock: JumpingClock, auth: dict[str, Any]
) -> None:
    shown: list[dict[str, str]] = []

    async def elsewhere(request: web.Request) -> web.Response:
        shown.append({name.lower(): value for name, value in request.headers.items()})
        return web.json_response({"data": ["elsewhere"]})

    other = await serve(elsewhere)

    async def redirect(request: web.Request) -> web.StreamResponse:
        if request.path == LOGIN:
            return await issuer.answer(request)
        return web.Response(status=302, headers={"Location": f"{other}/titles"})

    async with connect(cm_settings(await serve(redirect), auth=auth), clock) as connection:
        assert await connection.get() == {"data": ["elsewhere"]}
    [headers] = shown
    assert not headers.keys() & {"authorization", "x-api-key", "cookie"}


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        ({"kind": "static_bearer", "token": "t"}, "Authorization", "Bearer t"),
        ({"kind": "api_key", "token": "t", "header": "X-Api-Key"}, "X-Api-Key", "t"),
        ({"kind": "api_key", "token": "Token t"}, "Authorization", "Token t"),
        ({"kind": "none"}, "Authorization", None),
        (
            {"kind": "basic", "username": "u", "password": "pä"},
            "Authorization",
            f"Basic {base64.b64encode('u:pä'.encode()).decode()}",
        ),
    ],
)
async def test_fixed_kinds_send_their_header(
    serve: Serve, clock: JumpingClock, auth: dict[str, Any], header: str, value: str | None
) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"data": [request.headers.get(header)]})

    async with connect(cm_settings(await serve(answer), auth=auth), clock) as connection:
        assert await connection.get() == {"data": [value]}


async def test_static_token_reads_from_cm(cm: CmServer) -> None:
    async with connect(cm.settings(auth={"kind": "static_bearer", "token": "static"}), cm.clock) as connection:
        assert await connection.get()
    assert cm.count(LOGIN) == 0


async def test_secrets_stay_out_of_logs_and_errors(
    cm: CmServer, token_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = cm.settings(auth=jwt_refresh(token_file=token_file))
    told: list[str] = []
    async with connect(settings, cm.clock) as connection:
        await connection.get()
        secrets = {PASSWORD, *kept(token_file)["pair"].values()} - {kept(token_file)["pair"]["renew_at_ms"]}
        cm.faults.plan(CmFailure(status=401, method=TITLES, count=1))
        cm.faults.plan(CmFailure(status=500, method=REFRESH, count=None))
        cm.faults.plan(CmFailure(status=500, method=LOGIN, count=None))
        for wait_ms in (0, 20_000):
            cm.clock.now_s += wait_ms / 1000
            with pytest.raises((CmAuthError, UnavailableError)) as caught:
                await connection.get()
            told += [repr(caught.value), *traceback.format_exception(caught.value)]
    told.append(repr(msgspec.convert(kept(token_file)["pair"], TokenPair)))
    told_by_us = [record.getMessage() for record in caplog.records if not record.name.startswith("aiohttp.access")]
    assert len(told) > 10
    for secret in secrets:
        assert not any(secret in text for text in (*told, *told_by_us))
