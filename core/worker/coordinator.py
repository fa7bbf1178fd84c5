"""The worker's side of the coordination API."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import TypeVar

import aiohttp
import msgspec

from telecine.core.catalogue import VariantDetail
from telecine.core.clock import Clock
from telecine.core.errors import (
    ConfigError,
    ConflictError,
    ForbiddenError,
    InputError,
    NotFoundError,
    SupersededError,
    TelecineError,
    UnauthorizedError,
    UnavailableError,
)
from telecine.core.problems import error_of, problem_of
from telecine.core.protocol import (
    BeatAnswer,
    BeatRequest,
    ChannelLost,
    ChannelOpened,
    ClaimRequest,
    Contents,
    Hello,
    Lease,
    Settled,
    SettleRequest,
    Welcome,
)

ANSWER_TIMEOUT_S = 15.0  # beside what a long-poll waits
BEAT_TIMEOUT_S = 5.0
BACKOFF_S = 0.25
BACKOFF_S_MAX = 10.0
RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Claimed(msgspec.Struct, frozen=True):
    """A lease, and a moment of our monotonic clock at which it had not begun yet: it holds until `ttl_s` after that."""

    lease: Lease
    since_s: float


class CoordinatorClient:
    """Calls that survive a coordinator that is away: tried again with growing pauses until it answers.

    The calls are safe to repeat: a claim by its request id, a settle by its lease, the others by their nature. They
    raise LeaseLostError, NotFoundError, ConflictError, InputError, and ConfigError for a token that does not hold, a
    name for which another process speaks by now, an address that nobody can have, and one where something else answers
    that was never seen to be a coordinator. Once it was, it is a proxy that speaks in its place, and the coordinator is
    away.
    """

    def __init__(
        self, session: aiohttp.ClientSession, url: str, token: str, clock: Clock, rng: random.Random | None = None
    ) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._clock = clock
        self._rng = rng or random.Random()
        self._away = False
        self._met = False  # whether the address has been seen to be a coordinator's

    async def hello(self, hello: Hello) -> Welcome:
        """Introduce this boot of the worker."""
        return _decoded(await self._persist("POST", "/v1/workers/hello", hello), Welcome)

    async def channel_opened(self, channel_id: int, telegram_id: int) -> None:
        """Report a storage channel."""
        await self._persist("POST", f"/v1/channels/{channel_id}/opened", ChannelOpened(telegram_id))

    async def channel_lost(self, channel_id: int, detail: str) -> None:
        """Report a storage channel that the account cannot post to any more."""
        await self._persist("POST", f"/v1/channels/{channel_id}/lost", ChannelLost(detail))

    async def claim(self, request: ClaimRequest) -> Claimed | None:
        """Ask for work; None where none came up within `request.wait_s`."""
        asked_at_s = 0.0

        def note_asking() -> None:
            nonlocal asked_at_s
            asked_at_s = self._clock.monotonic_s()

        answer = await self._persist("POST", "/v1/leases", request, wait_s=request.wait_s, before_try=note_asking)
        if not answer:
            return None
        lease = _decoded(answer, Lease)
        return Claimed(lease, since_s=asked_at_s + lease.waited_s)

    async def beat(self, request: BeatRequest, *, timeout_s: float = BEAT_TIMEOUT_S) -> BeatAnswer:
        """Prolong leases. One try; UnavailableError where it fails, for the next beat is due soon."""
        return _decoded(await self._call("POST", "/v1/leases/beat", request, timeout_s=timeout_s), BeatAnswer)

    async def settle(self, lease: str, request: SettleRequest) -> Settled:
        """Report how a lease ended."""
        path = f"/v1/leases/{lease}/settle"
        return _decoded(await self._persist("POST", path, request), Settled)

    async def variant(self, code: str) -> VariantDetail:
        """Everything about an upload target."""
        return _decoded(await self._persist("GET", f"/v1/variants/{code}"), VariantDetail)

    async def contents(self, blake3: str) -> Contents:
        """Where the account holds a file of this hash already."""
        return _decoded(await self._persist("GET", f"/v1/contents/{blake3}"), Contents)

    async def _persist(
        self,
        method: str,
        path: str,
        body: msgspec.Struct | None = None,
        *,
        wait_s: float = 0.0,
        before_try: Callable[[], None] | None = None,
    ) -> bytes:
        pause_s = BACKOFF_S
        while True:
            if before_try is not None:
                before_try()
            try:
                answer = await self._call(method, path, body, timeout_s=wait_s + ANSWER_TIMEOUT_S)
            except UnavailableError as error:
                self._note_away(error)
                await self._clock.sleep(pause_s * self._rng.uniform(0.5, 1.0))
                pause_s = min(pause_s * 2, BACKOFF_S_MAX)
            else:
                self._note_back()
                return answer

    async def _call(self, method: str, path: str, body: msgspec.Struct | None, *, timeout_s: float) -> bytes:
        headers = self._headers if body is None else {**self._headers, "Content-Type": "application/json"}
        data = None if body is None else msgspec.json.encode(body)
        try:
            async with self._session.request(
                method,
                self._url + path,
                data=data,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
                allow_redirects=False,
            ) as response:
                answer = await response.read()
        except aiohttp.ClientConnectorCertificateError as error:  # a ValueError, too
            raise UnavailableError(f"the coordinator's certificate does not hold: {error.certificate_error}") from error
        except ValueError as error:  # of the address, as late as its name is looked up
            raise ConfigError(f"worker.coordinator_url: {self._url} is no address that can be asked") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnavailableError(f"the coordinator does not answer: {error or type(error).__name__}") from error
        if not _is_ours(response.status, answer):
            raise self._stranger(response.status)
        self._met = True
        if response.status >= 300:
            raise _refusal(response.status, answer)
        return answer

    def _stranger(self, status: int) -> TelecineError:
        """What an answer means that no coordinator has given."""
        if status in RETRYABLE or status >= 500 or self._met:
            return UnavailableError(f"something else answers in the coordinator's place: HTTP status {status}")
        return ConfigError(
            f"HTTP status {status}, and not as a coordinator says it", hint="check worker.coordinator_url"
        )

    def _note_away(self, error: UnavailableError) -> None:
        if not self._away:
            logger.warning("%s; trying again until it is back", error)
        self._away = True

    def _note_back(self) -> None:
        if self._away:
            logger.info("the coordinator answers again")
        self._away = False


def _is_ours(status: int, answer: bytes) -> bool:
    """Whether an answer is a coordinator's: JSON or nothing where all is well, else a problem document.

    The pages of proxies are neither, nor is what they leave of an answer that they cut short.
    """
    if status >= 300:
        return problem_of(answer) is not None
    try:
        msgspec.json.decode(answer or b"null", type=msgspec.Raw)
    except msgspec.MsgspecError:
        return False
    return True


def _decoded(answer: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.MsgspecError as error:
        raise ConfigError(
            f"the coordinator's answer is no {kind.__name__}: {error}",
            hint="worker and coordinator should run the same version; check worker.coordinator_url",
        ) from error


def _refusal(status: int, body: bytes) -> TelecineError:
    """What an answer with an error means to a worker: try again, ask the operator, or mind the lease."""
    error = error_of(status, body)
    if status in RETRYABLE:
        return UnavailableError(f"the coordinator has trouble of its own: {error}")
    if isinstance(error, UnauthorizedError | ForbiddenError):
        return ConfigError(f"the coordinator refuses worker.token: {error}", hint=error.hint)
    if isinstance(error, SupersededError):
        return ConfigError(error.message, hint=error.hint, field="worker.name")
    if isinstance(error, InputError | NotFoundError | ConflictError):
        return error
    return ConfigError(f"the coordinator says: {error}", hint=error.hint, field=error.field)
