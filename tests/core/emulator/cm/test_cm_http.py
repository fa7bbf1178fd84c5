from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web
from tests.clocks import START_MS, JumpingClock

from telecine.core.emulator.cm.auth import CmCredentials
from telecine.core.emulator.cm.content import CmContent, CmEpisode, CmKind, CmLink, CmTitle, Table, iso_ms
from telecine.core.emulator.cm.service import CM_PREFIX, Cm
from telecine.core.emulator.faults import CmFailure, CmSlow, Faults

CREDENTIALS = CmCredentials(email="importer@cm.example", password="s3cret", access_ttl_ms=8000)


def film(title_id: int, links: int = 1) -> CmTitle:
    return CmTitle(
        id=title_id,
        name=f"Film {title_id}",
        kind=CmKind.MOVIE,
        year=1990 + title_id % 30,
        links=tuple(
            CmLink(id=title_id * 1000 + n, url="{media_url}/" + f"film{title_id}.{n}.mkv", quality="1080p")
            for n in range(links)
        ),
    )


def series(title_id: int, episodes: int) -> CmTitle:
    return CmTitle(
        id=title_id,
        name=f"Series {title_id}",
        kind=CmKind.SERIES,
        episodes=tuple(
            CmEpisode(
                id=title_id * 1000 + n,
                season=1,
                episode=n,
                links=(CmLink(id=title_id * 100_000 + n, url=f"http://host/{n}"),),
            )
            for n in range(1, episodes + 1)
        ),
    )


class Client:
    """Talks to one CM."""

    def __init__(self, cm: Cm, faults: Faults, clock: JumpingClock, url: str, http: aiohttp.ClientSession) -> None:
        self.cm, self.faults, self.clock, self.url, self.http = cm, faults, clock, url, http
        self.token = ""

    async def post(self, path: str, **body: object) -> tuple[int, Any]:
        async with self.http.post(self.url + path, json=body) as response:
            return response.status, await response.json() if response.status != 204 else None

    async def get(self, path: str, *, token: str | None = None, **query: object) -> tuple[int, Any]:
        return await self.read(path, query, token)

    async def read(self, path: str, query: Mapping[str, object], token: str | None = None) -> tuple[int, Any]:
        token = self.token if token is None else token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        params = {name: str(value) for name, value in query.items()}
        async with self.http.get(self.url + path, params=params, headers=headers) as response:
            return response.status, await response.json()

    async def login(self) -> dict[str, Any]:
        status, body = await self.post("/auth/login", email=CREDENTIALS.email, password=CREDENTIALS.password)
        assert status == 200
        self.token = body["data"]["access_token"]
        return dict(body["data"])

    async def titles(self, **query: object) -> list[dict[str, Any]]:
        status, body = await self.read("/items/titles", query)
        assert status == 200, body
        return list(body["data"])

    async def ids(self, **query: object) -> list[int]:
        return [title["id"] for title in await self.titles(fields="id", **query)]


def code_of(answer: tuple[int, Any]) -> tuple[int, str]:
    status, body = answer
    return status, body["errors"][0]["extensions"]["code"]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    clock, faults = JumpingClock(START_MS / 1000), Faults()
    cm = Cm(CREDENTIALS, faults, clock, media_url=lambda: "http://media.example/media")
    app = web.Application()
    app.add_subapp(CM_PREFIX, cm.application())
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}{CM_PREFIX}"
    async with aiohttp.ClientSession() as http:
        yield Client(cm, faults, clock, url, http)
    await runner.cleanup()


# -- signing in


async def test_login_answers_a_short_jwt_and_milliseconds(client: Client) -> None:
    tokens = await client.login()
    assert tokens["expires"] == 8000
    claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 8
    assert claims["iss"] == "directus"
    assert {"id", "role"} <= claims.keys()
    assert jwt.get_unverified_header(tokens["access_token"])["alg"] == "HS256"


async def test_wrong_password_is_refused(client: Client) -> None:
    answer = await client.post("/auth/login", email=CREDENTIALS.email, password="guess")
    assert code_of(answer) == (401, "INVALID_CREDENTIALS")


async def test_login_without_password_is_a_bad_payload(client: Client) -> None:
    assert code_of(await client.post("/auth/login", email="x")) == (400, "INVALID_PAYLOAD")


async def test_expired_access_token_says_so(client: Client) -> None:
    await client.login()
    assert (await client.get("/items/titles"))[0] == 200
    client.clock.now_s += 8
    assert code_of(await client.get("/items/titles")) == (401, "TOKEN_EXPIRED")


async def test_tokens_expire_on_demand_and_new_ones_hold(client: Client) -> None:
    tokens = await client.login()
    client.cm.auth.expire_access_tokens()
    assert code_of(await client.get("/items/titles")) == (401, "TOKEN_EXPIRED")
    _, body = await client.post("/auth/refresh", refresh_token=tokens["refresh_token"], mode="json")
    assert (await client.get("/items/titles", token=body["data"]["access_token"]))[0] == 200


async def test_refresh_token_rotates_and_dies_at_once(client: Client) -> None:
    first = await client.login()
    status, body = await client.post("/auth/refresh", refresh_token=first["refresh_token"])
    assert status == 200
    assert body["data"]["refresh_token"] != first["refresh_token"]
    again = await client.post("/auth/refresh", refresh_token=first["refresh_token"])
    assert code_of(again) == (401, "INVALID_CREDENTIALS")
    assert (await client.post("/auth/refresh", refresh_token=body["data"]["refresh_token"]))[0] == 200


async def test_logout_ends_the_refresh_token(client: Client) -> None:
    tokens = await client.login()
    assert (await client.post("/auth/logout", refresh_token=tokens["refresh_token"]))[0] == 204
    answer = await client.post("/auth/refresh", refresh_token=tokens["refresh_token"])
    assert code_of(answer) == (401, "INVALID_CREDENTIALS")


async def test_revoked_refresh_token_needs_a_login(client: Client) -> None:
    tokens = await client.login()
    client.cm.auth.revoke_refresh_tokens()
    answer = await client.post("/auth/refresh", refresh_token=tokens["refresh_token"])
    assert code_of(answer) == (401, "INVALID_CREDENTIALS")


async def test_tampered_missing_and_malformed_tokens_differ(client: Client) -> None:
    await client.login()
    head, claims, signature = client.token.split(".")
    tampered = f"{head}.{claims}.{signature[:-4]}AAAA"
    assert code_of(await client.get("/items/titles", token=tampered)) == (403, "INVALID_TOKEN")
    assert code_of(await client.get("/items/titles", token="")) == (403, "FORBIDDEN")
    assert code_of(await client.get("/items/titles", token="garbage")) == (401, "INVALID_CREDENTIALS")


async def test_token_of_another_server_is_invalid(client: Client) -> None:
    await client.login()
    claims = jwt.decode(client.token, options={"verify_signature": False})
    forged = jwt.encode(claims, "another secret of thirty-two bytes", algorithm="HS256")
    assert code_of(await client.get("/items/titles", token=forged)) == (403, "INVALID_TOKEN")


# -- reading


async def test_unknown_things_are_forbidden_never_missing(client: Client) -> None:
    client.cm.catalogue.replace(CmContent(titles=(film(1),)))
    await client.login()
    for path, query in (
        ("/items/people", {}),
        ("/items/titles/99", {}),
        ("/items/titles/abc", {}),
        ("/items/titles", {"fields": "id,secret"}),
        ("/items/titles", {"fields": "name.more"}),
        ("/items/titles", {"sort": "secret"}),
        ("/items/titles", {"filter[secret][_eq]": "1"}),
    ):
        assert code_of(await client.read(path, query)) == (403, "FORBIDDEN"), path
    assert code_of(await client.get("/nowhere")) == (404, "ROUTE_NOT_FOUND")


async def test_one_item_is_read_by_id(client: Client) -> None:
    client.cm.catalogue.replace(CmContent(titles=(film(7),)))
    await client.login()
    status, body = await client.get("/items/titles/7", fields="id,name")
    assert (status, body) == (200, {"data": {"id": 7, "name": "Film 7"}})


async def test_offset_pages_cover_everything_once(client: Client) -> None:
    client.cm.catalogue.replace(CmContent(titles=tuple(film(n) for n in range(1, 251))))
    await client.login()
    assert await client.ids() == list(range(1, 101))
    seen: list[int] = []
    while page := await client.ids(limit=100, offset=len(seen), sort="id"):
        seen += page
    assert seen == list(range(1, 251))
    assert await client.ids(limit=40, page=7) == list(range(241, 251))
    assert len(await client.ids(limit=-1)) == 250


async def test_keyset_pages_cover_everything_once(client: Client) -> None:
    client.cm.catalogue.replace(CmContent(titles=tuple(film(n) for n in range(1, 251, 3))))
    await client.login()
    seen = [0]
    while page := await client.ids(limit=20, sort="id", **{"filter[id][_gt]": seen[-1]}):
        seen += page
    assert seen[1:] == list(range(1, 251, 3))


async def test_meta_counts_what_the_filter_lets_through(client: Client) -> None:
    client.cm.catalogue.replace(CmContent(titles=(film(1), film(2), series(3, 1))))
    await client.login()
    _, body = await client.get("/items/titles", limit=1, meta="filter_count", **{"filter[kind][_eq]": "movie"})
    assert body["meta"] == {"filter_count": 2}
    assert len(body["data"]) == 1
    _, body = await client.get("/items/titles", meta="*", **{"filter[kind][_eq]": "series"})
    assert body["meta"] == {"filter_count": 1, "total_count": 3}


async def test_sort_descends_with_a_minus(client: Client) -> None:
    client.cm.catalogue.replace(CmContent(titles=(film(1), film(3), film(2))))
    await client.login()
    assert await client.ids(sort="-id") == [3, 2, 1]
    assert await client.ids(sort="kind,-year") == [3, 2, 1]


async def test_relations_are_ids_until_their_fields_are_asked_for(client: Client) -> None:
    client.cm.catalogue.replace(CmContent(titles=(series(1, 2), film(2, links=2))))
    await client.login()
    plain = await client.titles(fields="*")
    assert (plain[0]["episodes"], plain[1]["links"]) == ([1001, 1002], [2000, 2001])
    full = await client.titles(fields="*,links.*,episodes.*,episodes.links.*")
    assert full[0]["episodes"][1]["links"] == [
        {
            "id": 100_002,
            "url": "http://host/2",
            "title_id": None,
            "episode_id": 1002,
            "quality": None,
            "language": None,
            "size_bytes": None,
            "date_created": iso_ms(client.clock.now_ms()),
            "date_updated": None,
        }
    ]
    assert full[1]["links"][1]["url"] == "http://media.example/media/film2.1.mkv"


async def test_nested_lists_are_cut_at_100_unless_deep_says_otherwise(client: Client) -> None:
    client.cm.catalogue.replace(CmContent(titles=(series(1, 150), film(2, links=120))))
    await client.login()
    cut = await client.titles(fields="*,links.*,episodes.*")
    assert (len(cut[0]["episodes"]), len(cut[1]["links"])) == (100, 100)
    whole = await client.titles(
        fields="*,links.*,episodes.*", **{"deep[episodes][_limit]": -1, "deep[links][_limit]": -1}
    )
    assert (len(whole[0]["episodes"]), len(whole[1]["links"])) == (150, 120)
    few = await client.titles(fields="*,episodes.*", deep='{"episodes":{"_limit":3}}')
    assert len(few[0]["episodes"]) == 3


async def test_separate_resources_name_their_parents(client: Client) -> None:
    client.cm.catalogue.replace(CmContent(titles=(series(1, 2), film(2))))
    await client.login()
    _, body = await client.get("/items/episodes", fields="id,title_id,episode")
    assert body["data"][0] == {"id": 1001, "title_id": 1, "episode": 1}
    _, body = await client.get("/items/links", fields="id", **{"filter[title_id][_nnull]": "true"})
    assert body["data"] == [{"id": 2000}]


# -- what changed


def since(moment: str, *, links: bool = False) -> str:
    rules: list[object] = [{"date_updated": {"_gte": moment}}, {"date_created": {"_gt": moment}}]
    if links:
        rules.append({"links": {"date_updated": {"_gte": moment}}})
        rules.append({"episodes": {"links": {"date_updated": {"_gte": moment}}}})
    return json.dumps({"_or": rules})


async def test_incremental_filter_finds_new_and_edited_titles(client: Client) -> None:
    client.cm.catalogue.replace(CmContent(titles=(film(1), film(2), film(3))))
    await client.login()
    assert (await client.titles(fields="date_updated"))[0] == {"date_updated": None}
    client.clock.now_s += 1
    moment = iso_ms(client.clock.now_ms())
    assert await client.ids(filter=since(moment)) == []
    client.clock.now_s += 1
    client.cm.catalogue.edit(Table.TITLES, 2, {"name": "Renamed"})
    client.cm.catalogue.add(Table.TITLES, {"name": "New", "kind": "movie"})
    assert await client.ids(filter=since(moment)) == [2, 4]
    assert (await client.titles(**{"filter[id][_eq]": 2}))[0]["date_updated"] == iso_ms(client.clock.now_ms())


async def test_edited_link_leaves_the_title_untouched_but_a_nested_filter_finds_it(client: Client) -> None:
    client.cm.catalogue.replace(CmContent(titles=(series(1, 2), film(2), film(3))))
    await client.login()
    client.clock.now_s += 1
    moment = iso_ms(client.clock.now_ms())
    client.cm.catalogue.edit(Table.LINKS, 100_002, {"url": "http://host/new"})
    client.cm.catalogue.edit(Table.LINKS, 3000, {"quality": "720p"})
    assert await client.ids(filter=since(moment)) == []
    assert await client.ids(filter=since(moment, links=True)) == [1, 3]


async def test_deleted_title_vanishes_with_all_below(client: Client) -> None:
    client.cm.catalogue.replace(CmContent(titles=(series(1, 2), film(2))))
    await client.login()
    client.cm.catalogue.delete(Table.TITLES, 1)
    assert await client.ids() == [2]
    _, episodes = await client.get("/items/episodes")
    _, links = await client.get("/items/links", fields="id")
    assert (episodes["data"], links["data"]) == ([], [{"id": 2000}])


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ({"year": {"_in": [1991, 1993]}}, [1, 3]),
        ({"year": {"_nin": [1991, 1993]}}, [2]),
        ({"_and": [{"id": {"_gt": 1}}, {"id": {"_lt": 3}}]}, [2]),
        ({"name": {"_contains": "m 2"}}, [2]),
        ({"name": {"_icontains": "FILM 3"}}, [3]),
        ({"name": {"_starts_with": "Film"}}, [1, 2, 3]),
        ({"runtime_min": {"_null": True}}, [1, 2, 3]),
        ({"runtime_min": {"_gt": 1}}, []),
        ({"id": 2}, [2]),
        ({"id": {"_neq": 2}}, [1, 3]),
        ({"links": {"quality": {"_eq": "1080p"}}}, [1, 2, 3]),
    ],
)
async def test_filters_decide(client: Client, rule: object, found: list[int]) -> None:
    client.cm.catalogue.replace(CmContent(titles=(film(1), film(2), film(3))))
    await client.login()
    assert await client.ids(filter=json.dumps(rule)) == found


@pytest.mark.parametrize(
    "query",
    [
        {"filter": "not json"},
        {"filter": "[1]"},
        {"filter": '{"_or": 3}'},
        {"filter[id][_near]": "3"},
        {"filter[date_updated][_gt]": "yesterday"},
        {"filter[id][_gt]": "abc"},
        {"limit": "many"},
        {"offset": "-3"},
        {"deep": "3"},
    ],
)
async def test_bad_query_is_refused(client: Client, query: dict[str, str]) -> None:
    client.cm.catalogue.replace(CmContent(titles=(film(1),)))
    await client.login()
    assert code_of(await client.read("/items/titles", query)) == (400, "INVALID_QUERY")


# -- faults and restarts


async def test_planned_refusals_come_with_retry_after(client: Client) -> None:
    await client.login()
    client.faults.plan(CmFailure(method="/items/*", status=429, retry_after_s=3))
    client.faults.plan(CmFailure(method="/auth/refresh", status=503))
    async with client.http.get(
        f"{client.url}/items/titles", headers={"Authorization": f"Bearer {client.token}"}
    ) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "3")
        assert (await response.json())["errors"][0]["extensions"]["code"] == "REQUESTS_EXCEEDED"
    assert (await client.get("/items/titles"))[0] == 200
    assert code_of(await client.post("/auth/refresh", refresh_token="x")) == (503, "SERVICE_UNAVAILABLE")
    assert client.cm.requests["/items/titles"] == 2


async def test_slow_answer_takes_its_time(client: Client) -> None:
    client.faults.plan(CmSlow(method="/auth/*", delay_s=2.5))
    await client.login()
    assert client.clock.slept_s == [2.5]


async def test_static_token_holds_for_ever(client: Client) -> None:
    client.cm.auth.credentials = CmCredentials(static_token="for-ever")
    client.clock.now_s += 10**7
    assert (await client.get("/items/titles", token="for-ever"))[0] == 200


async def test_content_and_tokens_survive_a_restart(tmp_path: Path) -> None:
    clock, faults = JumpingClock(START_MS / 1000), Faults()
    before = Cm(CREDENTIALS, faults, clock, data_dir=tmp_path)
    assert not before.restored
    before.catalogue.replace(CmContent(titles=(series(1, 2), film(2))))
    tokens = before.auth.login(CREDENTIALS.email, CREDENTIALS.password)
    before.save()
    after = Cm(CREDENTIALS, faults, clock, data_dir=tmp_path)
    assert after.restored
    assert after.catalogue.content() == before.catalogue.content()
    after.auth.verify(tokens.access_token)
    assert after.auth.refresh(tokens.refresh_token).refresh_token != tokens.refresh_token
