"""The coordinator as an aiohttp application."""

from __future__ import annotations

from aiohttp import web

from telecine.core.coordinator import (
    catalogue_routes,
    event_routes,
    import_routes,
    lease_routes,
    status_routes,
    worker_routes,
)
from telecine.core.coordinator.calls import BODY_BYTES_MAX, CLAIMS, OVERVIEW, SERVICES, Route
from telecine.core.coordinator.claims import Claims
from telecine.core.coordinator.middlewares import SCOPES, answer_errors, authorize, name_request, observe
from telecine.core.coordinator.overview import Overview
from telecine.core.coordinator.services import Services

ROUTES: tuple[Route, ...] = (
    *worker_routes.ROUTES,
    *lease_routes.ROUTES,
    *catalogue_routes.ROUTES,
    *import_routes.ROUTES,
    *event_routes.ROUTES,
    *status_routes.ROUTES,
)


def create_app(services: Services) -> web.Application:
    """Hang every call of the API. Must run inside the event loop that will serve it.

    To be served with `handler_cancellation=True`, so that a long poll ends with its client.
    """
    app = web.Application(middlewares=(observe, answer_errors, authorize), client_max_size=BODY_BYTES_MAX)
    app[SERVICES] = services
    app[CLAIMS] = Claims(services.queue, services.clock)
    app[OVERVIEW] = Overview(services)
    app[SCOPES] = {app.router.add_route(r.method, r.path, r.handler): r.scopes for r in ROUTES}
    app.on_response_prepare.append(name_request)
    app.on_shutdown.append(_let_waiters_go)
    app.on_cleanup.append(_settle_abandoned_claims)
    return app


async def _let_waiters_go(app: web.Application) -> None:
    app[CLAIMS].close()
    app[SERVICES].events.close()


async def _settle_abandoned_claims(app: web.Application) -> None:
    await app[CLAIMS].wait_closed()
