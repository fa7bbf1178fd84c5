"""The catalogue as coordinator and bot read it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from telecine.core import codes, folding, quality
from telecine.core.captions import Origin
from telecine.core.catalogue import (
    CatalogueCounts,
    Episode,
    StoredObject,
    Title,
    TitleDetail,
    TitleKind,
    VariantDetail,
    VariantSource,
    VariantSummary,
)
from telecine.core.errors import InputError, NotFoundError
from telecine.core.leases import LinkFate, VariantState
from telecine.core.protocol import StoredContent
from telecine.core.quality import Quality
from telecine.core.reasons import Reason
from telecine.store.accounts import account_id
from telecine.store.readers import Readers
from telecine.store.transaction import Params, Row, Transaction

SEARCH_PHRASES_MAX = 16  # more say nothing more about a name
PAGE_ROWS_MAX = 1000
SAME_CONTENT_MAX = 16  # messages with one file that are named; any of them will do
_PAGES = {
    None: "variants_page",
    VariantState.READY: "variants_page_in_state",
    VariantState.DONE: "variants_page_in_state",
    VariantState.LEASED: "variants_page_leased",
}  # the others: variants_page_at_rest


class SqliteCatalogue:
    """Implements `Catalogue` on read-only connections."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def search(self, text: str, *, limit: int = 20, offset: int = 0) -> tuple[Title, ...]:
        page = _page(limit, offset)
        found = folding.phrases(text)
        if not found:
            if text.strip():  # nothing in it that a name could hold
                return ()
            return await self._readers.run(lambda tx: tuple(map(_title, tx.all("titles_all", page))))
        params = {"text": " ".join(found), "match": match_expression(found), **page}
        return await self._readers.run(lambda tx: tuple(map(_title, tx.all("titles_matching", params))))

    async def title(self, title_id: int) -> TitleDetail:
        return await self._readers.run(lambda tx: title_detail(tx, title_id))

    async def variant(self, code: str) -> VariantDetail:
        parsed = codes.parse_variant(code)
        return await self._readers.run(lambda tx: variant_detail(tx, str(parsed)))

    async def variants(
        self, *, state: VariantState | None = None, account: str | None = None, after: str = "", limit: int = 100
    ) -> tuple[VariantSummary, ...]:
        page = {"after": after, "limit": _page(limit, 0)["limit"], "state": None if state is None else state.value}
        return await self._readers.run(lambda tx: variant_page(tx, account, page))

    async def contents(self, account: str, blake3: str) -> tuple[StoredContent, ...]:
        params = {"account": account, "blake3": blake3, "limit": SAME_CONTENT_MAX}
        rows = await self._readers.run(lambda tx: tx.all("objects_with_content", params))
        return tuple(StoredContent(**_fields(row)) for row in rows)

    async def counts(self) -> CatalogueCounts:
        return await self._readers.run(catalogue_counts)


def match_expression(phrases: tuple[str, ...]) -> str:
    """FTS5's way to ask for names that hold every phrase, the last word of each as a prefix. What is quoted cannot be
    taken for syntax."""
    return " ".join(f'"{phrase}"*' for phrase in dict.fromkeys(phrases[:SEARCH_PHRASES_MAX]))


def title_detail(tx: Transaction, title_id: int) -> TitleDetail:
    """Raises NotFoundError."""
    row = tx.one("title_by_id", {"title_id": title_id})
    if row is None:
        raise NotFoundError(f"there is no title {title_id}")
    variants: defaultdict[int | None, list[VariantSummary]] = defaultdict(list)
    for variant in tx.all("variants_of_title", {"title_id": title_id}):
        variants[variant["episode_id"]].append(_summary(variant))
    episodes = tx.all("episodes_of_title", {"title_id": title_id})
    return TitleDetail(
        id=row["id"],
        cm_id=row["cm_id"],
        kind=TitleKind(row["kind"]),
        name=row["name"],
        year=row["year"],
        variants=_tallest_first(variants[None]),
        episodes=tuple(
            Episode(e["id"], e["season"], e["episode"], e["name"], _tallest_first(variants[e["id"]])) for e in episodes
        ),
    )


def variant_page(tx: Transaction, account: str | None, page: Params) -> tuple[VariantSummary, ...]:
    """Variants by code, each filter by an index of its own. Raises NotFoundError (account)."""
    if account is not None:
        rows = tx.all("variants_page_of_account", {**page, "account_id": account_id(tx, account)})
    else:
        rows = tx.all(_PAGES.get(page["state"], "variants_page_at_rest"), page)
    return tuple(map(_summary, rows))


def variant_detail(tx: Transaction, code: str) -> VariantDetail:
    """Raises NotFoundError."""
    row = variant_row(tx, code)
    params = {"variant_id": row["id"]}
    return VariantDetail(
        code=row["code"],
        title_id=row["title_id"],
        episode_id=row["episode_id"],
        quality=Quality(row["quality"]),
        state=VariantState(row["state"]),
        priority=row["priority"],
        attempts=row["attempts"],
        expiries=row["expiries"],
        worker=row["worker"],
        sources=tuple(map(_source, tx.all("sources_of_variant", params))),
        objects=tuple(StoredObject(**_fields(o)) for o in tx.all("objects_of_variant", params)),
        copy=row["copy"],
        account=row["account"],
        channel=None if row["channel_id"] is None else codes.channel_code(row["channel_id"]),
        host=row["host"],
        file_bytes=row["file_bytes"],
        disk_bytes=row["disk_bytes"],
        rounds=row["rounds"],
        generation=row["generation"],
        due_in_s=None if row["due_at_ms"] is None else max(0, row["due_at_ms"] - tx.now_ms) / 1000,
        origin=Origin(row["title_cm_id"], row["episode_cm_id"]),
        waits_for_link=bool(row["waits_for_link"]),
    )


def variant_row(tx: Transaction, code: str) -> Row:
    """A variant's row. Raises NotFoundError."""
    row = tx.one("variant_by_code", {"code": code})
    if row is None:
        raise NotFoundError(f"there is no upload target {code}")
    return row


def catalogue_counts(tx: Transaction) -> CatalogueCounts:
    rows = _fields(tx.get("count_rows"))
    by_state = _tally(tx, "count_variants_by_state")
    by_outcome = _tally(tx, "count_attempts_by_outcome")
    return CatalogueCounts(
        **rows,
        series=rows["titles"] - rows["movies"],
        variants=sum(by_state.values()),
        variants_by_state=by_state,
        links_by_fate=_tally(tx, "count_links_by_fate"),
        attempts=sum(by_outcome.values()),
        attempts_by_outcome=by_outcome,
    )


def _tally(tx: Transaction, query: str) -> dict[str, int]:
    return {row["name"]: row["rows"] for row in tx.all(query)}


def _page(limit: int, offset: int) -> dict[str, int]:
    if not 1 <= limit <= PAGE_ROWS_MAX:
        raise InputError(f"limit must be between 1 and {PAGE_ROWS_MAX}, not {limit}", field="limit")
    if not 0 <= offset < 2**63:
        raise InputError(f"offset must be 0 or more, not {offset}", field="offset")
    return {"limit": limit, "offset": offset}


def _fields(row: Row) -> dict[str, Any]:
    return dict(row)


def _title(row: Row) -> Title:
    return Title(row["id"], TitleKind(row["kind"]), row["name"], row["year"], row["available"])


def _summary(row: Row) -> VariantSummary:
    return VariantSummary(row["code"], Quality(row["quality"]), VariantState(row["state"]))


def _tallest_first(variants: list[VariantSummary]) -> tuple[VariantSummary, ...]:
    return tuple(sorted(variants, key=lambda variant: quality.by_height(variant.quality)))


def _source(row: Row) -> VariantSource:
    return VariantSource(
        link_id=row["link_id"],
        cm_id=row["cm_id"],
        url=row["url"],
        position=row["position"],
        fate=LinkFate(row["fate"]),
        reason=None if row["reason"] is None else Reason(row["reason"]),
        detail=row["detail"],
        listed=bool(row["listed"]),
        quality=Quality(row["quality"]),
        evidence=row["evidence"],
    )
