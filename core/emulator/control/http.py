"""How the control API reads and answers: typed JSON in, typed JSON out, errors that name the culprit."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeVar

import msgspec
from aiohttp import web

from telecine.core.emulator.control import messages
from telecine.core.errors import InputError, TelecineError

BodyT = TypeVar("BodyT")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_PATH_IN_ERROR = re.compile(r"`\$\.?(?P<path>[^`]*)`$|field `(?P<field>[^`]+)`")


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn errors into `{"code", "message", "field"}` with their status."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        failure = messages.Failure(code="http", message=f"{request.method} {request.path}: {error.reason}")
        return json_response(failure, error.status)
    except TelecineError as error:
        failure = messages.Failure(code=error.code, message=error.message, field=error.field)
        return json_response(failure, error.http_status)


async def read_body(request: web.Request, kind: type[BodyT]) -> BodyT:
    """The body as this type; an empty one counts as `{}`. Raises InputError naming what does not fit."""
    try:
        return msgspec.json.decode(await request.read() or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise InputError(str(error), field=_culprit(str(error))) from error
    except msgspec.DecodeError as error:
        raise InputError(f"the body is not JSON: {error}") from error


def _culprit(message: str) -> str | None:
    """The path in msgspec's message: the end of it, and the name of a field missing or unknown there."""
    parts = [found["path"] or found["field"] for found in _PATH_IN_ERROR.finditer(message)]
    return ".".join(part for part in reversed(parts) if part and part != "$") or None


def read_number(request: web.Request, name: str) -> int:
    """A number in the path. Raises InputError naming it."""
    text = request.match_info[name]
    try:
        return int(text)
    except ValueError:
        raise InputError(f"{name} has to be a number, not {text!r}", field=name) from None


def json_response(body: object, status: int = HTTPStatus.OK) -> web.Response:
    """An answer in JSON."""
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
