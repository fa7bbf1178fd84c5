"""From links to upload targets: one variant a quality, its links in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Iterable

from telecine.core.catalogue import ImportedLink, PlannedVariant
from telecine.core.intake.inference import Evidence
from telecine.core.intake.urlparts import split_url
from telecine.core.quality import Quality, by_height

_MP4_SUFFIXES = (".mp4", ".m4v")  # sent as they are, without a remux


def plan(links: Iterable[ImportedLink]) -> tuple[PlannedVariant, ...]:
    """Group the links of one film or episode by quality, tallest first, AUTO as a bucket of its own and last.

    Every link is in exactly one variant, and the result does not depend on the order of `links`. Of two links with
    one `cm_id` the last counts.
    """
    buckets: dict[Quality, list[ImportedLink]] = {}
    for link in {link.cm_id: link for link in links}.values():
        buckets.setdefault(link.quality, []).append(link)
    return tuple(
        PlannedVariant(quality, tuple(link.cm_id for link in sorted(buckets[quality], key=retry_order)))
        for quality in sorted(buckets, key=by_height)
    )


def retry_order(link: ImportedLink) -> tuple[bool, bool, bool, int, str]:
    """Sort key: a quality that CM states, then MP4, then https, then the older link, as far as its id tells."""
    segments = split_url(link.url).segments
    return (
        link.evidence != Evidence.FIELD,
        not (segments and segments[-1].lower().endswith(_MP4_SUFFIXES)),
        not link.url.lower().startswith("https:"),
        len(link.cm_id),  # numbers in their own order, without reading them as numbers
        link.cm_id,
    )
