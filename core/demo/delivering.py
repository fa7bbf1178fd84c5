"""The last part of the demonstration: the viewer asks for everything and compares."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from telecine.core.catalogue import TitleDetail, VariantDetail, VariantSummary
from telecine.core.demo import audit
from telecine.core.demo.report import Delivery, Mismatch
from telecine.core.demo.screen import Screen
from telecine.core.demo.titles import Link
from telecine.core.demo.titles import Title as DemoTitle
from telecine.core.demo.viewer import Received, Viewer, Wish
from telecine.core.errors import UnavailableError


class Target(msgspec.Struct, frozen=True):
    """A variant to ask for, and the way to it through the bot's buttons."""

    variant: VariantDetail
    wish: Wish
    link: Link


def wishes(details: Sequence[TitleDetail], titles: Sequence[DemoTitle]) -> dict[str, Wish]:
    """The way to each variant, by code."""
    search = {title.name: title.search for title in titles}
    found: dict[str, Wish] = {}
    for detail in details:
        ways: list[tuple[VariantSummary, tuple[str, ...]]] = [(v, ()) for v in detail.variants]
        for episode in detail.episodes:
            way: tuple[str, ...] = (f"Season {episode.season}", f"E{episode.episode:02d}")
            ways += [(v, way) for v in episode.variants]
        for variant, way in ways:
            labels = (detail.name, *way, variant.quality.label)
            found[variant.code] = Wish(search[detail.name], labels)
    return found


async def deliver_all(viewer: Viewer, targets: Sequence[Target], media: Path, screen: Screen) -> list[Delivery]:
    """Ask for one target after the other; compare what arrived while the next one is under way."""
    comparing: list[asyncio.Task[Delivery]] = []
    for number, target in enumerate(targets):
        screen.progress(f"asking for {target.variant.code}", number, len(targets))
        comparing.append(await _ask(viewer, target, media, screen))
    return [await task for task in comparing]


async def _ask(viewer: Viewer, target: Target, media: Path, screen: Screen) -> asyncio.Task[Delivery]:
    """Receive one target; the comparison goes on by itself."""
    try:
        received = await viewer.fetch(target.wish)
    except UnavailableError as error:
        missed = Delivery(target.variant.code, arrived=False, why=str(error))
        return asyncio.create_task(_told(missed, target, screen))

    async def compare() -> Delivery:
        delivery = await asyncio.to_thread(_compare, target, received, media)
        return await _told(delivery, target, screen)

    return asyncio.create_task(compare())


async def _told(delivery: Delivery, target: Target, screen: Screen) -> Delivery:
    way = " / ".join(target.wish.labels)
    if delivery.why is None:
        screen.say(f"{way}: {delivery.frames} pictures, identical")
    else:
        screen.say(f"{way}: {delivery.why}", "red")
    return delivery


def _compare(target: Target, received: Received, media: Path) -> Delivery:
    code = target.variant.code
    if code not in received.file_name:
        return Delivery(code, arrived=True, why=f"a file called {received.file_name} came instead")
    frames, why = audit.compare(media / target.link.path, received.path)
    return Delivery(code, arrived=True, frames=frames, why=why)


def targets(
    variants: Sequence[VariantDetail], ways: Mapping[str, Wish], links: Mapping[int, Link]
) -> tuple[list[Target], list[Mismatch]]:
    """What the viewer asks for, and what should be there but is not."""
    ready, missing = [], []
    for variant in variants:
        if not audit.is_deliverable(variant, links):
            continue
        link = audit.used_link(variant, links)
        if link is None:
            missing.append(Mismatch(variant.code, f"is {variant.state.value} although a good link exists"))
        else:
            ready.append(Target(variant, ways[variant.code], link))
    return ready, missing
