"""What all calls share: where they hang, how a handler reads a request and answers it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Hashable, Mapping
from functools import cache
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl, unquote

import msgspec

from telecine.core.coordinator.claims import Claims
from telecine.core.coordinator.http.answers import JSON, Answer, Stream
from telecine.core.coordinator.http.requests import Request
from telecine.core.coordinator.overview import Overview
from telecine.core.coordinator.services import Services
from telecine.core.coordinator.tokens import Identity, Scope
from telecine.core.errors import InputError
from telecine.core.protocol import Int64, LeaseName

PARAMETERS_MAX = 64

T = TypeVar("T")

ANYONE: frozenset[Scope] = frozenset()
WORKERS = frozenset({Scope.WORKER})
OPERATORS = frozenset({Scope.OPERATOR})
BOTH = WORKERS | OPERATORS


class Call:
    """One request as a handler sees it."""

    __slots__ = ("_identity", "_names", "_request", "claims", "document", "overview", "services")

    def __init__(
        self,
        request: Request,
        names: Mapping[str, str],
        identity: Identity | None,
        services: Services,
        claims: Claims,
        overview: Overview,
        document: bytes,
    ) -> None:
        self._request = request
        self._names = names
        self._identity = identity
        self.services = services
        self.claims = claims
        self.overview = overview
        self.document = document
        """What describes the API: OpenAPI, as JSON."""

    @property
    def identity(self) -> Identity:
        """Who is calling. Raises RuntimeError in a call that asks for no token."""
        if self._identity is None:
            raise RuntimeError("anyone may make this call")
        return self._identity

    @property
    def caller(self) -> str:
        """The name of whoever is calling."""
        return self.identity.subject

    def readmit(self) -> None:
        """Raises UnauthorizedError where the token has ended since the call began."""
        self.services.tokens.verify(self._request.header("authorization"))

    def body(self, message: type[T]) -> T:
        """The JSON body as a `message`. Raises InputError that names the field which is wrong."""
        return decode(self._request.body, message)

    def query(self, message: type[T]) -> T:
        """The query parameters as a `message`. Raises InputError that names the parameter which is wrong."""
        return read_query(self._request.query, message)

    def name(self, placeholder: str) -> str:
        """What stands in the path for a `{placeholder}`."""
        return unquote(self._names[placeholder])

    def lease(self) -> str:
        """The name of a lease that stands in the path. Raises InputError for one that is too long to be any."""
        try:
            return msgspec.convert(self.name("lease"), LeaseName)
        except msgspec.ValidationError as error:
            raise InputError(str(error), field="lease") from error

    def number(self, placeholder: str) -> int:
        """A number that stands in the path. Raises InputError."""
        try:
            return msgspec.convert(_number(self.name(placeholder)), Int64)
        except msgspec.ValidationError as error:
            raise InputError(str(error), field=placeholder) from error

    def header(self, name: str) -> str | None:
        """A header by its name; None where it was not sent."""
        return self._request.header(name)


Handler = Callable[[Call], Awaitable[Answer | Stream]]


class Route(msgspec.Struct, frozen=True):
    """One call of the API: where it hangs, who may make it, and what goes in and comes out.

    The handler's name is the call's `operationId`, its docstring the call's description. Refusals that every call of
    a kind can give (400 to wrong input, 401 and 403 to the wrong token, 404 to a name in the path that names nothing)
    follow from the rest and are not listed.
    """

    method: str
    path: str
    """`{id}` stands for a number, any other placeholder for a word."""
    handler: Handler
    scopes: frozenset[Scope]
    """Who may make it. `ANYONE`: no token is asked for."""
    query: type[msgspec.Struct] | None = None
    """What `Call.query` reads. None: a request with parameters is refused."""
    body: type[msgspec.Struct] | None = None
    """What `Call.body` reads; None where no body is."""
    answers: type[msgspec.Struct] | None = None
    """The message of a success; None for an answer that is not JSON, or is empty."""
    status: int = 200
    """Of a success: 204 is an empty one."""
    may_be_empty: bool = False
    """Whether 204 is a success beside `status`."""
    refusals: tuple[int, ...] = ()
    """Statuses of the errors that the call raises by itself, such as 409."""
    media_type: str = JSON
    """Of a success that has a body."""

    @property
    def is_read(self) -> bool:
        """Whether it gives JSON and changes nothing, so that the answer may be compressed and asked for by its tag."""
        return self.method == "GET" and self.media_type == JSON


def answer(message: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """A message as JSON."""
    return Answer(status, _ENCODER.encode(message), headers=headers or {})


def nothing() -> Answer:
    """Success without a body."""
    return Answer(204)


def decode(body: bytes, message: type[T]) -> T:
    """JSON as a `message`. Raises InputError that names the field which is wrong."""
    try:
        decoded: T = _decoder(message).decode(body)
    except msgspec.ValidationError as error:
        raise _input_error(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InputError("the body is not JSON", hint="send one JSON object, encoded as UTF-8") from error
    return decoded


def read_query(query: str, message: type[T]) -> T:
    """Query parameters as a `message`. Raises InputError that names the parameter which is wrong."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=PARAMETERS_MAX)
    except ValueError as error:
        raise InputError(f"there are more than {PARAMETERS_MAX} parameters") from error
    parameters: dict[str, str | int] = {}
    numbers = _numbers(cast("Hashable", message))
    for name, value in pairs:
        if name in parameters:
            raise InputError("this parameter is given more than once", field=name)
        parameters[name] = _number(value) if name in numbers else value
    try:
        return msgspec.convert(parameters, message)
    except msgspec.ValidationError as error:
        raise _input_error(str(error)) from error


_NUMBER = re.compile(r"-?[0-9]{1,100}")  # many more digits than any number has that is taken


def _number(text: str) -> str | int:
    """The integer that a text spells; any other text as it is, to be refused. msgspec by itself would read `null` and
    `1e2`, too."""
    return int(text) if _NUMBER.fullmatch(text) else text


@cache
def _numbers(message: Hashable) -> frozenset[str]:
    """Which fields of a message are integers."""
    described = msgspec.inspect.type_info(message)
    if not isinstance(described, msgspec.inspect.StructType):
        raise TypeError(f"{message} has no fields")
    return frozenset(field.encode_name for field in described.fields if _is_number(field.type))


def _is_number(kind: msgspec.inspect.Type) -> bool:
    if isinstance(kind, msgspec.inspect.UnionType):
        return any(map(_is_number, kind.types))
    return isinstance(kind, msgspec.inspect.IntType)


_ENCODER = msgspec.json.Encoder()


_DECODERS: dict[Any, msgspec.json.Decoder[Any]] = {}


def _decoder(message: Any) -> msgspec.json.Decoder[Any]:
    """Made once a message: making one costs more than using it."""
    return _DECODERS.get(message) or _DECODERS.setdefault(message, msgspec.json.Decoder(message))


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
