"""Workers: they enter, and operators look at them and steer them."""

from __future__ import annotations

from telecine.core.coordinator.calls import OPERATORS, WORKERS, Call, Route, answer
from telecine.core.coordinator.http.answers import Answer
from telecine.core.operator_protocol import ModeChange, Workers, WorkerStatus
from telecine.core.protocol import Hello, Welcome


async def hello(call: Call) -> Answer:
    """A worker process starts: leases of its earlier boots are taken back, its channels planned."""
    told = call.body(Hello)
    services, identity = call.services, call.identity
    channels = await services.queue.hello(
        identity.subject, identity.account, told, channels_wanted=services.settings.channels_per_account
    )
    welcome = Welcome(
        worker=identity.subject,
        account=identity.account,
        lease_ttl_s=services.settings.lease_ttl_s,
        bot_username=services.bot_username(),
        channels=channels,
    )
    return answer(welcome)


async def workers(call: Call) -> Answer:
    """Workers, and what they are doing."""
    return answer(Workers(await call.services.operations.workers()))


async def set_mode(call: Call) -> Answer:
    """Let a worker go on, pause it, drain it, or disable it, which takes its leases back."""
    return answer(await call.services.operations.set_mode(call.name("name"), call.body(ModeChange).mode))


ROUTES = (
    Route("POST", "/v1/workers/hello", hello, WORKERS, body=Hello, answers=Welcome, refusals=(409,)),
    Route("GET", "/v1/workers", workers, OPERATORS, answers=Workers),
    Route("POST", "/v1/workers/{name}/mode", set_mode, OPERATORS, body=ModeChange, answers=WorkerStatus),
)
