"""Signing in to CM: client middlewares that put the right header on every request to it and on no other.

A JWT is renewed ahead of its end by one task at a time, however many requests wait for it: CM's refresh tokens die
with their first use, so that of several refreshes at once all but one would leave a dead pair behind. The task
outlives a request that is cancelled while it waits, and the new pair is on the disk before anyone uses it.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Mapping
from typing import Protocol

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, ClientSession, hdrs
from yarl import URL

from telecine.core.clock import Clock
from telecine.core.config import CmAuthSettings, CmSettings
from telecine.core.errors import CmAuthError, CmError, ConfigError, UnavailableError
from telecine.core.intake.answers import ERROR_BYTES_MAX, read_error_code, read_json
from telecine.core.intake.mapping import parse_path
from telecine.core.intake.retries import BusyError, raise_if_busy, unanswered
from telecine.core.intake.tokens import TokenAnswers, TokenFile, TokenPair

logger = logging.getLogger(__name__)

REFRESHES_MAX = 2  # a refresh whose answer got lost may have spent its token: once more, then a login


class Authentication(Protocol):
    """A client middleware of aiohttp that signs requests."""

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse: ...

    async def aclose(self) -> None:
        """Wait for a renewal under way, so that no pair gets lost; call it before the session is closed."""
        ...


def base_url_of(settings: CmSettings) -> URL:
    """CM's base URL. Raises ConfigError unless it is one of HTTP with a host."""
    try:
        url = URL(settings.base_url)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise ConfigError("cm.base_url: expected a URL such as https://cm.example")
    return url


def resolve(base_url: URL, path: str) -> URL:
    """The URL of a path below CM's base."""
    return URL(f"{str(base_url).rstrip('/')}/{path.lstrip('/')}")


def authentication(settings: CmSettings, clock: Clock) -> Authentication:
    """The middleware that `[cm.auth]` asks for. Raises ConfigError that names the key it lacks."""
    auth = settings.auth
    header: str = hdrs.AUTHORIZATION
    match auth.kind:
        case "jwt_refresh":
            return JwtRefresh(settings, clock)
        case "static_bearer":
            value = f"Bearer {_required(auth.token, 'token', auth)}"
        case "api_key":
            header, value = auth.header, _required(auth.token, "token", auth)
        case "basic":
            user = f"{_required(auth.username, 'username', auth)}:{_required(auth.password, 'password', auth)}"
            value = f"Basic {base64.b64encode(user.encode()).decode()}"
        case _:
            return FixedHeaders(base_url_of(settings), {})
    return FixedHeaders(base_url_of(settings), {header: value})


def _required(value: str | None, key: str, auth: CmAuthSettings) -> str:
    if not value:
        raise ConfigError(f"cm.auth.{key} is missing: cm.auth.kind is {auth.kind}")
    return value


class FixedHeaders:
    """The same headers on every request to CM's own origin, none on any other."""

    def __init__(self, base_url: URL, headers: Mapping[str, str]) -> None:
        self._origin = base_url.origin()
        self._headers = headers

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        if request.url.origin() == self._origin:
            request.headers.update(self._headers)
        return await handler(request)

    async def aclose(self) -> None:
        """Nothing is under way."""


class JwtRefresh:
    """Access tokens that expire, renewed by a refresh token or, where that fails, by a login."""

    def __init__(self, settings: CmSettings, clock: Clock) -> None:
        auth = settings.auth
        if auth.login is None:
            raise ConfigError("cm.auth.login is missing: cm.auth.kind is jwt_refresh")
        self._login = auth.login
        self._refresh = auth.refresh
        self._expired = auth.expired
        self._base_url = base_url_of(settings)
        self._origin = self._base_url.origin()
        self._answers = TokenAnswers(auth.response, auth.skew_s)
        path = auth.expired.code_path
        self._code_path = parse_path(path, "cm.auth.expired.code_path") if path else None
        self._file = TokenFile(auth.token_file, settings.base_url) if auth.token_file else None
        self._timeout = aiohttp.ClientTimeout(total=settings.timeout_s)
        self._clock = clock
        self._pair: TokenPair | None = None
        self._generation = 0  # how many pairs there were: tells a waiter whether a neighbour has renewed
        self._doubted: int | None = None  # the generation that came from the disk, until CM accepts it
        self._spent: str | None = None  # a refresh token that is not worth another try
        self._renewal: asyncio.Task[TokenPair] | None = None

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Send with a token; once more with a new one if CM says that it ran out.

        Raises CmAuthError where CM refuses both, UnavailableError where it issues none now.
        """
        if request.url.origin() != self._origin:
            return await handler(request)
        response, generation = await self._send(request, handler, stale=None)
        if not await self._is_expired(response, generation):
            return response
        response, generation = await self._send(request, handler, stale=generation)
        if await self._is_expired(response, generation):
            raise CmAuthError(f"CM refuses a token that it has just issued ({response.status})")
        return response

    async def aclose(self) -> None:
        """Wait for a renewal under way, so that the pair it brings is kept."""
        if self._renewal is not None:
            await asyncio.wait({self._renewal})

    async def _send(
        self, request: ClientRequest, handler: ClientHandlerType, *, stale: int | None
    ) -> tuple[ClientResponse, int]:
        pair, generation = await self._current(request.session, stale)
        request.headers[hdrs.AUTHORIZATION] = f"Bearer {pair.access_token}"
        return await handler(request), generation

    async def _is_expired(self, response: ClientResponse, generation: int) -> bool:
        """Whether CM says that the token ran out. Raises CmAuthError where it refuses it for another reason.

        A pair from the disk may be of an earlier life of CM: whatever CM says against it, another one is tried.
        """
        doubted = generation == self._doubted
        if response.status not in self._expired.status and not (doubted and response.status == 403):
            self._doubted = None if doubted and response.ok else self._doubted
            return False
        code = await read_error_code(response, self._code_path)
        if doubted or self._code_path is None or code in self._expired.codes:
            return True
        raise CmAuthError(f"CM refuses the token: {response.status} {code or ''}".rstrip())

    async def _current(self, session: ClientSession, stale: int | None) -> tuple[TokenPair, int]:
        """A pair to use, of another generation than `stale`. One that is short-lived beyond sense is used anyway."""
        pair = self._pair
        if pair is None or self._generation == stale or not pair.is_fresh(self._clock.now_ms()):
            pair = await asyncio.shield(self._renewal_by(session))
        return pair, self._generation

    def _renewal_by(self, session: ClientSession) -> asyncio.Task[TokenPair]:
        if self._renewal is None:
            self._renewal = asyncio.create_task(self._renew(session), name="renew CM token")
            self._renewal.add_done_callback(self._renewed)
        return self._renewal

    def _renewed(self, task: asyncio.Task[TokenPair]) -> None:
        self._renewal = None
        if not task.cancelled() and (error := task.exception()):
            logger.debug("no new CM token: %s", error)  # and marks the error as seen, should nobody wait any more

    async def _renew(self, session: ClientSession) -> TokenPair:
        if self._pair is None and self._file is not None and (kept := await self._load(self._file)):
            return kept
        pair = await self._refreshed(session) or await self._logged_in(session)
        if self._file is not None:
            await asyncio.to_thread(self._file.save, pair)
        self._pair = pair
        self._generation += 1
        return pair

    async def _load(self, file: TokenFile) -> TokenPair | None:
        """Take up the pair on the disk, and return it if it needs no renewal."""
        self._pair = pair = await asyncio.to_thread(file.load)
        self._generation += 1
        self._doubted = self._generation
        return pair if pair is not None and pair.is_fresh(self._clock.now_ms()) else None

    async def _refreshed(self, session: ClientSession) -> TokenPair | None:
        old = self._pair.refresh_token if self._pair else None
        if self._refresh is None or old is None or old == self._spent:
            return None
        body = {key: value.replace("{refresh_token}", old) for key, value in self._refresh.body.items()}
        for _ in range(REFRESHES_MAX):
            try:
                pair = await self._ask(session, self._refresh.path, body)
            except CmError as error:  # refused, or answered with what holds no pair
                logger.info("%s; logging in", error)
                break
            except BusyError:
                raise
            except UnavailableError as error:
                logger.info("%s; the refresh token may be spent", error)
            else:
                return pair if self._refresh.rotates else TokenPair(pair.access_token, old, pair.renew_at_ms)
        self._spent = old
        return None

    async def _logged_in(self, session: ClientSession) -> TokenPair:
        pair = await self._ask(session, self._login.path, self._login.body)
        logger.info("logged in to CM")
        return pair

    async def _ask(self, session: ClientSession, path: str, body: Mapping[str, str]) -> TokenPair:
        asked_at_ms = self._clock.now_ms()
        url = resolve(self._base_url, path)
        try:
            async with session.post(
                url, json=body, middlewares=(), allow_redirects=False, timeout=self._timeout
            ) as response:
                await self._check(response)
                return self._answers.read(await read_json(response, ERROR_BYTES_MAX), asked_at_ms)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unanswered(f"POST {url.path}", error) from error

    async def _check(self, response: ClientResponse) -> None:
        if 200 <= response.status < 300:
            return
        what = f"POST {response.url.path}"
        raise_if_busy(response, what, self._clock.now_ms())
        code = await read_error_code(response, self._code_path)
        if response.status < 400:
            raise CmAuthError(f"CM redirects {what}; secrets are not sent on", hint="correct cm.base_url or the path")
        raise CmAuthError(f"CM refuses {what}: {response.status} {code or ''}".rstrip(), hint="check [cm.auth]")
