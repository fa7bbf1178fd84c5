"""Calling the coordination API as an operator."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from telecine.core.config import OperatorSettings
from telecine.core.errors import (
    ConfigError,
    ForbiddenError,
    InputError,
    TelecineError,
    UnauthorizedError,
    UnavailableError,
)
from telecine.core.problems import error_of
from telecine.core.protocol import Message

T = TypeVar("T")

TIMEOUT_S = 60.0
JSON_HEADERS = {"Content-Type": "application/json"}
REISSUE_HINT = "`telecine token issue --operator NAME` on the main machine prints one"


def path_of(*segments: str | int) -> str:
    """The path of a call, such as `/v1/hosts/files.example%3A8080/limit`. Raises InputError for a segment that no name
    can be: an empty one, or one that would lead elsewhere."""
    for segment in map(str, segments):
        if segment in {"", ".", ".."}:
            raise InputError(f"{segment!r} is not a name")
    return "/v1/" + "/".join(quote(str(segment), safe="") for segment in segments)


class Api:
    """The coordination API with an operator's token. An async context manager."""

    def __init__(self, operator: OperatorSettings) -> None:
        if operator.token is None:
            raise ConfigError(
                "operator.token is missing",
                hint=REISSUE_HINT,
            )
        self._base = operator.coordinator_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {operator.token}"}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers=self._headers, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), auto_decompress=True
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def get(self, path: str, kind: type[T], query: Mapping[str, str | int] | None = None) -> T:
        """Raises the TelecineError that the coordinator answers with; UnavailableError where it does not answer, or its
        certificate does not hold, and ConfigError for an address that nobody can have."""
        return await self._call("GET", path, kind, query=query)

    async def post(self, path: str, kind: type[T], message: Message | None = None) -> T:
        """Send `message`, if the call takes one. An answer without a body is read as None. Raises as `get` does."""
        return await self._call("POST", path, kind, message=message)

    async def _call(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        query: Mapping[str, str | int] | None = None,
        message: Message | None = None,
    ) -> T:
        data, headers = (None, {}) if message is None else (msgspec.json.encode(message), JSON_HEADERS)
        try:
            async with self._session.request(
                method, self._base + path, params=query, data=data, headers=headers, allow_redirects=False
            ) as reply:
                body = await reply.read()
        except aiohttp.ClientConnectorCertificateError as error:  # a ValueError, too
            raise UnavailableError(
                f"the certificate of {self._base} does not hold: {error.certificate_error}",
                hint="this machine must trust who signed it; a certificate that has expired is to be renewed",
            ) from error
        except ValueError as error:  # of the address, as late as its name is looked up
            raise ConfigError(f"operator.coordinator_url: {self._base} is no address that can be asked") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UnavailableError(
                f"no coordinator answers at {self._base}: {_why(error)}",
                hint="is `telecine serve` running, and is operator.coordinator_url right?",
            ) from error
        if reply.status >= 400:
            raise self._refused(error_of(reply.status, body))
        try:
            return msgspec.json.decode(body or b"null", type=kind)
        except msgspec.DecodeError as error:
            raise UnavailableError(f"{self._base} does not answer like a coordinator: {error}") from error

    def _refused(self, error: TelecineError) -> TelecineError:
        """Which of the settings it is about, where it is about one."""
        if isinstance(error, UnauthorizedError | ForbiddenError):
            return type(error)(f"the coordinator refuses operator.token: {error.message}", hint=REISSUE_HINT)
        if type(error) is TelecineError or isinstance(error, UnavailableError):
            return type(error)(f"{self._base} answers: {error.message}", hint=error.hint)
        return error


def _why(error: aiohttp.ClientError | TimeoutError) -> str:
    """Why nobody answers."""
    why = error.os_error.strerror if isinstance(error, aiohttp.ClientConnectorError) else str(error)
    if not why and isinstance(error, TimeoutError):
        return f"nothing within {TIMEOUT_S:g} s"
    return why or type(error).__name__
