"""The whole catalogue, read page by page as an operator."""

from __future__ import annotations

from telecine.core.api import Api
from telecine.core.catalogue import TitleDetail, VariantDetail
from telecine.core.operator_protocol import TitlePage, VariantPage

PAGE = 100


async def variants(api: Api) -> list[VariantDetail]:
    """Every variant with its links and files."""
    codes: list[str] = []
    after: str | None = ""
    while after is not None:
        page = await api.get("/v1/variants", VariantPage, {"after": after, "limit": PAGE})
        codes += [variant.code for variant in page.variants]
        after = page.after
    return [await api.get(f"/v1/variants/{code}", VariantDetail) for code in codes]


async def titles(api: Api) -> list[TitleDetail]:
    """Every title with its episodes."""
    ids: list[int] = []
    while True:
        page = await api.get("/v1/titles", TitlePage, {"limit": PAGE, "offset": len(ids)})
        ids += [title.id for title in page.titles]
        if len(page.titles) < PAGE:
            return [await api.get(f"/v1/titles/{title_id}", TitleDetail) for title_id in ids]
