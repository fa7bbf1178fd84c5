"""CM over HTTP: one GET after another, patient where CM is busy or away, and bounded in everything."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import Callable

import aiohttp
import msgspec
from aiohttp import ClientResponse, ClientSession
from yarl import URL

from telecine.core.clock import Clock
from telecine.core.config import CmSettings
from telecine.core.errors import CmAuthError, CmError, UnavailableError
from telecine.core.intake.answers import read_error_code, read_json
from telecine.core.intake.auth import base_url_of, resolve
from telecine.core.intake.mapping import parse_path
from telecine.core.intake.retries import delay_s, raise_if_busy, unanswered

logger = logging.getLogger(__name__)

REDIRECTS_MAX = 5


class Answer(msgspec.Struct, frozen=True):
    """A page of CM as it came. `next_url` is what its Link header calls next, where pages are turned by that."""

    document: object
    next_url: str | None = None


class CmClient:
    """Reads from CM. The session carries the authentication as a middleware."""

    def __init__(
        self,
        settings: CmSettings,
        session: ClientSession,
        clock: Clock,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._session = session
        self._base_url = base_url_of(settings)
        self._slots = asyncio.Semaphore(settings.max_concurrency)
        self._timeout = aiohttp.ClientTimeout(total=settings.timeout_s)
        path = settings.auth.expired.code_path
        self._code_path = parse_path(path, "cm.auth.expired.code_path") if path else None
        self._turns_by_links = settings.paging.kind == "link_header"
        self._clock = clock
        self._jitter = jitter

    def url(self, path: str) -> URL:
        """The URL of a path below CM's base."""
        return resolve(self._base_url, path)

    async def get(self, url: URL) -> Answer:
        """Fetch a page, asking again where that may help.

        Raises UnavailableError when CM stays away, CmAuthError when it refuses us, CmError for any other answer.
        """
        if url.origin() != self._base_url.origin():
            raise CmError("CM leads to another host; pages are read from cm.base_url only")
        for attempt in itertools.count(1):
            try:
                async with self._slots:
                    return await self._get_once(url)
            except UnavailableError as error:
                wait_s = delay_s(attempt, error, self._jitter())
                if wait_s is None:
                    raise
                logger.info("%s; attempt %d, again in %.1f s", error, attempt, wait_s)
            await self._clock.sleep(wait_s)
        raise AssertionError("unreachable")

    async def _get_once(self, url: URL) -> Answer:
        try:
            async with self._session.get(url, timeout=self._timeout, max_redirects=REDIRECTS_MAX) as response:
                await self._check(response)
                return Answer(await read_json(response), self._next_url(response))
        except aiohttp.ClientConnectorCertificateError as error:  # a ValueError, too
            raise unanswered(f"GET {url.path}", error) from error
        except (aiohttp.InvalidURL, aiohttp.RedirectClientError, aiohttp.TooManyRedirects) as error:
            raise CmError(f"CM redirects GET {url.path} in vain: {type(error).__name__}") from None
        except ValueError as error:  # of a name or a login, as late as it is looked up or sent
            message = f"GET {url.path} leads to what cannot be asked for: {type(error).__name__}"
            raise CmError(message, hint="look at cm.base_url and at where CM redirects to") from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unanswered(f"GET {url.path}", error) from error

    async def _check(self, response: ClientResponse) -> None:
        if 200 <= response.status < 300:
            return
        what = f"GET {response.url.path}"
        raise_if_busy(response, what, self._clock.now_ms())
        code = await read_error_code(response, self._code_path)
        message = f"CM refuses {what}: {response.status} {code or ''}".rstrip()
        if response.status == 401:
            raise CmAuthError(message, hint="check [cm.auth]")
        raise CmError(message, hint="no such collection or field, or no right to read it")

    def _next_url(self, response: ClientResponse) -> str | None:
        if not self._turns_by_links:
            return None  # whatever else it links to
        try:
            link = response.links.get("next")
        except ValueError:
            raise CmError(f"the answer to GET {response.url.path} has a Link header that leads to no URL") from None
        return str(link["url"]) if link else None
