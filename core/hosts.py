"""Source hosts: what the queue counts and spares as one."""

from __future__ import annotations

from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
HOST_CHARS_MAX = 255
FILES = "file:"  # what links to files have in common; no server's name has a colon at its end


def source_host(url: str) -> str:
    """The host that a link points to, in lower case, with its port where that is not the scheme's own.

    Total: a link to a file has the host FILES, and one that names no host, such as a malformed URL, the host `""`.
    """
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port  # `hostname` leaves capitals behind a % as they are
    except ValueError:
        return ""
    if not host and parts.scheme == "file":
        return FILES
    if ":" in host:  # an IPv6 address
        host = f"[{host}]"
    shown = host if port is None or port == _DEFAULT_PORTS.get(parts.scheme) else f"{host}:{port}"
    return shown[:HOST_CHARS_MAX]
