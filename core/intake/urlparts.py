"""A URL taken apart for reading names off it: leniently, whatever it holds, and decoded as often as it was encoded."""

from __future__ import annotations

import re
from urllib.parse import unquote

import msgspec

DECODINGS_MAX = 3  # a name that was encoded twice on its way into CM is common, more than thrice is an attack

_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?://[^/?#]*)?")


class UrlParts(msgspec.Struct, frozen=True):
    """Path segments and query pairs as a person would read them. Scheme, host and fragment are left out."""

    segments: tuple[str, ...]
    query: tuple[tuple[str, str], ...]


def split_url(url: str) -> UrlParts:
    """Take a URL apart. Never raises: of what is no URL the whole is the path."""
    origin = _ORIGIN.match(url)
    rest = url[origin.end() if origin else 0 :].partition("#")[0]
    path, _, query = rest.partition("?")
    segments = (segment for segment in re.split(r"[/\\]", _decoded(path)) if segment)
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return UrlParts(tuple(segments), tuple((_decoded(key), _decoded(value)) for key, _, value in pairs))


def _decoded(text: str) -> str:
    for _ in range(DECODINGS_MAX):
        plain = unquote(text, errors="replace")
        if plain == text:
            break
        text = plain
    return text
