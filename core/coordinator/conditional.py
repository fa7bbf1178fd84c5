"""Reads that need not be sent again, or not at full length."""

from __future__ import annotations

import gzip
import hashlib

from telecine.core.coordinator.http.answers import Answer
from telecine.core.coordinator.http.requests import Request

GZIP_BYTES_MIN = 1400  # what fits into one packet does not arrive sooner for being smaller
GZIP_LEVEL = 1  # half the time of the usual 6, for a tenth more bytes
TAG_BYTES = 12


def economize(answer: Answer, request: Request) -> Answer:
    """The answer to a read: 304 where the client has it already, compressed where it takes that and it pays.

    Tags are weak: the same content is the same whether compressed or not.
    """
    tag = f'W/"{hashlib.blake2b(answer.body, digest_size=TAG_BYTES).hexdigest()}"'
    headers = answer.headers | {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Accept-Encoding"}
    if _matches(request.header("if-none-match"), tag):
        return Answer(304, headers=headers)
    body = answer.body
    if len(body) > GZIP_BYTES_MIN and _takes_gzip(request.header("accept-encoding")):
        body = gzip.compress(body, GZIP_LEVEL, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Answer(answer.status, body, answer.media_type, headers)


def _matches(wanted: str | None, tag: str) -> bool:
    """RFC 9110 section 13.1.2, by weak comparison."""
    if wanted is None:
        return False
    return wanted.strip() == "*" or tag[2:] in {each.strip().removeprefix("W/") for each in wanted.split(",")}


def _takes_gzip(accepted: str | None) -> bool:
    """Whether `Accept-Encoding` names gzip, or anything, with a weight that is not 0."""
    weights: dict[str, bool] = {}
    for each in (accepted or "").split(","):
        coding, _, parameters = each.partition(";")
        weight = parameters.strip().lower().removeprefix("q=")
        weights[coding.strip().lower()] = not weight or weight.strip("0.") != ""
    return weights.get("gzip", weights.get("*", False))
