"""What CM holds: titles, episodes and links as typed rows, edited the way an editor's hand would.

An edit sets `date_updated` of the row it touches and of no other, as in Directus: the title of an edited link
keeps its date. A row that was never edited has none.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum

import msgspec

from telecine.core.clock import Clock
from telecine.core.errors import InputError, NotFoundError


class CmKind(StrEnum):
    """What a title is."""

    MOVIE = "movie"
    SERIES = "series"


class CmLink(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A source link; `{media_url}` at the start of its URL stands for the emulator's own source host."""

    id: int
    url: str
    quality: str | None = None
    language: str | None = None
    size_bytes: int | None = None
    date_created: str | None = None
    date_updated: str | None = None


class CmEpisode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An episode of a series with its links."""

    id: int
    season: int
    episode: int
    name: str | None = None
    runtime_min: int | None = None
    links: tuple[CmLink, ...] = ()
    date_created: str | None = None
    date_updated: str | None = None


class CmTitle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A film with its links, or a series with its episodes."""

    id: int
    name: str
    kind: CmKind
    original_name: str | None = None
    year: int | None = None
    runtime_min: int | None = None
    links: tuple[CmLink, ...] = ()
    episodes: tuple[CmEpisode, ...] = ()
    date_created: str | None = None
    date_updated: str | None = None


class CmContent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole content as one JSON document."""

    titles: tuple[CmTitle, ...] = ()


class TitleRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of `titles`."""

    id: int
    name: str
    kind: CmKind
    original_name: str | None = None
    year: int | None = None
    runtime_min: int | None = None
    date_created: str | None = None
    date_updated: str | None = None


class EpisodeRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of `episodes`."""

    id: int
    title_id: int
    season: int
    episode: int
    name: str | None = None
    runtime_min: int | None = None
    date_created: str | None = None
    date_updated: str | None = None


class LinkRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of `links`; it belongs to a title or to an episode."""

    id: int
    url: str
    title_id: int | None = None
    episode_id: int | None = None
    quality: str | None = None
    language: str | None = None
    size_bytes: int | None = None
    date_created: str | None = None
    date_updated: str | None = None


Row = TitleRow | EpisodeRow | LinkRow


class Table(StrEnum):
    """The collections that CM serves."""

    TITLES = "titles"
    EPISODES = "episodes"
    LINKS = "links"

    @property
    def row_type(self) -> type[TitleRow | EpisodeRow | LinkRow]:
        """What a row of this table is."""
        return _ROW_TYPES[self]


_ROW_TYPES: dict[Table, type[TitleRow | EpisodeRow | LinkRow]] = {
    Table.TITLES: TitleRow,
    Table.EPISODES: EpisodeRow,
    Table.LINKS: LinkRow,
}

RELATIONS: Mapping[Table, Mapping[str, tuple[Table, str]]] = {
    Table.TITLES: {"links": (Table.LINKS, "title_id"), "episodes": (Table.EPISODES, "title_id")},
    Table.EPISODES: {"links": (Table.LINKS, "episode_id")},
    Table.LINKS: {},
}
"""One to many: the field of a table, the table it leads to, and that table's key back."""


def iso_ms(epoch_ms: int) -> str:
    """The time as CM writes it: ISO 8601 in UTC with milliseconds and Z."""
    moment = dt.datetime.fromtimestamp(epoch_ms / 1000, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def normal_iso(text: str) -> str:
    """Any ISO 8601 time in the one form in which CM writes it, so that text compares as time does.

    Raises InputError if it is no time.
    """
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{text!r} is not an ISO 8601 time") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return iso_ms(round(moment.timestamp() * 1000))


class CmCatalogue:
    """The rows of CM, by table and id."""

    def __init__(self, clock: Clock, content: CmContent | None = None) -> None:
        self._clock = clock
        self._rows: dict[Table, dict[int, Row]] = {table: {} for table in Table}
        self._children: dict[tuple[Table, str], dict[int, list[Row]]] = {}
        self.on_change: Callable[[], None] | None = None
        """Called after each change."""
        if content is not None:
            self.replace(content)

    def replace(self, content: CmContent) -> None:
        """Hold exactly this content. Raises InputError for an id used twice or a date that is none."""
        rows: dict[Table, dict[int, Row]] = {table: {} for table in Table}
        for table, row in _flattened(content, created=self._now()):
            if row.id in rows[table]:
                raise InputError(f"{table} has the id {row.id} twice", field=str(table))
            rows[table][row.id] = _with_normal_dates(row)
        self._rows = rows
        self._changed()

    def content(self) -> CmContent:
        """Everything, as a document that `replace` takes."""
        return CmContent(titles=tuple(self._nested(row) for row in self.rows(Table.TITLES)))

    def rows(self, table: Table) -> list[Row]:
        """The rows of a table by id."""
        return [self._rows[table][row_id] for row_id in sorted(self._rows[table])]

    def row(self, table: Table, row_id: int) -> Row | None:
        """One row, None if there is none."""
        return self._rows[table].get(row_id)

    def children(self, table: Table, key: str, parent_id: int) -> list[Row]:
        """The rows of `table` whose `key` is this parent, by id."""
        index = self._children.get((table, key))
        if index is None:
            index = {}
            for row in self.rows(table):
                index.setdefault(getattr(row, key), []).append(row)
            self._children[table, key] = index
        return index.get(parent_id, [])

    def add(self, table: Table, fields: Mapping[str, object]) -> Row:
        """Add a row; the id is the next one unless given. Raises InputError for fields that do not fit."""
        row_id = max(self._rows[table], default=0) + 1
        row = _row(table, {"id": row_id, "date_created": self._now(), **fields})
        if row.id in self._rows[table]:
            raise InputError(f"{table} has the id {row.id} already", field="id")
        self._keep(table, row)
        return row

    def edit(self, table: Table, row_id: int, fields: Mapping[str, object]) -> Row:
        """Change fields of a row, and its `date_updated` unless that is given.

        Raises NotFoundError, and InputError for fields that do not fit.
        """
        before = self._existing(table, row_id)
        row = _row(table, {**msgspec.structs.asdict(before), "date_updated": self._now(), **fields})
        if row.id != row_id:
            raise InputError("an id cannot be changed", field="id")
        self._keep(table, row)
        return row

    def delete(self, table: Table, row_id: int) -> None:
        """Remove a row with everything below it, leaving no trace that a filter could find."""
        self._existing(table, row_id)
        for below, key in RELATIONS[table].values():
            for child in list(self.children(below, key, row_id)):
                self.delete(below, child.id)
        del self._rows[table][row_id]
        self._changed()

    def _existing(self, table: Table, row_id: int) -> Row:
        row = self._rows[table].get(row_id)
        if row is None:
            raise NotFoundError(f"{table} has no id {row_id}", field="id")
        return row

    def _keep(self, table: Table, row: Row) -> None:
        self._rows[table][row.id] = row
        self._changed()

    def _changed(self) -> None:
        self._children.clear()
        if self.on_change:
            self.on_change()

    def _now(self) -> str:
        return iso_ms(self._clock.now_ms())

    def _nested(self, title: Row) -> CmTitle:
        episodes = [
            msgspec.structs.asdict(row) | {"links": self._links("episode_id", row.id)}
            for row in self.children(Table.EPISODES, "title_id", title.id)
        ]
        fields = msgspec.structs.asdict(title)
        fields |= {"links": self._links("title_id", title.id), "episodes": [_bare(row) for row in episodes]}
        return msgspec.convert(fields, CmTitle)

    def _links(self, key: str, parent_id: int) -> list[dict[str, object]]:
        return [_bare(msgspec.structs.asdict(row)) for row in self.children(Table.LINKS, key, parent_id)]


def _bare(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if name not in {"title_id", "episode_id"}}


def _row(table: Table, fields: Mapping[str, object]) -> Row:
    try:
        return _with_normal_dates(msgspec.convert(fields, table.row_type))
    except msgspec.ValidationError as error:
        raise InputError(f"{table}: {error}", field=str(table)) from error


def _with_normal_dates(row: Row) -> Row:
    dates = {name: getattr(row, name) for name in ("date_created", "date_updated")}
    return msgspec.structs.replace(row, **{name: normal_iso(text) for name, text in dates.items() if text})


def _flattened(content: CmContent, created: str) -> Iterable[tuple[Table, Row]]:
    for title in content.titles:
        yield Table.TITLES, _flat(TitleRow, title, created)
        for link in title.links:
            yield Table.LINKS, _flat(LinkRow, link, created, title_id=title.id)
        for episode in title.episodes:
            yield Table.EPISODES, _flat(EpisodeRow, episode, created, title_id=title.id)
            for link in episode.links:
                yield Table.LINKS, _flat(LinkRow, link, created, episode_id=episode.id)


def _flat(kind: type[Row], node: msgspec.Struct, created: str, **parent: int) -> Row:
    fields = {name: value for name, value in msgspec.structs.asdict(node).items() if value is not None}
    kept = {name: value for name, value in fields.items() if name in kind.__struct_fields__}
    return msgspec.convert({"date_created": created, **kept, **parent}, kind)
