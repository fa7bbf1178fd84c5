"""One title of an import: compared with what is known of it, so that only differences are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from telecine.core.catalogue import (
    PROBED,
    ImportCounts,
    ImportedEpisode,
    ImportedLink,
    ImportedTitle,
    PlannedVariant,
)
from telecine.core.codes import EPISODE_NUMBER_MAX, VariantCode
from telecine.core.errors import InputError, StoreError
from telecine.core.folding import fold
from telecine.core.hosts import source_host
from telecine.core.leases import LinkFate, VariantState
from telecine.core.policy import QueuePolicy
from telecine.core.quality import Quality
from telecine.store.lanes import host_id
from telecine.store.targets import Target, append_link, follow, insert_target, remove_link, steer
from telecine.store.transaction import Row, Transaction

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


_TargetKey = tuple[int | None, str]  # episode (None: a film) and quality


class _Place(msgspec.Struct, frozen=True):
    """What has links of its own: a title (a film), or an episode with the numbers that its codes say."""

    episode_id: int | None = None
    code_season: int | None = None
    code_episode: int | None = None


class _Link(msgspec.Struct):
    """A link as it stands in the database, and the variant it belongs to (None: a new link). `probed`: the quality that
    a worker has measured."""

    id: int
    host_id: int
    variant_id: int | None = None
    fate: LinkFate = LinkFate.UNTRIED
    probed: Quality | None = None


class TitleImport:
    """Writes one title with everything below it. Use once, within a transaction."""

    def __init__(self, tx: Transaction, policy: QueuePolicy, title: ImportedTitle, hosts: SourceHosts) -> None:
        self._tx = tx
        self._policy = policy
        self._title = title
        self._hosts = hosts
        self._episodes = list({episode.cm_id: episode for episode in title.episodes}.values())  # the last wins
        self._title_id = 0
        self._variants: dict[_TargetKey, Target] = {}
        self._copies: list[tuple[_TargetKey, Target]] = []
        self._variants_by_id: dict[int, Target] = {}
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
            follow(self._tx, self._variants[target], copy)
        for variant in (*self._variants.values(), *(copy for _, copy in self._copies)):
            steer(self._tx, self._policy, variant)
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
                self._assign(place, written[cm_id].probed or plan.quality, written[cm_id])
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
        same_file = _file(row["url"]) == _file(link.url)
        if not same_file:
            self._tx.execute("note_another_file", {"link_id": row["id"]})
        probed = _probed(row) if same_file else None
        if probed is not None:
            params |= {"quality": probed.value, "evidence": PROBED}
        host_id = row["host_id"] if row["url"] == link.url else self._hosts.id_of(link.url)
        if not row["listed"] or _differs(row, params, "url", "quality", "evidence", "declared_quality"):
            self._tx.execute("update_link", {"id": row["id"], "host_id": host_id, **params})
        if host_id != row["host_id"] and row["variant_id"] is not None:
            self._variants_by_id[row["variant_id"]].shifted = True
        return _Link(row["id"], host_id, row["variant_id"], LinkFate(row["fate"] or LinkFate.UNTRIED), probed)

    def _read_variants(self) -> None:
        for row in self._all("known_variants"):
            state, waits = VariantState(row["state"]), bool(row["waits_for_link"])
            variant = Target(row["id"], row["code"], state, row["sources"], waits)
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
            remove_link(self._tx, current, link.id)
        append_link(self._tx, target or self._insert_target(place, quality, link.host_id), link.id, link.host_id)

    def _insert_target(self, place: _Place, quality: Quality, host_id: int) -> Target:
        code = VariantCode(self._title_id, quality, place.code_season, place.code_episode)
        target = insert_target(self._tx, code, episode_id=place.episode_id, host_id=host_id)
        self._variants[place.episode_id, quality.value] = target
        self._counts["variants_new"] += 1
        return target

    def _all(self, query: str) -> list[Row]:
        return self._tx.all(query, {"title_id": self._title_id})


def _probed(row: Row) -> Quality | None:
    """What a worker has measured."""
    return Quality(row["quality"]) if row["evidence"] == PROBED else None


def _file(url: str) -> tuple[str, str]:
    """What says which file it is: host and path. Keys come and go, in the query or before the host; so does TLS."""
    bare = url.partition("#")[0].partition("?")[0]
    _, is_absolute, address = bare.partition("://")
    return source_host(url), address.partition("/")[2] if is_absolute else bare


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
