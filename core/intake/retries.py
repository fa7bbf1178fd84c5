"""When CM is asked again: what says that it is busy, and how long to wait."""

from __future__ import annotations

import aiohttp
from aiohttp import ClientResponse, hdrs

from telecine.core.errors import UnavailableError
from telecine.core.retry_after import retry_after_s

ATTEMPTS_MAX = 6
BACKOFF_S = 1.0
BACKOFF_S_MAX = 30.0
RETRY_AFTER_S_MAX = 300.0  # who asks for more is not waited for within one import


class BusyError(UnavailableError):
    """CM asks to be left alone for `retry_after_s`, or does not say how long."""

    def __init__(self, message: str, *, retry_after_s: float | None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


def unanswered(what: str, error: aiohttp.ClientError | TimeoutError) -> UnavailableError:
    """Of a call that CM did not answer. Of the error only what the system says is repeated: no key is in it."""
    why = None
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = f"its certificate does not hold: {error.certificate_error}"
    elif isinstance(error, aiohttp.ClientConnectorError):
        why = error.os_error.strerror
    return UnavailableError(f"CM does not answer {what}: {why or type(error).__name__}")


def raise_if_busy(response: ClientResponse, what: str, now_ms: int) -> None:
    """Raises BusyError for a 429, and a 503 that says for how long; UnavailableError for any other 5xx.

    `what` names the call.
    """
    asked = response.headers.get(hdrs.RETRY_AFTER)
    if response.status == 429:
        hint = "CM limits requests; lower cm.max_concurrency or ask it for more"
        raise BusyError(f"CM limits {what}", retry_after_s=retry_after_s(asked, now_ms), hint=hint)
    if response.status >= 500:
        message = f"CM answers {what} with {response.status}"
        wait_s = retry_after_s(asked, now_ms) if response.status == 503 else None
        raise UnavailableError(message) if wait_s is None else BusyError(message, retry_after_s=wait_s)


def delay_s(attempt: int, error: UnavailableError, jitter: float) -> float | None:
    """Seconds to wait after this failed attempt, the first being 1; None to give up.

    `jitter` is a random number from 0 to 1, so that several importers do not come back as one.
    """
    if attempt >= ATTEMPTS_MAX:
        return None
    if isinstance(error, BusyError) and error.retry_after_s is not None:
        asked_s = error.retry_after_s
        return asked_s + jitter if asked_s <= RETRY_AFTER_S_MAX else None
    ceiling_s = min(BACKOFF_S_MAX, BACKOFF_S * 2.0 ** (attempt - 1))
    return ceiling_s * (0.5 + 0.5 * jitter)
