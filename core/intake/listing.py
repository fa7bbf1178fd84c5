"""Everything that CM lists, title by title, whether episodes and links come within the titles or apart from them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Container, Iterator, Mapping

import msgspec

from telecine.core.catalogue import ImportedTitle
from telecine.core.config import CmResource
from telecine.core.errors import CmError, ConfigError
from telecine.core.intake.mapping import CmMapping
from telecine.core.intake.paging import Collection, Pager, collection_of
from telecine.core.intake.records import Children, Reading, TitleReader, parent_ids

logger = logging.getLogger(__name__)

RESOURCES = ("titles", "episodes", "links")
SILENT_CUT = 100  # Directus cuts nested lists at this length and does not say so


def collections_of(resources: Mapping[str, CmResource]) -> Mapping[str, Collection]:
    """Check `[cm.resources]`. Raises ConfigError for a name that means nothing, and where titles are missing."""
    if unknown := sorted(resources.keys() - set(RESOURCES)):
        raise ConfigError(f"cm.resources.{unknown[0]}: unknown, expected one of {', '.join(RESOURCES)}")
    if "titles" not in resources:
        raise ConfigError("cm.resources.titles is missing")
    return {name: collection_of(name, resource) for name, resource in resources.items()}


class Refusal(msgspec.Struct, frozen=True):
    """Why `items` links, or episodes listed apart, were left out."""

    problem: str
    items: int = 1


class Listing:
    """One walk through CM. What is listed apart is read first and held in memory, then the titles go by."""

    def __init__(self, collections: Mapping[str, Collection], mapping: CmMapping, pager: Pager) -> None:
        self._collections = collections
        self._mapping = mapping
        self._pager = pager
        self._reader = TitleReader(mapping)
        self._apart = _Apart()
        self._read_ids: set[tuple[str, str]] = set()
        self._problems: list[str] = []
        self._warned = False

    def unplaced(self) -> tuple[Refusal, ...]:
        """What was listed apart and belongs to nothing that could be read; known when the walk is over."""
        return (*map(Refusal, self._problems), *self._apart.without(self._read_ids))

    async def titles(self) -> AsyncIterator[Reading | CmError]:
        """Every title as read, or why it could not be."""
        await self._read_apart()
        async for items in self._pager.pages(self._collections["titles"]):
            for item in items:
                yield self._read(item)

    async def _read_apart(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for name, kind in (("episodes", "episode"), ("links", "link")):
                    if name in self._collections:
                        group.create_task(self._keep_all(kind, self._collections[name]))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors

    async def _keep_all(self, kind: str, collection: Collection) -> None:
        async for items in self._pager.pages(collection):
            for item in items:
                self._keep(kind, item)

    def _keep(self, kind: str, item: object) -> None:
        try:
            self._apart.add(kind, item, *parent_ids(self._mapping, kind, item))
        except CmError as error:
            self._problems.append(error.message)

    def _read(self, item: object) -> Reading | CmError:
        try:
            reading = self._reader.read(item, self._apart.children)
        except CmError as error:
            return error
        if len(self._collections) > 1:
            self._read_ids.add(("title", reading.title.cm_id))
            self._read_ids.update(("episode", episode.cm_id) for episode in reading.title.episodes)
        self._suspect(reading.title)
        return reading

    def _suspect(self, title: ImportedTitle) -> None:
        lengths = {len(title.episodes), len(title.links), *(len(episode.links) for episode in title.episodes)}
        if SILENT_CUT in lengths and not self._warned:
            self._warned = True
            logger.warning(
                "title %s has a list of exactly %d: does CM cut nested lists? (Directus: deep[...][_limit] = -1)",
                title.cm_id, SILENT_CUT,
            )  # fmt: skip


class _Apart:
    """Items listed apart, by what they belong to. They stay, since CM may list a title twice."""

    def __init__(self) -> None:
        self._episodes: dict[str, list[object]] = {}
        self._title_links: dict[str, list[object]] = {}
        self._episode_links: dict[str, list[object]] = {}
        self.children = Children(self._episodes, self._title_links, self._episode_links)

    def add(self, kind: str, item: object, title_id: str | None, episode_id: str | None) -> None:
        if kind == "episode":
            self._episodes.setdefault(str(title_id), []).append(item)
        elif episode_id is not None:  # a link may name its series beside its episode
            self._episode_links.setdefault(episode_id, []).append(item)
        else:
            self._title_links.setdefault(str(title_id), []).append(item)

    def without(self, read_ids: Container[tuple[str, str]]) -> Iterator[Refusal]:
        """What waits for titles and episodes that are not among these."""
        for word, kind, waiting in (
            ("episodes", "title", self._episodes),
            ("links", "title", self._title_links),
            ("links", "episode", self._episode_links),
        ):
            for parent_id, items in waiting.items():
                if (kind, parent_id) not in read_ids:
                    problem = f"{len(items)} {word} of {kind} {parent_id}, which is not listed or not readable"
                    yield Refusal(problem, len(items))
