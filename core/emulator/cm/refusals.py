"""How CM says no, in the words and with the codes of Directus."""

from __future__ import annotations

import msgspec

from telecine.core.errors import TelecineError


class CmRefusal(msgspec.Struct, frozen=True):
    """One kind of refusal."""

    status: int
    code: str
    message: str
    retry_after_s: int | None = None

    def body(self) -> dict[str, object]:
        """The answer as JSON."""
        return {"errors": [{"message": self.message, "extensions": {"code": self.code}}]}


INVALID_CREDENTIALS = CmRefusal(401, "INVALID_CREDENTIALS", "Invalid user credentials.")
EXPIRED_TOKEN = CmRefusal(401, "TOKEN_EXPIRED", "Token expired.")
INVALID_TOKEN = CmRefusal(403, "INVALID_TOKEN", "Invalid token.")
FORBIDDEN = CmRefusal(403, "FORBIDDEN", "You don't have permission to access this.")
ROUTE_NOT_FOUND = CmRefusal(404, "ROUTE_NOT_FOUND", "Route doesn't exist.")
INTERNAL_SERVER_ERROR = CmRefusal(500, "INTERNAL_SERVER_ERROR", "An unexpected error occurred.")
SERVICE_UNAVAILABLE = CmRefusal(503, "SERVICE_UNAVAILABLE", "Service unavailable.")
REQUESTS_EXCEEDED = CmRefusal(429, "REQUESTS_EXCEEDED", "Too many requests.", retry_after_s=3)


class CmRefusalError(TelecineError):
    """CM answers a request with this refusal."""

    code = "cm_refusal"

    def __init__(self, refusal: CmRefusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def invalid_payload(reason: str) -> CmRefusalError:
    """The body of a request is not what it has to be."""
    return CmRefusalError(CmRefusal(400, "INVALID_PAYLOAD", f"Invalid payload. {reason}."))


def invalid_query(reason: str) -> CmRefusalError:
    """The query of a request is not what it has to be."""
    return CmRefusalError(CmRefusal(400, "INVALID_QUERY", f"Invalid query. {reason}."))


def planned_refusal(status: int, retry_after_s: int | None) -> CmRefusalError:
    """The refusal that a planned fault asks for."""
    known = {refusal.status: refusal for refusal in (REQUESTS_EXCEEDED, SERVICE_UNAVAILABLE, FORBIDDEN)}
    refusal = known.get(status) or msgspec.structs.replace(INTERNAL_SERVER_ERROR, status=status)
    if retry_after_s is not None:
        refusal = msgspec.structs.replace(refusal, retry_after_s=retry_after_s)
    return CmRefusalError(refusal)
