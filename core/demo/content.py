"""The demonstration's titles as the embedded CM holds them, and its hosts' faults."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import msgspec

from telecine.core.demo.titles import Link, Packing, Title, Trouble
from telecine.core.emulator.cm.content import CmContent, CmEpisode, CmKind, CmLink, CmTitle
from telecine.core.emulator.sources.faults import SourceFault, SourceFaultKind

TRICKLE_BYTES_PER_S = 2_000
SLOW_BYTES_PER_S = 400_000
BREAKS_OFF_AFTER_BYTES = 60_000


class Content(msgspec.Struct, frozen=True):
    """What CM is given, and which link each of its link ids stands for."""

    cm: CmContent
    links: dict[int, Link]


def content(titles: Sequence[Title]) -> Content:
    """Number titles, episodes and links from 1."""
    episode_ids, link_ids = itertools.count(1), itertools.count(1)
    links: dict[int, Link] = {}

    def listed(links_here: tuple[Link, ...]) -> tuple[CmLink, ...]:
        rows = []
        for link in links_here:
            link_id = next(link_ids)
            links[link_id] = link
            rows.append(CmLink(id=link_id, url="{media_url}/" + link.path, quality=link.quality))
        return tuple(rows)

    rows = tuple(
        CmTitle(
            id=number,
            name=title.name,
            kind=CmKind.SERIES if title.is_series else CmKind.MOVIE,
            year=title.year,
            links=listed(title.links),
            episodes=tuple(
                CmEpisode(id=next(episode_ids), season=e.season, episode=e.number, name=e.name, links=listed(e.links))
                for e in title.episodes
            ),
        )
        for number, title in enumerate(titles, 1)
    )
    return Content(CmContent(titles=rows), links)


_FAULTS = {
    Trouble.GONE: SourceFault(kind=SourceFaultKind.DEAD, status=404),
    Trouble.FORBIDDEN: SourceFault(kind=SourceFaultKind.DEAD, status=403),
    Trouble.RATE_LIMITED: SourceFault(kind=SourceFaultKind.RATE_LIMITED, retry_after_s=3),
    Trouble.STALLING: SourceFault(kind=SourceFaultKind.SLOW, bytes_per_s=TRICKLE_BYTES_PER_S),
    Trouble.SLOW: SourceFault(kind=SourceFaultKind.SLOW, bytes_per_s=SLOW_BYTES_PER_S),
    Trouble.BREAKS_OFF: SourceFault(kind=SourceFaultKind.TRUNCATED, after_bytes=BREAKS_OFF_AFTER_BYTES),
}


def fault(link: Link) -> SourceFault | None:
    """What the link's host does wrong; None where the host is well and the file itself is to blame, if anything."""
    return None if link.packing is Packing.CUT_SHORT else _FAULTS.get(link.trouble)
