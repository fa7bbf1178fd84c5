"""The comparison: what CM listed, what the channels hold and what the viewer received."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import msgspec

from telecine.core import captions, codes
from telecine.core.captions import Caption
from telecine.core.catalogue import StoredObject, VariantDetail
from telecine.core.codes import PartCode
from telecine.core.demo.titles import Link
from telecine.core.emulator.media.pictures import pictures
from telecine.core.leases import LinkFate, VariantState


class Post(msgspec.Struct, frozen=True):
    """A message of a storage channel."""

    channel_id: int
    message_id: int
    text: str


class ChannelAudit(msgspec.Struct, frozen=True):
    """`duplicates`: messages beyond the first of one code. `orphans`: messages that no variant points at. `mute`: those
    whose captions do not tell what their variant does, so that no index could be rebuilt from them."""

    posts: int
    duplicates: int
    orphans: int
    mute: int = 0


def audit_channels(posts: Iterable[Post], variants: Iterable[VariantDetail]) -> ChannelAudit:
    """Hold the channels' files against the objects that the variants know of."""
    posts = [post for post in posts if captions.code_of(post.text)]
    known = {(o.channel_id, o.message_id): _told(variant, o) for variant in variants for o in variant.objects}
    by_code = Counter(captions.code_of(post.text) for post in posts)
    return ChannelAudit(
        posts=len(posts),
        duplicates=sum(count - 1 for count in by_code.values()),
        orphans=sum(_address(post) not in known for post in posts),
        mute=sum(captions.parse(post.text) != known[_address(post)] for post in posts if _address(post) in known),
    )


def _address(post: Post) -> tuple[int, int]:
    return post.channel_id, post.message_id


def _told(variant: VariantDetail, stored: StoredObject) -> Caption:
    """What the caption of a message should say."""
    code = PartCode(codes.parse_variant(variant.code), stored.part_no, stored.part_count)
    return Caption(code, variant.origin, stored.sha256 or None)


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
