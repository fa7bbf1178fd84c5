"""From CM's JSON to the catalogue's titles, episodes and links, trusting nothing.

What is wrong with one link refuses that link, what is wrong with anything else refuses its title; neither stops an
import. Every error names the record, its id and the field.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

import msgspec

from telecine.core.catalogue import ImportedEpisode, ImportedLink, ImportedTitle, TitleKind
from telecine.core.codes import EPISODE_NUMBER_MAX
from telecine.core.errors import CmError
from telecine.core.intake.inference import infer
from telecine.core.intake.mapping import CmMapping, Field, kind_of, whole_number
from telecine.core.intake.planning import plan
from telecine.core.links import shown

ID_CHARS_MAX = 200
NAME_CHARS_MAX = 500
URL_CHARS_MAX = 8192
DECLARED_CHARS_MAX = 100  # what is longer is cut, since a link is not lost over a remark
YEAR_MIN, YEAR_MAX = 1870, 2200  # the first moving pictures, and a typing error
RUNTIME_S_MAX = 7 * 86_400

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:[^\s].*")  # two letters at least: C:\film.mkv is none
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Children(msgspec.Struct, frozen=True):
    """Episodes and links that CM lists apart from their titles, by the CM id of what they belong to."""

    episodes_of_title: Mapping[str, Sequence[object]] = {}
    links_of_title: Mapping[str, Sequence[object]] = {}
    links_of_episode: Mapping[str, Sequence[object]] = {}


class Reading(msgspec.Struct, frozen=True):
    """A title as it was understood, and why some of its links were refused."""

    title: ImportedTitle
    refused_links: tuple[str, ...] = ()


class Record:
    """One item of CM behind its mapping. Every method raises CmError that names record, id and field."""

    def __init__(self, kind: str, item: object, fields: Mapping[str, Field]) -> None:
        self._kind = kind
        self._item = item
        self._fields = fields
        self._id: str | None = None
        self._id = self.line("id", ID_CHARS_MAX)

    @property
    def label(self) -> str:
        """How errors call it: `title 17`."""
        return f"{self._kind} {self._id}" if self._id else f"{self._kind} without an id"

    def error(self, field: str, problem: object) -> CmError:
        """An error about one field of this record."""
        return CmError(f"{self.label}: {field}: {problem}", field=field)

    def text(self, field: str, chars_max: int) -> str | None:
        """A text without the white space around it; a number is read as its text. None for none or an empty one."""
        value = self._one(field)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.error(field, f"expected a text, got {kind_of(value)}")
        text = value.strip()
        if len(text) > chars_max:
            raise self.error(field, f"longer than {chars_max} characters")
        if not _is_utf8(text):
            raise self.error(field, "holds characters that are none")
        return text or None

    def line(self, field: str, chars_max: int) -> str | None:
        """A text for people: in one line, with single spaces."""
        text = self.text(field, chars_max)
        if text is None:
            return None
        text = " ".join(text.split())
        if _CONTROL.search(text):
            raise self.error(field, "holds characters that are none")
        return text

    def cm_id(self) -> str:
        """The id, which must be there."""
        return self.present("id", self._id)

    def present(self, field: str, text: str | None) -> str:
        """The text of this field, which must be there."""
        if text is None:
            raise self.error(field, "is empty")
        return text

    def whole(self, field: str, low: int, high: int, *, unknown: int | None = None) -> int | None:
        """A whole number between the two; None for none, and for the one by which CM says that it does not know."""
        value = self._one(field)
        if value is None:
            return None
        try:
            number = whole_number(value)
        except CmError as error:
            raise self.error(field, error.message) from None
        if number == unknown:
            return None
        if not low <= number <= high:
            raise self.error(field, f"expected {low} to {high}, got {number}")
        return number

    def number(self, field: str) -> int:
        """The number of a season or an episode, which must be there."""
        number = self.whole(field, 0, EPISODE_NUMBER_MAX)
        if number is None:
            raise self.error(field, "is missing")
        return number

    def items(self, field: str) -> list[object]:
        """What a list holds; nothing where the field is not mapped."""
        if field not in self._fields:
            return []
        try:
            return self._fields[field].path.all(self._item)
        except CmError as error:
            raise self.error(field, error.message) from None

    def runtime_s(self) -> int | None:
        """The running time in seconds from `runtime_s`, or from `runtime_min`; CM's zero means unknown."""
        seconds = self.whole("runtime_s", 1, RUNTIME_S_MAX, unknown=0)
        if seconds is not None:
            return seconds
        minutes = self.whole("runtime_min", 1, RUNTIME_S_MAX // 60, unknown=0)
        return None if minutes is None else minutes * 60

    def _one(self, field: str) -> object | None:
        if field not in self._fields:
            return None
        try:
            return self._fields[field].one(self._item)
        except CmError as error:
            raise self.error(field, error.message) from None


class TitleReader:
    """Reads titles by one mapping. Pure: what it returns depends on what it is given alone."""

    def __init__(self, mapping: CmMapping) -> None:
        self._mapping = mapping

    def read(self, item: object, children: Children) -> Reading:
        """A title with everything below it. Raises CmError for one that is malformed."""
        record = Record("title", item, self._mapping.title)
        cm_id = record.cm_id()
        refused: list[str] = []
        links = self._links(record, cm_id, children.links_of_title, refused)
        items = [*record.items("episodes"), *children.episodes_of_title.get(cm_id, ())]
        read = (self._episode(each, children, refused) for each in items)
        episodes = tuple({episode.cm_id: episode for episode in read}.values())
        kind = _kind(record, has_episodes=bool(episodes))
        if kind is TitleKind.SERIES:
            refused += (f"link {link.cm_id}: belongs to {record.label}, a series, not to an episode" for link in links)
            links = ()
        title = ImportedTitle(  # of two episodes or links with one id the last counts
            cm_id=cm_id,
            kind=kind,
            name=record.present("name", record.line("name", NAME_CHARS_MAX)),
            year=record.whole("year", YEAR_MIN, YEAR_MAX, unknown=0),
            runtime_s=record.runtime_s(),
            links=links,
            variants=plan(links),
            episodes=episodes,
        )
        return Reading(title, tuple(refused))

    def _episode(self, item: object, children: Children, refused: list[str]) -> ImportedEpisode:
        record = Record("episode", item, self._mapping.episode)
        cm_id = record.cm_id()
        links = self._links(record, cm_id, children.links_of_episode, refused)
        return ImportedEpisode(
            cm_id=cm_id,
            season=record.number("season"),
            episode=record.number("episode"),
            name=record.line("name", NAME_CHARS_MAX),
            runtime_s=record.runtime_s(),
            links=links,
            variants=plan(links),
        )

    def _links(
        self, owner: Record, owner_id: str, apart: Mapping[str, Sequence[object]], refused: list[str]
    ) -> tuple[ImportedLink, ...]:
        links: dict[str, ImportedLink] = {}
        for item in (*owner.items("links"), *apart.get(owner_id, ())):
            try:
                link = self._link(item, owner)
            except CmError as error:
                refused.append(f"{owner.label}: {error.message}")
            else:
                links[link.cm_id] = link
        return tuple(links.values())

    def _link(self, item: object, owner: Record) -> ImportedLink:
        record = Record("link", item, self._mapping.link)
        url = record.present("url", record.text("url", URL_CHARS_MAX))
        if not _URL.fullmatch(url) or _CONTROL.search(url):
            raise record.error("url", f"is not a URL: {kind_of(shown(url))}")
        declared = record.line("quality", URL_CHARS_MAX)
        inferred = infer(url, declared=declared, name=record.line("name", URL_CHARS_MAX))
        return ImportedLink(
            cm_id=record.cm_id() if "id" in self._mapping.link else _link_id(owner, url),
            url=url,
            quality=inferred.quality,
            evidence=inferred.evidence,
            declared_quality=declared and declared[:DECLARED_CHARS_MAX],
        )


def parent_ids(mapping: CmMapping, kind: str, item: object) -> tuple[str | None, str | None]:
    """The CM ids of the title and of the episode that an item listed apart belongs to.

    Raises CmError where neither is given.
    """
    fields = mapping.episode if kind == "episode" else mapping.link
    record = Record(kind, item, fields)
    title, episode = record.line("title", ID_CHARS_MAX), None
    if kind == "link":
        episode = record.line("episode", ID_CHARS_MAX)
    if title is None and episode is None:
        raise record.error("title", "belongs to no title")
    return title, episode


def _kind(record: Record, *, has_episodes: bool) -> TitleKind:
    word = record.line("kind", NAME_CHARS_MAX)
    if word is None:
        return TitleKind.SERIES if has_episodes else TitleKind.MOVIE
    try:
        kind = TitleKind(word)
    except ValueError:
        raise record.error("kind", f"expected movie or series, got {kind_of(word)}") from None
    if kind is TitleKind.MOVIE and has_episodes:
        raise record.error("kind", "a movie that has episodes")
    return kind


def _link_id(owner: Record, url: str) -> str:
    """An id for a link that CM gives none: the same whenever the same owner lists the same URL."""
    return hashlib.sha256(f"{owner.label}\n{url}".encode()).hexdigest()[:24]


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
