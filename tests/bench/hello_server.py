"""What the API is measured against, as a process of its own: aiohttp saying hello; with `raw`, the least that answers.

The first is the ceiling of anything that aiohttp serves; the second shows how far up the load generator reaches.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop
from aiohttp import web
from tests.bench.servers import tell_listening

BODY = b'{"hello":"world"}'
HOST = "127.0.0.1"


class RawHello(asyncio.Protocol):
    """Answers whatever comes in one piece, without reading it."""

    ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(self.ANSWER)


async def hello(request: web.Request) -> web.Response:
    return web.Response(body=BODY, content_type="application/json")


async def serve_hello() -> None:
    app = web.Application()
    app.router.add_get("/", hello)
    await serve_aiohttp(web.AppRunner(app, access_log=None))


async def serve_aiohttp(runner: web.BaseRunner) -> None:
    """Serve on a free port, which is told on stderr, until the process is stopped."""
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    tell_listening(f"http://{HOST}:{runner.addresses[0][1]}")
    await asyncio.Event().wait()


async def serve_raw() -> None:
    server = await asyncio.get_running_loop().create_server(RawHello, HOST, 0)
    tell_listening(f"http://{HOST}:{server.sockets[0].getsockname()[1]}")
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve_raw() if "raw" in sys.argv else serve_hello())
