"""What goes back."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
EVENT_STREAM = "text/event-stream"


class Answer(msgspec.Struct):
    """What goes back, whole."""

    status: int = 200
    body: bytes = b""
    media_type: str = JSON
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    """Further ones. What values they get is ours: nothing that a client sent may get here unchecked."""


class Stream(msgspec.Struct):
    """What goes back piece by piece, status 200, for as long as `pieces` has more after the `first`."""

    first: bytes
    pieces: AsyncGenerator[bytes, None]
    media_type: str = EVENT_STREAM
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    status: int = 200

    @classmethod
    async def begin(cls, pieces: AsyncGenerator[bytes, None], headers: dict[str, str] | None = None) -> Stream:
        """Wait for the first piece, so that what goes wrong before it can still be answered with an error."""
        return cls(await anext(pieces), pieces, headers=headers or {})
