"""Walking through a collection page by page, to its end and not beyond."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import Protocol, TypeVar

import msgspec
from yarl import URL

from telecine.core.config import CmPaging, CmResource
from telecine.core.errors import CmError, ConfigError
from telecine.core.intake.client import Answer
from telecine.core.intake.mapping import FieldPath, kind_of, parse_path

PAGES_MAX = 100_000
_CURSOR_CHARS_MAX = 4096

_SeenT = TypeVar("_SeenT", str, bytes)


class PageSource(Protocol):
    """What fetches pages."""

    def url(self, path: str) -> URL: ...

    async def get(self, url: URL) -> Answer: ...


class Collection(msgspec.Struct, frozen=True):
    """One of `[cm.resources]`, checked. `items` leads to the list in an answer."""

    name: str
    path: str
    query: Mapping[str, str]
    items: FieldPath


def collection_of(name: str, resource: CmResource) -> Collection:
    """Check a resource. Raises ConfigError that names the key."""
    return Collection(name, resource.path, resource.query, parse_path(resource.items, f"cm.resources.{name}.items"))


class PageTurner:
    """How `[cm.paging]` gets from one page to the next. Pure. Raises ConfigError for what does not go together."""

    def __init__(self, paging: CmPaging) -> None:
        self._paging = paging
        self._keyset = parse_path(paging.keyset_path, "cm.paging.keyset_path")
        if paging.kind == "cursor" and not paging.cursor_path:
            raise ConfigError("cm.paging.cursor_path is missing: cm.paging.kind is cursor")
        self._cursor = parse_path(f"{paging.cursor_path or '.'}?", "cm.paging.cursor_path")

    def first(self, url: URL) -> URL:
        """The first page of a collection."""
        paging = self._paging
        size = {paging.limit_param: str(paging.size)}
        match paging.kind:
            case "offset":
                return url.update_query(size | {paging.offset_param: "0"})
            case "page":
                return url.update_query(size | {paging.page_param: "1"})
            case "cursor" | "keyset":
                return url.update_query(size)
            case _:
                return url

    def following(self, url: URL, items: list[object], answer: Answer, count: int) -> URL | None:
        """What comes behind the page at `url`, which ended with the `count`th item; None for nothing.

        A page shorter than asked for is not the last one, as CM may hold a lower limit than ours; an empty one is,
        unless CM itself names the next. Raises CmError for an answer that does not say what it should.
        """
        paging = self._paging
        match paging.kind:
            case "cursor":
                return self._after_cursor(url, answer)
            case "link_header":
                return _linked(url, answer.next_url)
            case "offset" if items:
                return url.update_query({paging.offset_param: str(count)})
            case "page" if items:
                return url.update_query({paging.page_param: str(int(url.query[paging.page_param]) + 1)})
            case "keyset" if items:
                return url.update_query({paging.keyset_param: _key(self._keyset, items[-1])})
            case _:
                return None

    def _after_cursor(self, url: URL, answer: Answer) -> URL | None:
        cursor = self._cursor.one(answer.document)
        if cursor is None or cursor is False or cursor == "":
            return None
        if isinstance(cursor, bool) or not isinstance(cursor, str | int) or len(str(cursor)) > _CURSOR_CHARS_MAX:
            raise CmError(f"cm.paging.cursor_path: expected a text or a number, got {kind_of(cursor)}")
        if isinstance(cursor, str) and cursor.startswith(("http://", "https://", "/")):
            return _linked(url, cursor)
        return url.update_query({self._paging.cursor_param: str(cursor)})


class Pager:
    """Reads whole collections."""

    def __init__(self, source: PageSource, turner: PageTurner) -> None:
        self._source = source
        self._turner = turner

    async def pages(self, collection: Collection) -> AsyncIterator[list[object]]:
        """The items of a collection, a page at a time, never an empty one.

        Raises CmError where pages repeat or never end, or are not of the configured shape, and what the source
        raises.
        """
        walk = _Walk(collection.name)
        url: URL | None = self._turner.first(self._source.url(collection.path).update_query(collection.query))
        count = 0
        while url is not None:
            walk.turn(url)
            answer = await self._source.get(url)
            items = _items(collection, answer.document)
            walk.read(items)
            if items:
                yield items
            count += len(items)
            url = self._turner.following(url, items, answer, count)


class _Walk:
    """Notices a walk that goes in circles: no two pages of a collection can be alike. Where they are, CM ignores
    the parameter that should turn them, and going on would never end."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._turned: set[str] = set()
        self._read: set[bytes] = set()

    def turn(self, url: URL) -> None:
        if len(self._turned) >= PAGES_MAX:
            raise CmError(f"{self._name}: more than {PAGES_MAX} pages", hint="raise cm.paging.size")
        self._add(self._turned, str(url))

    def read(self, items: list[object]) -> None:
        if items:
            self._add(self._read, hashlib.blake2b(msgspec.json.encode(items), digest_size=16).digest())

    def _add(self, seen: set[_SeenT], one: _SeenT) -> None:
        if one in seen:
            raise CmError(f"{self._name}: CM sends the same page again", hint="[cm.paging] does not fit this CM")
        seen.add(one)


def _linked(url: URL, link: str | None) -> URL | None:
    if not link:
        return None
    try:
        linked = url.join(URL(link))
        linked.origin()  # which a URL has that can be asked for
    except ValueError:
        raise CmError(f"CM names a next page that is no URL: {kind_of(link.partition('?')[0])}") from None
    return linked


def _items(collection: Collection, document: object) -> list[object]:
    key = f"cm.resources.{collection.name}.items"
    try:
        items = collection.items.one(document)
    except CmError as error:
        raise CmError(f"{key}: {error.message} in CM's answer") from None
    if not isinstance(items, list):
        raise CmError(f"{key}: expected a list at `{collection.items.text}`, got {kind_of(items)}")
    return items


def _key(path: FieldPath, item: object) -> str:
    try:
        value = path.one(item)
    except CmError as error:
        raise CmError(f"cm.paging.keyset_path: {error.message} in an item") from None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise CmError(f"cm.paging.keyset_path: expected a text or a number, got {kind_of(value)}")
    return str(value)
