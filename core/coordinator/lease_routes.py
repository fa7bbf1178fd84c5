"""Leases: claim, beat, settle."""

from __future__ import annotations

from aiohttp import web

from telecine.core.coordinator.calls import CLAIMS, IDENTITY, SERVICES, WORKERS, Route, answer, read_body
from telecine.core.coordinator.events import VariantChanged, WorkerProgressed
from telecine.core.leases import VariantState
from telecine.core.protocol import BeatAnswer, BeatRequest, ClaimRequest, Lease, Outcome, Settled, SettleRequest


async def claim(request: web.Request) -> web.Response:
    """Claim the next upload; 204 where none came up within `wait_s`."""
    asked = await read_body(request, ClaimRequest)
    services, worker = request.app[SERVICES], request[IDENTITY].subject
    lease = await request.app[CLAIMS].claim(worker, asked)
    services.metrics.count("telecine_claims_total", answer="none" if lease is None else "lease")
    if lease is None:
        return web.Response(status=204)
    services.events.publish(VariantChanged(lease.code, VariantState.LEASED, worker))
    return answer(lease)


async def beat(request: web.Request) -> web.Response:
    """Prolong all leases of a worker and tell how far it is with them."""
    told = await read_body(request, BeatRequest)
    services, worker = request.app[SERVICES], request[IDENTITY].subject
    verdicts = await services.queue.beat(worker, told)
    if told.leases:
        services.events.publish(WorkerProgressed(worker, told.leases))
    return answer(verdicts)


async def settle(request: web.Request) -> web.Response:
    """End a lease; 409 where it is lost already."""
    told = await read_body(request, SettleRequest)
    services, worker = request.app[SERVICES], request[IDENTITY].subject
    settled = await services.queue.settle(worker, request.match_info["lease"], told.outcome)
    if not settled.repeated:
        services.metrics.count("telecine_settled_total", outcome=_tag(told.outcome))
        services.events.publish(VariantChanged(settled.code, settled.state, worker))
    return answer(settled)


def _tag(outcome: Outcome) -> str:
    return str(outcome.__struct_config__.tag)


ROUTES = (
    Route("POST", "/v1/leases", claim, WORKERS, body=ClaimRequest, answers=Lease, may_be_empty=True, refusals=(409,)),
    Route("POST", "/v1/leases/beat", beat, WORKERS, body=BeatRequest, answers=BeatAnswer),
    Route("POST", "/v1/leases/{lease}/settle", settle, WORKERS, body=SettleRequest, answers=Settled, refusals=(409,)),
)
