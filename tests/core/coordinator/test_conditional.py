"""Reads that need not be sent again, or not at full length."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest

from telecine.core.coordinator.conditional import GZIP_BYTES_MIN

if TYPE_CHECKING:
    from tests.core.coordinator.conftest import Api

LARGE = "/v1/openapi.json"


async def test_read_is_not_sent_again_while_it_is_the_same(api: Api) -> None:
    async with api.get("/v1/titles") as response:
        tag = response.headers["ETag"]
    async with api.get("/v1/titles", **{"If-None-Match": tag}) as response:
        assert (response.status, await response.read()) == (304, b"")
        assert response.headers["ETag"] == tag
        assert response.headers["X-Request-ID"]
        assert "Content-Type" not in response.headers


async def test_read_that_changed_is_sent(api: Api) -> None:
    async with api.get("/v1/variants?limit=2") as response:
        tag = response.headers["ETag"]
    api.catalogue.codes = api.catalogue.codes[1:]
    async with api.get("/v1/variants?limit=2", **{"If-None-Match": tag}) as response:
        assert response.status == 200
        assert response.headers["ETag"] != tag


@pytest.mark.parametrize(
    ("wanted", "status"),
    [("*", 304), ("{tag}", 304), ('"other", {tag}', 304), ("{strong}", 304), ('"other"', 200), ("", 200), ("W/", 200)],
)
async def test_tags_are_compared_weakly_and_one_of_many_is_enough(api: Api, wanted: str, status: int) -> None:
    async with api.get("/v1/titles") as response:
        tag = response.headers["ETag"]
    assert tag.startswith('W/"')
    given = wanted.format(tag=tag, strong=tag.removeprefix("W/"))
    async with api.get("/v1/titles", **{"If-None-Match": given}) as response:
        assert response.status == status


async def test_refusals_and_writes_carry_no_tag(api: Api) -> None:
    async with api.get("/v1/titles/99", **{"If-None-Match": "*"}) as response:
        assert response.status == 404
        assert "ETag" not in response.headers
    async with api.post("/v1/leases/beat", {"boot_id": "b1"}) as response:
        assert response.status == 200
        assert "ETag" not in response.headers


@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("*", True),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip;Q=0", False),
        ("gzip;Q=0.1", True),
        ("gzip;q=0.000, *", False),
        ("gzip; q=nonsense", True),
        ("", False),
    ],
)
async def test_large_read_is_compressed_for_whoever_takes_that(api: Api, accepted: str, compressed: bool) -> None:
    headers = {"Accept-Encoding": accepted}
    async with api.client.get(api.server.url + LARGE, headers=headers, auto_decompress=False) as response:
        body = await response.read()
        assert ("Content-Encoding" in response.headers) is compressed
        assert response.headers["Vary"] == "Accept-Encoding"
        assert len(body) == int(response.headers["Content-Length"])
    assert json.loads(gzip.decompress(body) if compressed else body)["openapi"].startswith("3.1")


async def test_tag_is_the_same_compressed_or_not(api: Api) -> None:
    tags = set[str]()
    for accepted in ("gzip", "identity"):
        async with api.client.get(api.server.url + LARGE, headers={"Accept-Encoding": accepted}) as response:
            tags.add(response.headers["ETag"])
    assert len(tags) == 1


async def test_small_read_is_not_compressed(api: Api) -> None:
    async with api.get("/v1/titles", **{"Accept-Encoding": "gzip"}) as response:
        assert int(response.headers["Content-Length"]) < GZIP_BYTES_MIN
        assert "Content-Encoding" not in response.headers
