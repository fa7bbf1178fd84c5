"""Problem documents read back into errors: what the coordinator raised is raised again where it was asked."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from telecine.core.errors import (
    CmAuthError,
    CmError,
    ConfigError,
    ConflictError,
    ForbiddenError,
    InputError,
    LeaseLostError,
    NotFoundError,
    StoreError,
    SupersededError,
    TelecineError,
    UnauthorizedError,
    UnavailableError,
)
from telecine.core.protocol import PROBLEM_TYPE, Problem

_KINDS: Mapping[str, type[TelecineError]] = MappingProxyType(
    {
        kind.code: kind
        for kind in (
            CmAuthError,
            CmError,
            ConfigError,
            ConflictError,
            ForbiddenError,
            InputError,
            LeaseLostError,
            NotFoundError,
            StoreError,
            SupersededError,
            UnauthorizedError,
            UnavailableError,
        )
    }
)


def problem_of(body: bytes) -> Problem | None:
    """The problem document that a body is; None for what somebody else says, such as a proxy."""
    try:
        return msgspec.json.decode(body, type=Problem)
    except msgspec.MsgspecError:
        return None


def error_of(status: int, body: bytes) -> TelecineError:
    """The error that an answer with a status of 400 or more stands for.

    A body that is no problem document is somebody else's, such as a proxy's: UnavailableError for 5xx, else the plain
    TelecineError.
    """
    problem = problem_of(body)
    if problem is None:
        if status >= 500:
            return UnavailableError(f"HTTP status {status}")
        return TelecineError(f"HTTP status {status}, and not as a coordinator says it", hint="is the address right?")
    kind = _KINDS.get(problem.type.removeprefix(PROBLEM_TYPE), TelecineError)
    return kind(problem.detail, hint=problem.hint, field=problem.field)
