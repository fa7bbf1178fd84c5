"""The ways in which a source link goes wrong."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

PRIVATE_ADDRESS = "http://169.254.169.254/latest/meta-data/"
"""Where a redirect to a private address leads unless told otherwise: the metadata service of cloud machines."""

Natural = Annotated[int, msgspec.Meta(ge=0)]


class SourceFaultKind(StrEnum):
    """The ways in which a link goes wrong."""

    DEAD = "dead"
    """Answers `status`: 404, 410, 403 or 5xx."""
    RATE_LIMITED = "rate_limited"
    """429 with Retry-After `retry_after_s`."""
    SLOW = "slow"
    """At most `bytes_per_s`."""
    STALL = "stall"
    """Sends `after_bytes` of the body, then nothing more, and keeps the connection open."""
    TRUNCATED = "truncated"
    """Declares the whole length and closes the connection after `after_bytes` of the body."""
    LYING_TYPE = "lying_type"
    """Declares `content_type`."""
    LYING_LENGTH = "lying_length"
    """Declares `content_length` for the whole file, in HEAD and in GET; a longer body never ends well."""
    NO_RANGES = "no_ranges"
    """Answers every range with 200 and the whole file; no Accept-Ranges."""
    NO_LENGTH = "no_length"
    """Chunked, no Content-Length, no ranges."""
    NO_HEAD = "no_head"
    """405 to HEAD."""
    CHANGING = "changing"
    """Other bytes and another ETag with each request after the first `after_requests`."""
    RESIZED = "resized"
    """A byte less and another ETag with each request after the first `after_requests`."""
    NO_VALIDATORS = "no_validators"
    """Neither ETag nor Last-Modified."""
    WRONG_RANGE = "wrong_range"
    """A range behind the start is answered with the one a byte further on."""
    COMPRESSED = "compressed"
    """Answers with the file packed by gzip, whatever the client accepts."""
    CROWDED = "crowded"
    """Answers `crowd_status` while another request for the path is open; 0 drops the connection."""
    REDIRECT = "redirect"
    """302 to `location`, a private address unless told otherwise."""
    REDIRECT_LOOP = "redirect_loop"
    """302 to itself, for ever."""
    HTML_PAGE = "html_page"
    """200 with an error page in place of the file."""


class SourceFault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault of one path; which numbers matter depends on the kind."""

    kind: SourceFaultKind
    status: Annotated[int, msgspec.Meta(ge=400, le=599)] = 404
    retry_after_s: Natural = 3
    bytes_per_s: Annotated[int, msgspec.Meta(ge=1)] = 64 * 1024
    after_bytes: Natural = 0
    after_requests: Natural = 1
    crowd_status: Annotated[int, msgspec.Meta(ge=0, le=599)] = 429
    content_type: str = "text/plain"
    content_length: Natural = 0
    location: str = PRIVATE_ADDRESS
    count: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """How many requests meet it before the path is well again; null for all."""
