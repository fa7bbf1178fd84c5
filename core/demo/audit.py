"""The comparison: what CM listed, what the channels hold and what the viewer received."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import msgspec

from telecine.core import codes
from telecine.core.catalogue import VariantDetail
from telecine.core.demo.titles import Link
from telecine.core.emulator.media.pictures import pictures
from telecine.core.leases import LinkFate, VariantState


class Post(msgspec.Struct, frozen=True):
    """A message of a storage channel."""

    channel_id: int
    message_id: int
    text: str


class ChannelAudit(msgspec.Struct, frozen=True):
    """`duplicates`: messages beyond the first of one code. `orphans`: messages that no variant points at."""

    posts: int
    duplicates: int
    orphans: int


def audit_channels(posts: Iterable[Post], variants: Iterable[VariantDetail]) -> ChannelAudit:
    """Hold the channels' files against the objects that the variants know of."""
    posts = [post for post in posts if codes.find(post.text)]
    known = {(o.channel_id, o.message_id) for variant in variants for o in variant.objects}
    by_code = Counter(str(codes.find(post.text)) for post in posts)
    return ChannelAudit(
        posts=len(posts),
        duplicates=sum(count - 1 for count in by_code.values()),
        orphans=sum((post.channel_id, post.message_id) not in known for post in posts),
    )


def links_lost(listed: Collection[int], variants: Iterable[VariantDetail]) -> int:
    """How many of CM's links (by id) are in no variant."""
    kept = {int(source.cm_id) for variant in variants for source in variant.sources}
    return len(set(listed) - kept)


def is_deliverable(variant: VariantDetail, links: Mapping[int, Link]) -> bool:
    """Whether at least one link of the variant leads to the real thing."""
    return any(links[int(source.cm_id)].is_good for source in variant.sources)


def used_link(variant: VariantDetail, links: Mapping[int, Link]) -> Link | None:
    """The link that the variant was made from."""
    used = [source for source in variant.sources if source.fate is LinkFate.USED]
    return links[int(used[0].cm_id)] if variant.state is VariantState.DONE and len(used) == 1 else None


def compare(source: Path, received: Path) -> tuple[int, str | None]:
    """Decode both and compare every picture. The number of pictures, and what differs (None: nothing). Blocks."""
    expected = pictures(source)
    got = pictures(received)
    if got.frames != expected.frames:
        return expected.frames, f"{got.frames} pictures instead of {expected.frames}"
    return expected.frames, None if got.digest == expected.digest else "the pictures differ"
