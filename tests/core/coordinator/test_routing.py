"""Which call an address belongs to."""

from __future__ import annotations

import pytest

from telecine.core.coordinator.routing import Router


@pytest.fixture
def router() -> Router[str]:
    router = Router[str]()
    for method, path in (
        ("POST", "/v1/workers/hello"),
        ("POST", "/v1/workers/{name}/mode"),
        ("GET", "/v1/workers"),
        ("GET", "/v1/a/b/c"),
        ("GET", "/v1/{x}/b/{y}"),
        ("PUT", "/v1/{x}/{y}/{z}"),
    ):
        router.add(method, path, f"{method} {path}")
    return router


@pytest.mark.parametrize(
    ("path", "methods", "named"),
    [
        ("/v1/workers", {"GET"}, {}),
        ("/v1/workers/hello", {"POST"}, {}),
        ("/v1/workers/cm-ember/mode", {"POST"}, {"name": "cm-ember"}),
        ("/v1/workers/hello/mode", {"POST"}, {"name": "hello"}),
        ("/v1/a/b/c", {"GET"}, {}),
        ("/v1/a/b/d", {"GET"}, {"x": "a", "y": "d"}),
        ("/v1/a/d/c", {"PUT"}, {"x": "a", "y": "d", "z": "c"}),
        ("/v1/workers/workers/workers", {"PUT"}, {"x": "workers", "y": "workers", "z": "workers"}),
    ],
)
def test_literal_goes_before_a_placeholder_where_it_leads_to_a_call(
    router: Router[str], path: str, methods: set[str], named: dict[str, str]
) -> None:
    placed, values = router.find(path)
    assert placed.keys() == methods
    for found in placed.values():
        assert dict(zip(found.names, values, strict=True)) == named


@pytest.mark.parametrize(
    "path", ["", "/", "/v1", "/v1/", "/v1/workers/", "/v1/workers//mode", "/v1/a/b/c/d", "v1/workers", "/" * 8000]
)
def test_address_that_is_not_spelt_like_a_call_leads_nowhere(router: Router[str], path: str) -> None:
    assert router.find(path) == ({}, [])


def test_place_is_taken_once(router: Router[str]) -> None:
    with pytest.raises(ValueError, match="is there already"):
        router.add("POST", "/v1/workers/{other}/mode", "again")
