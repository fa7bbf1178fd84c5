"""Source links: what of one may be shown."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit


def shown(url: str) -> str:
    """A link without what may hold a key or a password: user info, query and fragment.

    Total: of what cannot be taken apart nothing but the scheme is left.
    """
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - a ValueError where the slash of a password makes the rest of it look like one
    except ValueError:
        parts = None
    if parts is None or ("@" in parts.path and not parts.netloc):
        return f"{url.partition(':')[0]}:..."
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
