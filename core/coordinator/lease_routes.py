"""Leases: claim, beat, settle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from telecine.core.coordinator.calls import WORKERS, Call, Route, answer, nothing
from telecine.core.coordinator.http.answers import Answer
from telecine.core.events import VariantChanged, WorkerProgressed
from telecine.core.leases import VariantState
from telecine.core.protocol import (
    BeatAnswer,
    BeatRequest,
    ClaimRequest,
    Lease,
    LeaseVerdict,
    Outcome,
    Progress,
    Settled,
    SettleRequest,
    Verdict,
)


async def claim(call: Call) -> Answer:
    """Claim the next upload; 204 where none came up within `wait_s`."""
    asked = call.body(ClaimRequest)
    services, worker = call.services, call.caller
    lease = await call.claims.claim(worker, asked, readmit=call.readmit)
    services.metrics.count("telecine_claims_total", answer="none" if lease is None else "lease")
    if lease is None:
        return nothing()
    services.events.publish(VariantChanged(lease.code, VariantState.LEASED, worker))
    return answer(lease)


async def beat(call: Call) -> Answer:
    """Prolong all leases of a worker and tell how far it is with them."""
    told = call.body(BeatRequest)
    services, worker = call.services, call.caller
    verdicts = await services.queue.beat(worker, told)
    if services.events.are_followed:
        held = tuple(_still_held(told.leases, verdicts.leases))
        if held:
            services.events.publish(WorkerProgressed(worker, held))
    return answer(verdicts)


async def settle(call: Call) -> Answer:
    """End a lease; 409 where it is lost already."""
    told = call.body(SettleRequest)
    services, worker = call.services, call.caller
    settled = await services.queue.settle(worker, call.lease(), told.outcome)
    if not settled.repeated:
        services.metrics.count("telecine_settled_total", outcome=_tag(told.outcome))
    return answer(settled)


def _still_held(told: Iterable[Progress], verdicts: Iterable[LeaseVerdict]) -> Iterator[Progress]:
    """What is told of leases that there are: of one that is lost, anything can be said."""
    for progress, verdict in zip(told, verdicts, strict=True):
        if verdict.verdict is not Verdict.LOST:
            yield progress


def _tag(outcome: Outcome) -> str:
    return str(outcome.__struct_config__.tag)


ROUTES = (
    Route("POST", "/v1/leases", claim, WORKERS, body=ClaimRequest, answers=Lease, may_be_empty=True, refusals=(409,)),
    Route("POST", "/v1/leases/beat", beat, WORKERS, body=BeatRequest, answers=BeatAnswer),
    Route("POST", "/v1/leases/{lease}/settle", settle, WORKERS, body=SettleRequest, answers=Settled, refusals=(409,)),
)
