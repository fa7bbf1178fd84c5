"""A folder of source files behind a line of a given rate, shared by all requests: `python -m tests.bench.file_server`.

A process of its own, so that its processor time is not the worker's.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import uvloop
from aiohttp import hdrs, web
from tests.bench.servers import tell_listening

HOST = "127.0.0.1"
CHUNK_BYTES = 256 * 1024


class Line:
    """Lets bytes through at a rate, in the order in which they are asked for. No rate: all at once."""

    def __init__(self, bytes_per_s: float | None) -> None:
        self._bytes_per_s = bytes_per_s
        self._free_at_s = 0.0

    async def carry(self, size_bytes: int) -> None:
        if self._bytes_per_s is None:
            return
        now_s = time.monotonic()
        self._free_at_s = max(now_s, self._free_at_s) + size_bytes / self._bytes_per_s
        await asyncio.sleep(self._free_at_s - now_s)


def app(folder: Path, line: Line) -> web.Application:
    async def serve(request: web.Request) -> web.StreamResponse:
        with (folder / Path(request.match_info["name"]).name).open("rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            start, stop, _ = request.http_range.indices(status.st_size)
            response = web.StreamResponse(status=206 if hdrs.RANGE in request.headers else 200)
            response.content_length = stop - start
            response.headers[hdrs.ETAG] = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
            response.headers[hdrs.ACCEPT_RANGES] = "bytes"
            if response.status == 206:
                response.headers[hdrs.CONTENT_RANGE] = f"bytes {start}-{stop - 1}/{status.st_size}"
            await response.prepare(request)
            file.seek(start)
            while start < stop:
                data = file.read(min(CHUNK_BYTES, stop - start))
                await line.carry(len(data))
                await response.write(data)
                start += len(data)
            return response

    application = web.Application()
    application.router.add_get("/{name}", serve)
    return application


async def main(folder: Path, bytes_per_s: float | None) -> None:
    runner = web.AppRunner(app(folder, Line(bytes_per_s)), access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    tell_listening(f"http://{HOST}:{runner.addresses[0][1]}")
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else None))
