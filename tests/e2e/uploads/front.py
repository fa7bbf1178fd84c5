"""What stands between workers and a coordinator, and sees who asks for what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from typing import Self

import aiohttp
import msgspec
from aiohttp import hdrs, web

KEPT = (hdrs.AUTHORIZATION, hdrs.CONTENT_TYPE, hdrs.ACCEPT)


class _Cut(msgspec.Struct, frozen=True):
    path: str
    answered: bool
    then: Callable[[], None]


class Front:
    """Passes requests on. One may be cut off: on its way in, or with its answer on the way back."""

    def __init__(self, behind: str, session: aiohttp.ClientSession) -> None:
        self.url = ""
        self._behind = behind
        self._session = session
        self._cut: _Cut | None = None

    @classmethod
    @asynccontextmanager
    async def before(cls, behind: str) -> AsyncIterator[Self]:
        """A front on a free port."""
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            front = cls(behind, session)
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", front._pass_on)
            runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            front.url = "http://{}:{}".format(*runner.addresses[0][:2])
            try:
                yield front
            finally:
                await runner.cleanup()

    def cut_off(self, path: str, *, answered: bool, then: Callable[[], None]) -> None:
        """Lose the next request to a path (a shell pattern), or its answer, and call `then` in that moment.

        `answered`: the coordinator has done what was asked.
        """
        self._cut = _Cut(path, answered, then)

    async def _pass_on(self, request: web.Request) -> web.Response:
        body = await request.read()
        self._lose(request, answered=False)
        headers = {name: request.headers[name] for name in KEPT if name in request.headers}
        async with self._session.request(
            request.method, f"{self._behind}{request.path_qs}", data=body, headers=headers
        ) as answer:
            content = await answer.read()
        self._lose(request, answered=True)
        return web.Response(
            status=answer.status, body=content, headers={hdrs.CONTENT_TYPE: answer.headers.get(hdrs.CONTENT_TYPE, "")}
        )

    def _lose(self, request: web.Request, *, answered: bool) -> None:
        cut = self._cut
        if cut is None or cut.answered is not answered or not fnmatchcase(request.path, cut.path):
            return
        self._cut = None
        cut.then()
        if request.transport is not None:
            request.transport.abort()
        raise asyncio.CancelledError
