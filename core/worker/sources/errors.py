"""Why a source cannot be used, from what the network and HTTP say."""

from __future__ import annotations

import socket

import aiohttp

from telecine.core.errors import TelecineError
from telecine.core.reasons import Reason
from telecine.core.retry_after import retry_after_s
from telecine.core.worker.sources.addresses import AddressForbiddenError

RETRY_AFTER_S_MAX = 24 * 3600.0  # who asks for more is asked again after a day all the same


class SourceError(TelecineError):
    """A source link cannot be used. The message names no URL, since those may carry secrets.

    `retry_after_s`: how long the host asks to stay away, where it says.
    """

    code = "source"

    def __init__(
        self, reason: Reason, message: str, *, retry_after_s: float | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
        self.retry_after_s = retry_after_s


class OrderError(SourceError):
    """A source has to be read in another order than the one in which its host sends it: a copy on the disk can be."""

    def __init__(self) -> None:
        super().__init__(Reason.NOT_MEDIA, "needs reading in another order, and the host has no ranges")


class BrokenOffError(Exception):
    """A body ended before its declared length. `reset`: by a failure of the network, rather than an orderly end."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__("the connection was lost" if reset else "the body ended early")
        self.reset = reset


def refusal(status: int, retry_after: str | None, now_ms: int) -> SourceError | None:
    """What an HTTP status says against a source, with its Retry-After header; None for those that bring a body."""
    if status in (200, 206):
        return None
    message = f"the host answers {status}"
    if status == 429 or (status == 503 and retry_after):
        wait_s = retry_after_s(retry_after, now_ms)
        bounded_s = None if wait_s is None else min(wait_s, RETRY_AFTER_S_MAX)
        return SourceError(Reason.RATE_LIMITED, message, retry_after_s=bounded_s)
    if status in _OF_STATUS:
        return SourceError(*_OF_STATUS[status])
    if status >= 500 or status == 408:
        return SourceError(Reason.NETWORK, message)
    return SourceError(Reason.FORBIDDEN if status >= 400 else Reason.GONE, message)


_OF_STATUS = {
    404: (Reason.GONE, "the host answers 404"),
    407: (Reason.INTERNAL, "the proxy asks for a login"),
    410: (Reason.GONE, "the host answers 410"),
    416: (Reason.NOT_MEDIA, "the host has no bytes to send"),
}


def failure(error: aiohttp.ClientError | OSError | TimeoutError) -> SourceError:
    """What a failure to get any answer says against a source; INTERNAL where it is our own proxy that fails."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return _proxy_failure(error)
    if isinstance(cause, AddressForbiddenError):
        return SourceError(Reason.FORBIDDEN, str(cause), hint="`worker.allow_private_sources = true` allows it")
    if isinstance(error, aiohttp.InvalidURL):
        return SourceError(Reason.GONE, "is not a URL that can be asked for")
    if isinstance(error, aiohttp.ClientConnectorDNSError) or isinstance(cause, socket.gaierror):
        passing = isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_AGAIN
        return SourceError(Reason.NETWORK if passing else Reason.GONE, f"the host's name does not resolve: {cause}")
    if isinstance(error, TimeoutError):
        return SourceError(Reason.NETWORK, "the host does not accept the connection in time")
    detail = cause.strerror if isinstance(cause, OSError) and cause.strerror else type(cause).__name__
    return SourceError(Reason.NETWORK, f"the host cannot be reached: {detail}")


def _proxy_failure(error: aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError) -> SourceError:
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return SourceError(Reason.INTERNAL, "the proxy cannot be reached")
    reason = Reason.INTERNAL if error.status == 407 else Reason.NETWORK
    return SourceError(reason, f"the proxy answers {error.status}")
