"""Why a source cannot be used, from what the network and HTTP say."""

from __future__ import annotations

import socket

import aiohttp

from telecine.core.errors import TelecineError
from telecine.core.reasons import Reason
from telecine.core.worker.sources.addresses import AddressForbiddenError


class SourceError(TelecineError):
    """A source link cannot be used. The message names no URL, since those may carry secrets."""

    code = "source"

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class BrokenOffError(Exception):
    """A body ended before its declared length. `reset`: by a failure of the network, rather than an orderly end."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__("the connection was lost" if reset else "the body ended early")
        self.reset = reset


def refusal(status: int, *, retry_after: bool) -> SourceError | None:
    """What an HTTP status says against a source; None for those that bring a body."""
    if status in (200, 206):
        return None
    message = f"the host answers {status}"
    if status == 429 or (status == 503 and retry_after):
        return SourceError(Reason.RATE_LIMITED, message)
    if status == 416:
        return SourceError(Reason.NOT_MEDIA, "the host has no bytes to send")
    if status in (404, 410):
        return SourceError(Reason.GONE, message)
    if status >= 500 or status == 408:
        return SourceError(Reason.NETWORK, message)
    return SourceError(Reason.FORBIDDEN if status >= 400 else Reason.GONE, message)


def failure(error: aiohttp.ClientError | OSError | TimeoutError) -> SourceError:
    """What a failure to get any answer says against a source."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, AddressForbiddenError):
        return SourceError(Reason.FORBIDDEN, str(cause))
    if isinstance(error, aiohttp.InvalidURL):
        return SourceError(Reason.GONE, "is not a URL that can be asked for")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        passing = isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_AGAIN
        return SourceError(Reason.NETWORK if passing else Reason.GONE, f"the host's name does not resolve: {cause}")
    if isinstance(error, TimeoutError):
        return SourceError(Reason.NETWORK, "the host does not accept the connection in time")
    detail = cause.strerror if isinstance(cause, OSError) and cause.strerror else type(cause).__name__
    return SourceError(Reason.NETWORK, f"the host cannot be reached: {detail}")
