from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from telecine.core.codes import PART_COUNT_MAX
from telecine.core.coordinator.app import ROUTES
from telecine.core.coordinator.calls import Route
from telecine.core.coordinator.openapi import describe
from telecine.core.leases import LEASE_CHARS_MAX
from telecine.core.protocol import SOURCES_PER_LEASE_MAX

if TYPE_CHECKING:
    from tests.core.coordinator.conftest import Api

DOCUMENT: dict[str, Any] = msgspec.json.decode(describe(ROUTES, version="1.2.3"))


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = DOCUMENT["paths"][route.path][route.method.lower()]
    return operation


def _named(route: Route) -> str:
    return f"{route.method} {route.path}"


async def test_anyone_reads_the_description(api: Api) -> None:
    async with api.client.get(api.server.url + "/v1/openapi.json") as response:
        assert (response.status, response.content_type) == (200, "application/json")
        served = await response.json()
    assert served["info"]["version"] == api.services.version
    assert served["paths"] == DOCUMENT["paths"]


def test_description_is_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_call_is_described_and_nothing_else() -> None:
    described = {(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item}
    assert described == {(route.method, route.path) for route in ROUTES}


def test_no_two_calls_have_one_name() -> None:
    names = [_operation(route)["operationId"] for route in ROUTES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("route", ROUTES, ids=_named)
def test_call_says_what_it_does_and_who_may_make_it(route: Route) -> None:
    operation = _operation(route)
    assert re.fullmatch(r"[A-Z].{8,}[^`]", operation["summary"])
    assert {name for scheme in operation["security"] for name in scheme} == {scope.value for scope in route.scopes}
    assert {"401", "403", "429"} <= operation["responses"].keys() or not route.scopes


@pytest.mark.parametrize("route", ROUTES, ids=_named)
def test_call_names_its_messages(route: Route) -> None:
    operation = _operation(route)
    success = operation["responses"][str(route.status)]
    if route.answers is not None:
        assert success["content"]["application/json"]["schema"]["$ref"].endswith(f"/{route.answers.__name__}")
    if route.body is not None:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        assert schema["$ref"].endswith(f"/{route.body.__name__}")
    assert ("requestBody" in operation) is (route.body is not None)
    if route.query is not None:
        taken = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "query"}
        assert taken == set(route.query.__struct_fields__)


def test_what_is_sent_carries_its_bounds() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["Hello"]["properties"]["telegram_user_id"] == {
        "type": "integer", "minimum": 1, "maximum": 2**63 - 1,
    }  # fmt: skip
    assert schemas["ClaimRequest"]["additionalProperties"] is False
    assert schemas["SettleRequest"]["properties"]["outcome"]["discriminator"]["propertyName"] == "type"
    for name in ("SettleDone", "SettleFailed", "SettleFloodWait", "SettleReleased"):
        assert schemas[name]["properties"]["sources"]["maxItems"] == SOURCES_PER_LEASE_MAX
    assert schemas["SettleDone"]["properties"]["objects"]["maxItems"] == PART_COUNT_MAX
    assert schemas["Progress"]["properties"]["lease"]["maxLength"] == LEASE_CHARS_MAX
    (number,) = (each for each in DOCUMENT["paths"]["/v1/titles/{id}"]["get"]["parameters"] if each["in"] == "path")
    assert number["schema"]["maximum"] == 2**63 - 1
    settle = DOCUMENT["paths"]["/v1/leases/{lease}/settle"]["post"]
    (lease,) = (each for each in settle["parameters"] if each["in"] == "path")
    assert lease["schema"] == {"type": "string", "minLength": 1, "maxLength": LEASE_CHARS_MAX}
    contents = DOCUMENT["paths"]["/v1/contents/{blake3}"]["get"]
    (digest,) = (each for each in contents["parameters"] if each["in"] == "path")
    assert (digest["schema"]["pattern"], digest["schema"]["maxLength"]) == ("^[0-9a-f]{64}$", 64)


def test_refusals_are_problem_documents() -> None:
    for status, response in DOCUMENT["components"]["responses"].items():
        assert int(status) >= 400
        assert response["content"].keys() == {"application/problem+json"}
