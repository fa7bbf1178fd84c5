"""One title of an import: compared with what is known of it, so that only differences are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from telecine.core.catalogue import ImportCounts, ImportedEpisode, ImportedLink, ImportedTitle, PlannedVariant
from telecine.core.codes import EPISODE_NUMBER_MAX, VariantCode
from telecine.core.errors import InputError, StoreError
from telecine.core.folding import fold
from telecine.core.hosts import source_host
from telecine.core.leases import Event, LinkFate, VariantState
from telecine.core.quality import Quality
from telecine.store.copies import follow_original
from telecine.store.lanes import host_id, relane
from telecine.store.transaction import Row, Transaction
from telecine.store.variants import enter_state

# Two episodes that CM gives one number still need two codes: the later one is counted from here.
SPARE_EPISODE_NUMBER = 10_000


class SourceHosts:
    """The ids of source hosts, each looked up once in an operation."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._ids: dict[str, int] = {}

    def id_of(self, url: str) -> int:
        """Our id of the host that a link points to; a new host gets one."""
        name = source_host(url)
        if name not in self._ids:
            self._ids[name] = host_id(self._tx, url)
        return self._ids[name]


_Target = tuple[int | None, str]  # episode (None: a film) and quality


class _Place(msgspec.Struct, frozen=True):
    """What has links of its own: a title (a film), or an episode with the numbers that its codes say."""

    episode_id: int | None = None
    code_season: int | None = None
    code_episode: int | None = None


class _Link(msgspec.Struct):
    """A link as it stands in the database, and the variant it belongs to (None: a new link)."""

    id: int
    host_id: int
    variant_id: int | None = None
    fate: LinkFate = LinkFate.UNTRIED


class _Variant(msgspec.Struct):
    """A variant as it stood before this import, how many links it has now, and what became of them.

    `gained`: it has a link that it had not; `shifted`: the link that is tried next may be another, or elsewhere.
    `new_at`: the host in whose lane a new variant was put.
    """

    id: int
    state: VariantState
    sources: int
    was_empty: bool
    new_at: int | None = None
    gained: bool = False
    shifted: bool = False


class TitleImport:
    """Writes one title with everything below it. Use once, within a transaction."""

    def __init__(self, tx: Transaction, title: ImportedTitle, hosts: SourceHosts) -> None:
        self._tx = tx
        self._title = title
        self._hosts = hosts
        self._episodes = list({episode.cm_id: episode for episode in title.episodes}.values())  # the last wins
        self._title_id = 0
        self._variants: dict[_Target, _Variant] = {}
        self._copies: list[tuple[_Target, _Variant]] = []
        self._variants_by_id: dict[int, _Variant] = {}
        self._counts = dict.fromkeys(ImportCounts.__struct_fields__, 0)

    def write(self) -> ImportCounts:
        """Insert or update. Raises InputError for a plan that leaves a link out or names it twice."""
        self._title_id = self._write_title()
        placed = list(zip(self._write_episodes(), self._episodes, strict=True))
        known = {(row["episode_id"], row["cm_id"]): row for row in self._all("known_links")}
        self._read_variants()
        self._write_place(_Place(), self._title.links, self._title.variants, known)
        for place, episode in placed:
            self._write_place(place, episode.links, episode.variants, known)
        for row in known.values():  # what is left was not listed this time
            if row["listed"]:
                self._tx.execute("unlist_link", {"id": row["id"], "now_ms": self._tx.now_ms})
        for target, copy in self._copies:
            self._follow_original(self._variants[target], copy)
        for variant in (*self._variants.values(), *(copy for _, copy in self._copies)):
            self._requeue_changed(variant)
        return ImportCounts(**self._counts)

    # ---- titles and episodes ---------------------------------------------------------------------

    def _write_title(self) -> int:
        title = self._title
        self._counts["titles"] += 1
        row = self._tx.one("title_by_cm_id", {"cm_id": title.cm_id})
        params = {
            "kind": title.kind.value,
            "name": title.name,
            "name_folded": fold(title.name),
            "year": title.year,
            "runtime_s": title.runtime_s,
            "now_ms": self._tx.now_ms,
        }
        if row is None:
            self._counts["titles_new"] += 1
            return int(self._tx.get("insert_title", {"cm_id": title.cm_id, **params})["id"])
        if _differs(row, params, "kind", "name", "year", "runtime_s"):
            self._tx.execute("update_title", {"id": row["id"], **params})
        return int(row["id"])

    def _write_episodes(self) -> list[_Place]:
        rows = self._all("known_episodes")
        known = {row["cm_id"]: row for row in rows}
        taken = {(row["code_season"], row["code_episode"]) for row in rows}
        return [self._write_episode(episode, known.get(episode.cm_id), taken) for episode in self._episodes]

    def _write_episode(self, episode: ImportedEpisode, row: Row | None, taken: set[tuple[int, int]]) -> _Place:
        self._counts["episodes"] += 1
        params = {
            "season": episode.season,
            "episode": episode.episode,
            "name": episode.name,
            "runtime_s": episode.runtime_s,
            "now_ms": self._tx.now_ms,
        }
        if row is not None:
            if _differs(row, params, "season", "episode", "name", "runtime_s"):
                self._tx.execute("update_episode", {"id": row["id"], **params})
            return _Place(row["id"], row["code_season"], row["code_episode"])
        self._counts["episodes_new"] += 1
        season, number = _free_number(episode, taken)
        params |= {"title_id": self._title_id, "cm_id": episode.cm_id, "code_season": season, "code_episode": number}
        return _Place(self._tx.get("insert_episode", params)["id"], season, number)

    # ---- links and variants ----------------------------------------------------------------------

    def _write_place(
        self,
        place: _Place,
        links: Iterable[ImportedLink],
        plans: Iterable[PlannedVariant],
        known: dict[tuple[int | None, str], Row],
    ) -> None:
        by_cm_id = {link.cm_id: link for link in links}
        written = {
            cm_id: self._write_link(place, link, known.pop((place.episode_id, cm_id), None))
            for cm_id, link in by_cm_id.items()
        }
        planned: set[str] = set()
        for plan in plans:
            self._counts["variants"] += 1
            for cm_id in plan.link_cm_ids:
                if cm_id in planned or cm_id not in written:
                    raise InputError(f"the plan of title {self._title.cm_id} names link {cm_id} wrongly", field="links")
                planned.add(cm_id)
                self._assign(place, plan.quality, written[cm_id])
        if missing := written.keys() - planned:
            raise InputError(f"the plan of title {self._title.cm_id} leaves out link {min(missing)}", field="links")

    def _write_link(self, place: _Place, link: ImportedLink, row: Row | None) -> _Link:
        self._counts["links"] += 1
        params = {
            "url": link.url,
            "quality": link.quality.value,
            "evidence": link.evidence,
            "declared_quality": link.declared_quality,
            "now_ms": self._tx.now_ms,
        }
        if row is None:
            self._counts["links_new"] += 1
            host_id = self._hosts.id_of(link.url)
            params |= {"title_id": self._title_id, "episode_id": place.episode_id, "cm_id": link.cm_id}
            return _Link(self._tx.get("insert_link", {"host_id": host_id, **params})["id"], host_id)
        host_id = row["host_id"] if row["url"] == link.url else self._hosts.id_of(link.url)
        if not row["listed"] or _differs(row, params, "url", "quality", "evidence", "declared_quality"):
            self._tx.execute("update_link", {"id": row["id"], "host_id": host_id, **params})
        if host_id != row["host_id"] and row["variant_id"] is not None:
            self._variants_by_id[row["variant_id"]].shifted = True
        return _Link(row["id"], host_id, row["variant_id"], LinkFate(row["fate"] or LinkFate.UNTRIED))

    def _read_variants(self) -> None:
        for row in self._all("known_variants"):
            variant = _Variant(row["id"], VariantState(row["state"]), row["sources"], was_empty=row["sources"] == 0)
            target = (row["episode_id"], row["quality"])
            if row["copy"] == 1:
                self._variants[target] = variant
            else:
                self._copies.append((target, variant))
            self._variants_by_id[variant.id] = variant

    def _assign(self, place: _Place, quality: Quality, link: _Link) -> None:
        """Give a link to the variant of `quality`: a new one at the end, one from another variant as untried.

        A link that was used, or that a worker may be reading, stays where it is.
        """
        current = None if link.variant_id is None else self._variants_by_id[link.variant_id]
        target = self._variants.get((place.episode_id, quality.value))
        if current is not None:
            if current is target or link.fate is LinkFate.USED or current.state is VariantState.LEASED:
                return
            self._tx.execute("remove_source", {"link_id": link.id, "variant_id": current.id})
            current.sources -= 1
            current.shifted = True
        target = target or self._insert_variant(place, quality, link.host_id)
        self._tx.execute("append_source", {"variant_id": target.id, "link_id": link.id})
        target.sources += 1
        target.gained = True
        target.shifted |= link.host_id != target.new_at

    def _insert_variant(self, place: _Place, quality: Quality, host_id: int) -> _Variant:
        code = VariantCode(self._title_id, quality, place.code_season, place.code_episode)
        params = {
            "code": str(code),
            "title_id": self._title_id,
            "episode_id": place.episode_id,
            "quality": quality.value,
            "host_id": host_id,
            "now_ms": self._tx.now_ms,
        }
        variant_id = self._tx.get("insert_variant", params)["id"]
        variant = _Variant(variant_id, VariantState.READY, 0, was_empty=True, new_at=host_id)
        self._variants[place.episode_id, quality.value] = variant
        self._counts["variants_new"] += 1
        return variant

    def _follow_original(self, original: _Variant, copy: _Variant) -> None:
        """Let a copy have the links of its original, unless a worker may be reading them."""
        if copy.state is VariantState.LEASED:
            return
        followed = follow_original(self._tx, copy.id, original.id)
        copy.sources += followed.gained - followed.lost
        copy.gained = followed.gained > 0
        copy.shifted = original.shifted or followed.gained + followed.lost > 0

    def _requeue_changed(self, variant: _Variant) -> None:
        """A waiting variant whose links all moved away is taken out; one that gained a link is tried at once."""
        if variant.shifted:
            relane(self._tx, variant.id)
        event = _event_of(variant)
        if event is not None:
            enter_state(self._tx, variant.id, variant.state, event)

    def _all(self, query: str) -> list[Row]:
        return self._tx.all(query, {"title_id": self._title_id})


def _event_of(variant: _Variant) -> Event | None:
    if variant.sources == 0:
        return Event.CANCEL if variant.state in {VariantState.READY, VariantState.DELAYED} else None
    if not variant.gained:
        return None
    if variant.state is VariantState.DELAYED:
        return Event.DUE
    # Cancelled while it had links was an operator's decision, which stands.
    if variant.state is VariantState.DEAD or (variant.state is VariantState.CANCELLED and variant.was_empty):
        return Event.REQUEUE
    return None


def _differs(row: Row, params: Mapping[str, object], *columns: str) -> bool:
    return any(row[column] != params[column] for column in columns)


def _free_number(episode: ImportedEpisode, taken: set[tuple[int, int]]) -> tuple[int, int]:
    """The numbers that an episode's codes say: its own unless another episode of the title has them."""
    number = episode.episode
    if (episode.season, number) in taken:
        spare = range(SPARE_EPISODE_NUMBER, EPISODE_NUMBER_MAX + 1)
        number = next((n for n in spare if (episode.season, n) not in taken), -1)
    if number < 0:
        raise StoreError(f"season {episode.season} has no episode number left for {episode.cm_id}")
    taken.add((episode.season, number))
    return episode.season, number
