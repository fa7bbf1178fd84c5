"""A worker's calls with nothing behind them, as a process of its own: aiohttp's low-level server, as under ours, reads
each body whole and answers the same thing every time. What the coordinator does comes on top of that."""

from __future__ import annotations

import msgspec
import uvloop
from aiohttp import web
from tests.bench.hello_server import serve_aiohttp

from telecine.core.leases import VariantState
from telecine.core.protocol import BeatAnswer, ChannelRef, Lease, LeaseVerdict, Settled, SourceRef, Verdict
from telecine.core.quality import Quality

LEASE = Lease(
    "1.150001.1",
    "CM_S001501_S01E01_2160P",
    Quality.UHD,
    generation=0,
    ttl_s=60.0,
    channel=ChannelRef(1, "CM_CH0001", 1_000_001),
    sources=(SourceRef(150_001, "https://host-2.example/150001.mkv", 1),),
    runtime_s=2700,
)
"""As long as those that the coordinator gives out in the same benchmark."""

ANSWERS = {
    "/v1/workers/hello": b"{}",
    "/v1/leases": msgspec.json.encode(LEASE),
    "/v1/leases/beat": msgspec.json.encode(BeatAnswer((LeaseVerdict(LEASE.lease, Verdict.GO_ON, LEASE.ttl_s),))),
    f"/v1/leases/{LEASE.lease}/settle": msgspec.json.encode(Settled(LEASE.code, VariantState.DONE)),
}


async def replay(request: web.BaseRequest) -> web.Response:
    """Raises HTTPNotFound for other calls."""
    await request.read()
    if request.path not in ANSWERS:
        raise web.HTTPNotFound
    return web.Response(body=ANSWERS[request.path], content_type="application/json")


async def serve_replay() -> None:
    await serve_aiohttp(web.ServerRunner(web.Server(replay, access_log=None)))


if __name__ == "__main__":
    uvloop.run(serve_replay())
