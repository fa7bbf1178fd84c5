from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.conftest import Scene, episode, film, link, series

from telecine.core import folding
from telecine.core.catalogue import TitleKind
from telecine.core.errors import InputError, NotFoundError
from telecine.core.leases import VariantState
from telecine.core.quality import Quality
from telecine.store.catalogue import match_expression

NAMES = (
    "The Matrix",
    "The Matrix Reloaded",
    "Matrix",
    "Animatrix",
    "Schindler's List",
    "Amélie",
    "Łódź",
    "Straße ohne Ende",
    "Spider-Man",
    "Fast & Furious",
    "千と千尋の神隠し",
    "神の隠し子",
)


@pytest.fixture
async def shelves(scene: Scene) -> Scene:
    await scene.imports(*(film(str(n), link(f"l{n}"), name=name) for n, name in enumerate(NAMES)))
    return scene


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("matrix", ["Matrix", "The Matrix", "The Matrix Reloaded"]),
        ("MATRIX the", ["The Matrix", "The Matrix Reloaded"]),
        ("the matrix", ["The Matrix", "The Matrix Reloaded"]),
        ("rel mat", ["The Matrix Reloaded"]),
        ("matr", ["Matrix", "The Matrix", "The Matrix Reloaded"]),
        ("schindlers", ["Schindler's List"]),
        ("schindler's li", ["Schindler's List"]),
        ("amelie", ["Amélie"]),
        ("AMÉLIE", ["Amélie"]),
        ("lodz", ["Łódź"]),
        ("strasse", ["Straße ohne Ende"]),
        ("spider man", ["Spider-Man"]),
        ("fast and fur", ["Fast & Furious"]),
        ("千と千尋の神隠し", ["千と千尋の神隠し"]),
        ("千と", ["千と千尋の神隠し"]),
        ("千尋", ["千と千尋の神隠し"]),
        ("神隠", ["千と千尋の神隠し"]),
        ("神 隠し", ["神の隠し子", "千と千尋の神隠し"]),
        ("隠神", []),
        ("matrix amelie", []),
        ("nothing like it", []),
        ("…!?", []),
        ('"', []),
        ("matrix OR amelie", []),
        ("NEAR(matrix)", []),
        ("name_folded:matrix", []),
    ],
)
async def test_names_are_found_by_their_words(shelves: Scene, text: str, found: list[str]) -> None:
    assert [title.name for title in await shelves.store.catalogue.search(text)] == found


async def test_an_empty_search_lists_all_by_name(shelves: Scene) -> None:
    names = [title.name for title in await shelves.store.catalogue.search("  ")]
    assert names == sorted(NAMES, key=folding.fold)


@pytest.mark.parametrize("text", ["", "matrix"])
async def test_pages_join_without_gap_or_overlap(shelves: Scene, text: str) -> None:
    whole = await shelves.store.catalogue.search(text)
    pages = [
        await shelves.store.catalogue.search(text, limit=2, offset=offset) for offset in range(0, len(NAMES) + 2, 2)
    ]
    assert [title for page in pages for title in page] == list(whole)


@pytest.mark.parametrize(("limit", "offset"), [(0, 0), (-1, 0), (1001, 0), (1, -1), (1, 2**63)])
async def test_an_absurd_page_is_refused(shelves: Scene, limit: int, offset: int) -> None:
    with pytest.raises(InputError):
        await shelves.store.catalogue.search("", limit=limit, offset=offset)


async def test_a_result_says_how_much_can_be_delivered(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a"), link("b", Quality.SD), name="Half"))
    assert [title.available for title in await scene.store.catalogue.search("half")] == [0]
    await scene.done("w", await scene.lease("w"))
    assert [title.available for title in await scene.store.catalogue.search("half")] == [1]
    assert [title.available for title in await scene.store.catalogue.search("")] == [1]


async def test_a_long_query_is_cut_not_refused(shelves: Scene) -> None:
    assert await shelves.store.catalogue.search("matrix " * 10_000)


async def test_the_index_of_words_agrees_with_the_titles(shelves: Scene) -> None:
    await shelves.imports(film("0", link("l0"), name="Renamed Entirely"))
    shelves.sql("DELETE FROM variant_sources WHERE variant_id = 3")
    shelves.sql("DELETE FROM upload_variants WHERE id = 3")
    shelves.sql("DELETE FROM source_links WHERE title_id = 3")
    shelves.sql("DELETE FROM titles WHERE id = 3")
    shelves.sql("INSERT INTO title_words (title_words, rank) VALUES ('integrity-check', 1)")
    assert [title.name for title in await shelves.store.catalogue.search("matrix")] == ["The Matrix Reloaded"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1, max_size=40))
async def test_no_text_breaks_the_search(shelves: Scene, text: str) -> None:
    await shelves.store.catalogue.search(text)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_a_word_is_never_taken_for_syntax(text: str) -> None:
    outside = match_expression(folding.phrases(text)).split('"')[::2]
    assert set(outside) <= {"", "* ", "*"}


async def test_a_series_shows_its_episodes_in_order(scene: Scene) -> None:
    both = (link("c", Quality.SD), link("d", Quality.FULL_HD), link("e", Quality.AUTO))
    await scene.imports(series("x", episode("3", 2, 1), episode("2", 1, 10, *both), episode("1", 1, 2, link("a"))))
    detail = await scene.store.catalogue.title(1)
    assert (detail.kind, detail.cm_id, detail.variants) == (TitleKind.SERIES, "x", ())
    assert [(e.season, e.episode) for e in detail.episodes] == [(1, 2), (1, 10), (2, 1)]
    qualities = [variant.quality for variant in detail.episodes[1].variants]
    assert qualities == [Quality.FULL_HD, Quality.SD, Quality.AUTO]


async def test_what_does_not_exist_is_not_found(scene: Scene) -> None:
    with pytest.raises(NotFoundError):
        await scene.store.catalogue.title(1)
    with pytest.raises(NotFoundError):
        await scene.store.catalogue.variant("CM_M000001_720P")
    for nonsense in ("nonsense", "CM_M000001_720P_P01OF02"):
        with pytest.raises(InputError):
            await scene.store.catalogue.variant(nonsense)


async def test_variants_are_listed_by_code_page_by_page(shelves: Scene) -> None:
    await shelves.enrol("w")
    await shelves.done("w", await shelves.lease("w"))
    first = await shelves.store.catalogue.variants(limit=6)
    rest = await shelves.store.catalogue.variants(after=first[-1].code)
    assert [v.code for v in (*first, *rest)] == [f"CM_M{n:06d}_720P" for n in range(1, len(NAMES) + 1)]
    done = await shelves.store.catalogue.variants(state=VariantState.DONE)
    assert [v.code for v in done] == ["CM_M000001_720P"]
    assert len(await shelves.store.catalogue.variants(state=VariantState.READY)) == len(NAMES) - 1
    with pytest.raises(InputError):
        await shelves.store.catalogue.variants(limit=0)


async def test_counts_tell_everything_at_a_look(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a"), link("b")), series("2", episode("e", 1, 1, link("c"))))
    await scene.done("w", await scene.lease("w"))
    counts = await scene.store.catalogue.counts()
    assert (counts.titles, counts.movies, counts.series, counts.episodes) == (2, 1, 1, 1)
    assert (counts.links, counts.links_planned, counts.links_by_fate) == (3, 3, {"untried": 2, "used": 1})
    assert (counts.variants, counts.variants_by_state) == (2, {"done": 1, "ready": 1})
    assert (counts.objects, counts.attempts, counts.attempts_by_outcome) == (1, 1, {"done": 1})
