"""Asks hosts for URLs: over the way, with the headers, and as often at once as each host's settings say."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import Mapping
from typing import Self

import aiohttp
from aiohttp import hdrs
from aiohttp.abc import AbstractResolver
from yarl import URL

from telecine.core.clock import Clock
from telecine.core.config import WorkerSettings
from telecine.core.reasons import Reason
from telecine.core.worker.sources.addresses import AddressForbiddenError, is_address, is_public, source_session
from telecine.core.worker.sources.errors import SourceError, failure
from telecine.core.worker.sources.hosts import Host, Hosts
from telecine.core.worker.sources.limits import SourceLimits


class Answer:
    """An answer whose body is still to come. Counts as a connection to its host until it is released."""

    def __init__(self, response: aiohttp.ClientResponse, host: Host) -> None:
        self.response = response
        self._host: Host | None = host

    def release(self) -> None:
        """Give up what is left of the body. The connection lives on if nothing is."""
        self.response.close()
        if self._host is not None:
            self._host.give_slot_back()
            self._host = None


class WebClient:
    """The connections of one boot. An async context manager."""

    def __init__(
        self, settings: WorkerSettings, limits: SourceLimits, clock: Clock, *, resolver: AbstractResolver | None = None
    ) -> None:
        self.hosts = Hosts(settings, clock)
        self._allow_private = settings.allow_private_sources
        self._limits = limits
        self._given_resolver = resolver

    async def __aenter__(self) -> Self:
        self._resolver = self._given_resolver or aiohttp.ThreadedResolver()
        timeout_s = self._limits.connect_timeout_s
        self._direct = source_session(
            allow_private=self._allow_private, connect_timeout_s=timeout_s, resolver=self._resolver
        )
        # The proxy itself may be anywhere; what it is asked for is looked at in `_check_behind_proxy`.
        self._proxied = source_session(allow_private=True, connect_timeout_s=timeout_s)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._direct.close()
        await self._proxied.close()

    async def get(self, url: URL, headers: Mapping[str, str], *, with_secrets: bool = True) -> Answer:
        """What `url` answers; redirects are not followed. `with_secrets`: with the host's own headers and cookies.

        Raises SourceError.
        """
        host = self.hosts.of(url)
        await host.take_slot()
        try:
            response = await self._ask(*_signed(url, host, headers, with_secrets=with_secrets), host.proxy)
        except BaseException:
            host.give_slot_back()
            raise
        return Answer(response, host)

    async def _ask(self, url: URL, headers: Mapping[str, str], proxy: str | None) -> aiohttp.ClientResponse:
        patience_s = self._limits.connect_timeout_s + self._limits.stall_window_s
        deadline = asyncio.timeout(patience_s)
        try:
            async with deadline:
                if proxy is None:
                    return await self._direct.get(url, headers=headers, allow_redirects=False)
                await self._check_behind_proxy(url)
                return await self._proxied.get(url, headers=headers, allow_redirects=False, proxy=proxy)
        except (aiohttp.ClientError, OSError) as error:  # a TimeoutError is an OSError
            if isinstance(error, TimeoutError) and deadline.expired():
                raise SourceError(Reason.STALLED, f"no answer within {patience_s:g} s") from error
            raise failure(error) from error

    async def _check_behind_proxy(self, url: URL) -> None:
        """A proxy resolves names itself, but must not be talked into a private network either."""
        if self._allow_private or url.host is None:
            return
        addresses = [url.host]
        if not is_address(url.host):
            found = await self._resolver.resolve(url.host, url.port or 0, family=socket.AF_UNSPEC)
            addresses = [one["host"] for one in found]
        if not all(map(is_public, addresses)):
            raise AddressForbiddenError


def _signed(url: URL, host: Host, headers: Mapping[str, str], *, with_secrets: bool) -> tuple[URL, Mapping[str, str]]:
    """The request with what the operator has set for the host, before which a login in the link itself gives way."""
    ours = host.headers if with_secrets else {}
    signed = {**ours, **headers}
    if (url.user or url.password) and not any(name.lower() == "authorization" for name in ours):
        signed[hdrs.AUTHORIZATION] = _basic(url)
    return url.with_user(None), signed


def _basic(url: URL) -> str:
    """The login of a link, in UTF-8 (RFC 7617, 2.1); aiohttp itself raises ValueError for what is not Latin-1."""
    login = f"{url.user or ''}:{url.password or ''}".encode(errors="replace")
    return f"Basic {base64.b64encode(login).decode()}"
