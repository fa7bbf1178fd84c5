"""The API: every call, and what surrounds each of them."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from telecine.core.coordinator import (
    account_routes,
    attempt_routes,
    backup_routes,
    catalogue_routes,
    channel_routes,
    event_routes,
    host_routes,
    import_routes,
    lease_routes,
    openapi_routes,
    problems,
    status_routes,
    token_routes,
    variant_routes,
    worker_routes,
)
from telecine.core.coordinator.admission import Admission
from telecine.core.coordinator.calls import Call, Handler, Route
from telecine.core.coordinator.claims import Claims
from telecine.core.coordinator.complaints import Complaints
from telecine.core.coordinator.conditional import economize
from telecine.core.coordinator.http.answers import Answer, Stream
from telecine.core.coordinator.http.requests import Request, RequestRefusedError
from telecine.core.coordinator.metrics import CallMeter, Metrics
from telecine.core.coordinator.openapi import describe
from telecine.core.coordinator.overview import Overview
from telecine.core.coordinator.routing import Router
from telecine.core.coordinator.services import Services
from telecine.core.coordinator.tokens import Identity, Scope
from telecine.core.errors import InputError, TelecineError

logger = logging.getLogger(__name__)

ROUTES: tuple[Route, ...] = (
    *worker_routes.ROUTES,
    *lease_routes.ROUTES,
    *catalogue_routes.ROUTES,
    *variant_routes.ROUTES,
    *attempt_routes.ROUTES,
    *account_routes.ROUTES,
    *channel_routes.ROUTES,
    *host_routes.ROUTES,
    *token_routes.ROUTES,
    *backup_routes.ROUTES,
    *import_routes.ROUTES,
    *event_routes.ROUTES,
    *status_routes.ROUTES,
    *openapi_routes.ROUTES,
)

_NO_NAMES: Mapping[str, str] = MappingProxyType({})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


class Mounted(msgspec.Struct, frozen=True):
    """A call as the router keeps it, with what every request to it would have to work out anew."""

    handler: Handler
    scopes: frozenset[Scope]
    takes_parameters: bool
    takes_body: bool
    is_read: bool
    meter: CallMeter


class Api:
    """Answers requests. One chain for all of them, written out in one place: find the call, admit the caller, run the
    handler, turn what it raises into a problem document, count and name the answer."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._admission = Admission(services.tokens)
        self._claims = Claims(services.queue, services.clock)
        self._overview = Overview(services)
        self._complaints = Complaints(services.clock)
        self._document = describe(ROUTES, version=services.version)
        self._router = Router[Mounted]()
        for route in ROUTES:
            self._router.add(route.method, route.path, _mounted(route, services.metrics))
        self._unrouted = services.metrics.meter("none")

    def close(self) -> None:
        """Let go of everyone who waits or follows; nobody waits from now on."""
        self._claims.close()
        self._services.events.close()

    async def wait_closed(self) -> None:
        """Wait for the leases of clients that went away in the middle of a claim."""
        await self._claims.wait_closed()

    async def handle(self, request: Request) -> Answer | Stream:
        """The answer to a request, whatever it is. Raises nothing but CancelledError."""
        started_s = self._services.clock.monotonic_s()
        request_id, meter = self._id(request), self._unrouted
        try:
            mounted, names = self._find(request)
            meter = mounted.meter
            answer = await self._answer(mounted, names, request)
        except RequestRefusedError as refusal:
            answer = problems.of_refusal(refusal)
        except TelecineError as error:
            answer = problems.of_error(error)
            if answer.status >= 500:
                self._log(error, answer.status, request_id)
        except Exception:  # the edge: whatever it is, the caller gets a problem document
            logger.exception("request %s failed", request_id)
            answer = problems.unexpected()
        answer.headers["X-Request-ID"] = request_id
        seconds = self._services.clock.monotonic_s() - started_s
        meter.count(answer.status, seconds)
        logger.debug("%s: %d in %.0f ms, request %s", meter.call, answer.status, seconds * 1000, request_id)
        return answer

    def refuse(self, refusal: RequestRefusedError) -> Answer:
        """The answer to what is no request."""
        answer = problems.of_refusal(refusal)
        answer.headers["X-Request-ID"] = self._services.new_id()
        self._unrouted.count(answer.status, 0.0)
        logger.debug("what is no request: %d, request %s", answer.status, answer.headers["X-Request-ID"])
        return answer

    def _find(self, request: Request) -> tuple[Mounted, Mapping[str, str]]:
        placed, values = self._router.find(request.path)
        if not placed:
            raise RequestRefusedError(404, "there is no such call")
        found = placed.get("GET" if request.method == "HEAD" else request.method)
        if found is None:
            allowed = ", ".join(sorted({*placed, *({"HEAD"} if "GET" in placed else ())}))
            raise RequestRefusedError(405, "this call takes another method", {"Allow": allowed})
        return found.target, dict(zip(found.names, values, strict=True)) if values else _NO_NAMES

    async def _answer(self, mounted: Mounted, names: Mapping[str, str], request: Request) -> Answer | Stream:
        if not mounted.scopes:
            return await self._run(mounted, names, request, None)
        identity = self._admission.admit(request.header("authorization"), mounted.scopes)
        self._admission.enter(identity.jti)
        try:
            return await self._run(mounted, names, request, identity)
        finally:
            self._admission.leave(identity.jti)

    async def _run(
        self, mounted: Mounted, names: Mapping[str, str], request: Request, identity: Identity | None
    ) -> Answer | Stream:
        if mounted.takes_body:
            await request.receive()
        else:
            request.refuse_body()
        if request.query and not mounted.takes_parameters:
            raise InputError("this call takes no parameters")
        call = Call(request, names, identity, self._services, self._claims, self._overview, self._document)
        answer = await mounted.handler(call)
        return economize(answer, request) if mounted.is_read and isinstance(answer, Answer) else answer

    def _log(self, error: TelecineError, status: int, request_id: str) -> None:
        """A fault of ours with all that is known of it; what is away or not set up in a line now and then."""
        if status == 500:
            logger.error("request %s failed", request_id, exc_info=error)
        elif (held_back := self._complaints.heard(str(error))) is not None:
            more = f" (nor could {held_back} before it)" if held_back else ""
            traceback = error if logger.isEnabledFor(logging.DEBUG) else None
            logger.warning("request %s cannot be served%s: %s", request_id, more, error, exc_info=traceback)

    def _id(self, request: Request) -> str:
        given = request.header("x-request-id")
        return given if given is not None and _REQUEST_ID.fullmatch(given) else self._services.new_id()


def _mounted(route: Route, metrics: Metrics) -> Mounted:
    return Mounted(
        handler=route.handler,
        scopes=route.scopes,
        takes_parameters=route.query is not None,
        takes_body=route.body is not None,
        is_read=route.is_read,
        meter=metrics.meter(f"{route.method} {route.path}"),
    )
