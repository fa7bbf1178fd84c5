"""What all calls share: where they hang, how a request is read and an answer written."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from telecine.core.coordinator.claims import Claims
from telecine.core.coordinator.overview import Overview
from telecine.core.coordinator.services import Services
from telecine.core.coordinator.tokens import Identity, Scope
from telecine.core.errors import InputError
from telecine.core.protocol import Int64

BODY_BYTES_MAX = 1024 * 1024
BODY_WAIT_S = 30.0

SERVICES = web.AppKey("services", Services)
CLAIMS = web.AppKey("claims", Claims)
OVERVIEW = web.AppKey("overview", Overview)
IDENTITY = web.RequestKey("identity", Identity)
REQUEST_ID = web.RequestKey("request_id", str)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
T = TypeVar("T")

ANYONE: frozenset[Scope] = frozenset()
WORKERS = frozenset({Scope.WORKER})
OPERATORS = frozenset({Scope.OPERATOR})
BOTH = WORKERS | OPERATORS


class Route(msgspec.Struct, frozen=True):
    """One call of the API: where it hangs, who may make it, and what goes in and comes out.

    The handler's name is the call's `operationId`, its docstring the call's description. Refusals that every call of
    a kind can give (400 to wrong input, 401 and 403 to the wrong token, 404 to a name in the path that names nothing)
    follow from the rest and are not listed.
    """

    method: str
    path: str
    handler: Handler
    scopes: frozenset[Scope]
    """Who may make it. `ANYONE`: no token is asked for."""
    query: type[msgspec.Struct] | None = None
    """What `read_query` reads; None where no parameter is looked at."""
    body: type[msgspec.Struct] | None = None
    """What `read_body` reads; None where no body is."""
    answers: type[msgspec.Struct] | None = None
    """The message of a success; None for an answer that is not JSON, or is empty."""
    status: int = 200
    """Of a success: 204 is an empty one."""
    may_be_empty: bool = False
    """Whether 204 is a success beside `status`."""
    refusals: tuple[int, ...] = ()
    """Statuses of the errors that the call raises by itself, such as 409."""
    media_type: str = "application/json"
    """Of a success that has a body."""


async def read_body(request: web.Request, message: type[T]) -> T:
    """The JSON body as a `message`. Raises InputError that names the field which is wrong."""
    try:
        async with asyncio.timeout(BODY_WAIT_S):
            body = await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except (web.RequestPayloadError, HttpProcessingError) as error:
        raise InputError("the body does not arrive as its headers say") from error
    return decode(body, message)


def decode(body: bytes, message: type[T]) -> T:
    """JSON as a `message`. Raises InputError that names the field which is wrong."""
    try:
        return msgspec.json.decode(body, type=message)
    except msgspec.ValidationError as error:
        raise _input_error(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InputError("the body is not JSON", hint="send one JSON object, encoded as UTF-8") from error


def read_query(request: web.Request, message: type[T]) -> T:
    """The query parameters as a `message`. Raises InputError that names the parameter which is wrong."""
    repeated = next((name for name in request.query if len(request.query.getall(name)) > 1), None)
    if repeated is not None:
        raise InputError("this parameter is given more than once", field=repeated)
    return _convert(dict(request.query), message)


def path_number(request: web.Request, name: str) -> int:
    """A number in the path. Raises InputError."""
    try:
        return msgspec.convert(request.match_info[name], Int64, strict=False)
    except msgspec.ValidationError as error:
        raise InputError(str(error), field=name) from error


def answer(message: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A message as JSON."""
    body = msgspec.json.encode(message)
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def _convert(pairs: Mapping[str, str], message: type[T]) -> T:
    try:
        return msgspec.convert(pairs, message, strict=False)
    except msgspec.ValidationError as error:
        raise _input_error(str(error)) from error


_AT = re.compile(r"(?P<what>.*?)(?: - at `(?:key in )?\$?(?P<where>[^`]*)`)?", re.DOTALL)
_FIELD = re.compile(r"(?:missing required|unknown) field `(?P<name>[^`]*)`")


def _input_error(message: str) -> InputError:
    """Split msgspec's `Expected `int`, got `str` - at `$.wait_s`` into what and where."""
    match = _AT.fullmatch(message)
    what, where = (match["what"], match["where"] or "") if match else (message, "")
    named = _FIELD.search(what)
    if named is not None:
        where = f"{where}.{named['name']}"
    return InputError(what, field=where.lstrip(".") or None)
