"""The API's description of itself, made from the routes and the messages: OpenAPI 3.1."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from telecine.core.coordinator.calls import Route
from telecine.core.coordinator.http.answers import EVENT_STREAM, PROBLEM_JSON
from telecine.core.coordinator.tokens import Scope
from telecine.core.protocol import Digest, Int64, LeaseName, Problem

OPENAPI = "3.1.0"
SCHEMA_REF = "#/components/schemas/{name}"

Json = dict[str, Any]

_PLACEHOLDER = re.compile(r"\{(\w+)\}")

# What each kind of call can be refused with, whatever it does.
_ALWAYS = (400, 414, 431, 500, 503)
_GUARDED = (401, 403, 429)
_WITH_BODY = (408, 413, 415, 417, 501)

# What stands in a path; anything else there is a word.
_PLACED = {"id": Int64, "lease": LeaseName, "blake3": Digest}

_SCHEMES = {Scope.WORKER: "worker", Scope.OPERATOR: "operator"}


def describe(routes: Iterable[Route], *, version: str) -> bytes:
    """The whole document, as JSON. Its bytes are the same for the same routes."""
    routes = tuple(routes)
    document = {
        "openapi": OPENAPI,
        "info": {
            "title": "Telecine",
            "summary": "Lease uploads, and look after them.",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The coordinator that this document comes from."}],
        "tags": [{"name": name} for name in sorted({_tag(route) for route in routes})],
        "paths": _paths(routes),
        "components": {
            "schemas": _schemas(routes),
            "securitySchemes": {scheme: _scheme(scope) for scope, scheme in _SCHEMES.items()},
            "headers": _HEADERS,
            "responses": {str(status): _problem(status) for status in sorted(_statuses(routes))},
        },
    }
    return msgspec.json.encode(document)


def _paths(routes: Iterable[Route]) -> Json:
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return paths


def _operation(route: Route) -> Json:
    text = inspect.getdoc(route.handler) or ""
    operation: Json = {
        "operationId": route.handler.__name__,
        "summary": text.partition("\n")[0],
        "description": text,
        "tags": [_tag(route)],
        "parameters": [*_path_parameters(route), *_query_parameters(route), *_header_parameters(route)],
        "responses": _responses(route),
        # Either scheme is enough where there are two; an empty list is a call that anyone may make.
        "security": [{_SCHEMES[scope]: []} for scope in sorted(route.scopes)],
    }
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(route.body)}}}
    return operation


def _responses(route: Route) -> Json:
    responses: dict[str, Json] = {str(route.status): _success(route)}
    if route.may_be_empty:
        responses["204"] = {"description": "There is nothing to give.", "headers": _headers("X-Request-ID")}
    if route.is_read:
        responses["304"] = {
            "description": "It is what `If-None-Match` names.",
            "headers": _headers("X-Request-ID", "ETag", "Cache-Control", "Vary"),
        }
    for status in _refusals(route):
        responses[str(status)] = {"$ref": f"#/components/responses/{status}"}
    return responses


def _success(route: Route) -> Json:
    success: Json = {"description": HTTPStatus(route.status).phrase, "headers": _headers("X-Request-ID")}
    if route.answers is not None:
        success["content"] = {route.media_type: {"schema": _ref(route.answers)}}
    elif route.is_read:
        success["content"] = {route.media_type: {"schema": {"type": "object"}}}
    elif route.status != HTTPStatus.NO_CONTENT:
        success["content"] = {route.media_type: {"schema": {"type": "string"}}}
    if route.is_read:
        success["headers"] |= _headers("ETag", "Cache-Control", "Vary")
    if route.status == HTTPStatus.ACCEPTED:
        success["headers"] |= _headers("Location")
    return success


def _refusals(route: Route) -> list[int]:
    statuses = {*_ALWAYS, *route.refusals}
    statuses.update(_GUARDED if route.scopes else ())
    statuses.update(_WITH_BODY if route.body is not None else ())
    statuses.update((404,) if _PLACEHOLDER.search(route.path) else ())
    return sorted(statuses)


def _statuses(routes: Iterable[Route]) -> set[int]:
    return {status for route in routes for status in _refusals(route)}


def _problem(status: int) -> Json:
    headers = ["X-Request-ID"]
    headers += ["WWW-Authenticate"] if status == HTTPStatus.UNAUTHORIZED else []
    headers += ["Retry-After"] if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE} else []
    return {
        "description": HTTPStatus(status).phrase,
        "headers": _headers(*headers),
        "content": {PROBLEM_JSON: {"schema": _ref(Problem)}},
    }


# ---- parameters ----------------------------------------------------------------------------------


def _path_parameters(route: Route) -> Iterator[Json]:
    for name in _PLACEHOLDER.findall(route.path):
        schema = _schema(_PLACED.get(name, str))
        if schema["type"] == "string":
            schema["minLength"] = 1
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(route: Route) -> Iterator[Json]:
    if route.query is None:
        return
    struct = _components([route.query])[route.query.__name__]
    for name, schema in struct["properties"].items():
        required = name in struct["required"]
        yield {"name": name, "in": "query", "required": required, "schema": _given(schema)}


def _header_parameters(route: Route) -> Iterator[Json]:
    yield _header_in("X-Request-ID", "Names the request in the answer and in the log.")
    if route.is_read:
        yield _header_in("If-None-Match", "Tags of answers that are here already: 304 where one of them still holds.")
    if route.media_type == EVENT_STREAM:
        yield _header_in("Last-Event-ID", "The last event that was seen; those behind it follow.")


def _header_in(name: str, description: str) -> Json:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": {"type": "string"}}


def _given(schema: Json) -> Json:
    """The schema of a parameter that is there: one that is None is left out, and no text says so."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
    if len(kinds) == 1 and schema.get("default") is None:
        return dict(kinds[0])
    return schema


# ---- messages and what else is shared ------------------------------------------------------------


def _schemas(routes: Iterable[Route]) -> Json:
    messages: set[type[msgspec.Struct]] = {Problem}
    shown = (kind for route in routes for kind in (route.query, route.body, route.answers) if kind is not None)
    messages.update(shown)
    return _components(sorted(messages, key=lambda message: message.__name__))


def _components(messages: Iterable[Any]) -> Json:
    _, components = msgspec.json.schema_components(messages, ref_template=SCHEMA_REF)
    for schema in components.values():
        if "description" in schema:
            schema["description"] = inspect.cleandoc(schema["description"])
    return dict(sorted(components.items()))


def _schema(kind: Any) -> Json:
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=SCHEMA_REF)
    return schema


def _ref(message: type[msgspec.Struct]) -> Json:
    return {"$ref": SCHEMA_REF.format(name=message.__name__)}


def _scheme(scope: Scope) -> Json:
    issued = f"`telecine token issue` makes one of scope `{scope.value}`; it reaches no other scope's calls."
    return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": issued}


def _headers(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _header(description: str, kind: str = "string") -> Json:
    return {"description": description, "required": True, "schema": {"type": kind}}


_HEADERS: Mapping[str, Json] = {
    "Cache-Control": _header("Answers may be kept, and are asked for again by their tag."),
    "ETag": _header("A weak tag: the same as long as the answer is."),
    "Location": _header("Where what was begun can be looked at."),
    "Retry-After": _header("Seconds.", "integer"),
    "Vary": _header("Whether the answer is compressed depends on the request."),
    "WWW-Authenticate": _header("How to say who is calling."),
    "X-Request-ID": _header("Names this request in the log."),
}


def _tag(route: Route) -> str:
    """The first word of the path under /v1: what the call is about."""
    parts = route.path.strip("/").split("/")
    return parts[1].removesuffix(".json") if len(parts) > 1 else "probes"
