"""What one client may cost."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of size, number and time. What exceeds one is refused with a problem document, or let go."""

    target_bytes_max: int = 8 * 1024
    """Of the address with its query: 414."""
    header_bytes_max: int = 16 * 1024
    """Of the value of one header: 431."""
    headers_max: int = 64
    """400."""
    body_bytes_max: int = 1024 * 1024
    """413."""
    connections_max: int = 1024
    """Clients at once; one more is answered 503 and let go."""
    head_wait_s: float = 10.0
    """From the first byte of a request to the end of its headers, or from the connection on: 408."""
    body_wait_s: float = 30.0
    """From when a call wants the body to the end of it: 408."""
    ahead_wait_s: float = 1.0
    """For an answer, while so many requests are sent ahead behind it that no more is read (32): a client that hangs up
    meanwhile would not be seen to."""
    idle_wait_s: float = 75.0
    """Between an answer and the next request."""
    write_wait_s: float = 30.0
    """For a client that takes nothing of what it is sent."""
    linger_s: float = 2.0
    """For a client to read its answer, while what it still sends is thrown away."""
