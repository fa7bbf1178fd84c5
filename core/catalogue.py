"""Titles, episodes, links and upload targets, and what is asked of whoever keeps them.

Two directions meet here. `intake` hands over what CM lists as `ImportedTitle`s through `CatalogueIntake`; the
coordinator and the bot read through `Catalogue`.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Protocol

import msgspec

from telecine.core.captions import Origin
from telecine.core.leases import LinkFate, VariantState
from telecine.core.protocol import StoredContent
from telecine.core.quality import Quality
from telecine.core.reasons import Reason

PROBED = "probed"  # evidence of a quality that a worker has measured; no import overrules it


class TitleKind(enum.StrEnum):
    MOVIE = "movie"
    SERIES = "series"


# ---- what intake hands over ----------------------------------------------------------------------


class ImportedLink(msgspec.Struct, frozen=True):
    """One source link as CM lists it, with the quality that intake settled on and why.

    `evidence` is a short word for where the quality came from: `field`, `playlist`, `size`, `token`, `query`, `word`,
    `number`, `none`.
    """

    cm_id: str
    url: str
    quality: Quality
    evidence: str
    declared_quality: str | None = None


class PlannedVariant(msgspec.Struct, frozen=True):
    """One upload target: a quality and the CM ids of its links in the order they are tried."""

    quality: Quality
    link_cm_ids: tuple[str, ...]


class ImportedEpisode(msgspec.Struct, frozen=True):
    cm_id: str
    season: int
    episode: int
    name: str | None = None
    runtime_s: int | None = None
    links: tuple[ImportedLink, ...] = ()
    variants: tuple[PlannedVariant, ...] = ()


class ImportedTitle(msgspec.Struct, frozen=True):
    """A title with everything below it. A film has links of its own, a series has episodes."""

    cm_id: str
    kind: TitleKind
    name: str
    year: int | None = None
    runtime_s: int | None = None
    links: tuple[ImportedLink, ...] = ()
    variants: tuple[PlannedVariant, ...] = ()
    episodes: tuple[ImportedEpisode, ...] = ()


class ImportCounts(msgspec.Struct, frozen=True):
    """How many rows an import saw, and how many of them were new."""

    titles: int = 0
    titles_new: int = 0
    episodes: int = 0
    episodes_new: int = 0
    links: int = 0
    links_new: int = 0
    variants: int = 0
    variants_new: int = 0

    def __add__(self, other: ImportCounts) -> ImportCounts:
        pairs = ((getattr(self, name), getattr(other, name)) for name in self.__struct_fields__)
        return ImportCounts(*(mine + theirs for mine, theirs in pairs))


class ImportState(enum.StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class ImportRun(msgspec.Struct, frozen=True):
    """One run of the importer. `error` says why a run failed; `rejected` counts titles that CM sent malformed.

    `refused` counts links, and episodes listed apart, that were left out because they are malformed or belong to
    nothing that could be read. The log names each.
    """

    id: int
    state: ImportState
    started_at_ms: int
    finished_at_ms: int | None = None
    counts: ImportCounts = ImportCounts()
    rejected: int = 0
    error: str | None = None
    refused: int = 0


class CatalogueIntake(Protocol):
    """Where an import is written. Every call is one transaction; repeating one changes nothing."""

    async def begin_import(self) -> ImportRun:
        """Note the start of a run."""
        ...

    async def import_titles(self, import_id: int, titles: Sequence[ImportedTitle]) -> ImportCounts:
        """Insert or update titles, episodes and links; queue a variant for each new upload target.

        A link that is already there keeps its row, its fate and its place. A link listed under another quality
        than before moves to that quality's variant unless it was already used. Wakes waiting claims.
        """
        ...

    async def finish_import(
        self, import_id: int, *, rejected: int, refused: int = 0, error: str | None = None
    ) -> ImportRun:
        """Close the run: DONE, or FAILED where `error` says why. Raises ConflictError for one that is closed."""
        ...

    async def import_run(self, import_id: int) -> ImportRun:
        """Raises NotFoundError."""
        ...


# ---- what is read --------------------------------------------------------------------------------


class Title(msgspec.Struct, frozen=True):
    """A row of a search result or of a browse list. `available` counts upload targets that can be delivered, whichever
    of their copies it is from."""

    id: int
    kind: TitleKind
    name: str
    year: int | None
    available: int


class VariantSummary(msgspec.Struct, frozen=True):
    code: str
    quality: Quality
    state: VariantState


class Episode(msgspec.Struct, frozen=True):
    id: int
    season: int
    episode: int
    name: str | None
    variants: tuple[VariantSummary, ...]


class TitleDetail(msgspec.Struct, frozen=True):
    """A title with its upload targets, tallest quality first; episodes by season and number.

    Copies are not listed. A target that can be delivered from a copy is shown as done, unless it was taken out.
    """

    id: int
    cm_id: str
    kind: TitleKind
    name: str
    year: int | None
    variants: tuple[VariantSummary, ...]
    episodes: tuple[Episode, ...]


class VariantSource(msgspec.Struct, frozen=True):
    """One link of a variant, in retry order, and what became of it.

    `quality`: what it is taken for; `evidence` says why, as in `ImportedLink`, or PROBED.
    """

    link_id: int
    cm_id: str
    url: str
    position: int
    fate: LinkFate
    reason: Reason | None
    detail: str | None
    listed: bool
    quality: Quality = Quality.AUTO
    evidence: str = "none"


class StoredObject(msgspec.Struct, frozen=True):
    """One Telegram message that holds one part. Sizes in bytes, `channel_id` is Telegram's own (positive) id."""

    part_no: int
    part_count: int
    channel_id: int
    message_id: int
    account: str
    size_bytes: int
    duration_s: float | None
    sha256: str
    blake3: str | None = None


class VariantDetail(msgspec.Struct, frozen=True):
    """An upload target with its links and its messages.

    `account`: the only one that may upload it, where it is pinned. `channel`: where it was last sent to, by its coded
    title. `host`: of the link that is tried next. `file_bytes`, `disk_bytes`: what an account must be allowed to send,
    and a worker have free, to be given it. `rounds` over the links are behind it, and it was done `generation` times
    before. `due_in_s`: until its lease expires, or until it is tried again. `origin`: what CM calls what it is of.
    `waits_for_link`: it is cancelled only because it has no link, and comes back with the next.
    """

    code: str
    title_id: int
    episode_id: int | None
    quality: Quality
    state: VariantState
    priority: int
    attempts: int
    expiries: int
    worker: str | None
    sources: tuple[VariantSource, ...]
    objects: tuple[StoredObject, ...]
    copy: int = 1
    account: str | None = None
    channel: str | None = None
    host: str | None = None
    file_bytes: int = 0
    disk_bytes: int = 0
    rounds: int = 0
    generation: int = 0
    due_in_s: float | None = None
    origin: Origin | None = None
    waits_for_link: bool = False


class CatalogueCounts(msgspec.Struct, frozen=True):
    """Everything in one look. `links_planned` counts links that belong to a variant; it equals `links`.

    `variants`, `variants_by_state` and `links_by_fate` count each copy of a target apart.
    """

    titles: int
    movies: int
    series: int
    episodes: int
    links: int
    links_planned: int
    variants: int
    variants_by_state: dict[str, int]
    links_by_fate: dict[str, int]
    objects: int
    attempts: int
    attempts_by_outcome: dict[str, int]
    bot_files: int
    deliveries: int


class Catalogue(Protocol):
    """What coordinator and bot read. No call changes anything."""

    async def search(self, text: str, *, limit: int = 20, offset: int = 0) -> tuple[Title, ...]:
        """Titles whose name holds every word of `text`, in any order, as prefixes, without regard to case and
        accents; best first. An empty text lists all by name."""
        ...

    async def title(self, title_id: int) -> TitleDetail:
        """Raises NotFoundError."""
        ...

    async def variant(self, code: str) -> VariantDetail:
        """Raises InputError for what is not a code, NotFoundError for one that names nothing."""
        ...

    async def variants(
        self, *, state: VariantState | None = None, account: str | None = None, after: str = "", limit: int = 100
    ) -> tuple[VariantSummary, ...]:
        """Variants in order of their code, those behind `after` only; in a state, pinned to an account.
        Raises NotFoundError (account)."""
        ...

    async def contents(self, account: str, blake3: str) -> tuple[StoredContent, ...]:
        """Messages in the open channels of an account that hold the file of this hash, the newest first; a few, where
        there are many."""
        ...

    async def counts(self) -> CatalogueCounts: ...
