from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.store.conftest import episode, film, link, plan, series

from telecine.core.catalogue import ImportCounts, ImportedTitle, ImportState, TitleKind
from telecine.core.errors import ConflictError, InputError, NotFoundError
from telecine.core.leases import LinkFate, VariantState
from telecine.core.quality import Quality
from telecine.core.reasons import Reason

if TYPE_CHECKING:
    from tests.store.conftest import Scene


async def fates(scene: Scene, code: str) -> dict[str, LinkFate]:
    return {source.cm_id: source.fate for source in (await scene.store.catalogue.variant(code)).sources}


def everything(scene: Scene) -> list[list[tuple[object, ...]]]:
    return [
        scene.sql("SELECT * FROM titles"),
        scene.sql("SELECT * FROM episodes"),
        scene.sql("SELECT * FROM source_links"),
        scene.sql("SELECT * FROM upload_variants"),
        scene.sql("SELECT * FROM variant_sources"),
    ]


async def test_an_import_queues_a_variant_for_each_quality(scene: Scene) -> None:
    counts = await scene.imports(film("1", link("a"), link("b", Quality.UHD), link("c")))
    assert counts == ImportCounts(1, 1, 0, 0, 3, 3, 2, 2)
    detail = await scene.store.catalogue.title(1)
    assert [variant.code for variant in detail.variants] == ["CM_M000001_2160P", "CM_M000001_720P"]
    assert {variant.state for variant in detail.variants} == {VariantState.READY}
    assert list(await fates(scene, "CM_M000001_720P")) == ["a", "c"]


async def test_repeating_an_import_changes_nothing(scene: Scene) -> None:
    titles = (film("1", link("a"), link("b")), series("2", episode("e", 1, 1, link("c")), episode("f", 1, 2)))
    await scene.imports(*titles)
    before = everything(scene)
    scene.clock.advance(10)
    counts = await scene.imports(*titles)
    assert counts == ImportCounts(titles=2, episodes=2, links=3, variants=2)
    assert everything(scene) == before


async def test_what_cm_changes_is_changed(scene: Scene) -> None:
    await scene.imports(film("1", link("a"), name="Old Name"))
    await scene.imports(film("1", link("a", url="http://media.example/moved"), name="New Name", year=2000))
    detail = await scene.store.catalogue.title(1)
    assert (detail.name, detail.year) == ("New Name", 2000)
    assert [title.id for title in await scene.store.catalogue.search("new name")] == [1]
    assert await scene.store.catalogue.search("old") == ()
    sources = (await scene.store.catalogue.variant("CM_M000001_720P")).sources
    assert sources[0].url == "http://media.example/moved"


async def test_a_link_that_is_no_longer_listed_is_marked_and_kept(scene: Scene) -> None:
    await scene.imports(film("1", link("a"), link("b")))
    await scene.imports(film("1", link("b")))
    listed = {s.cm_id: s.listed for s in (await scene.store.catalogue.variant("CM_M000001_720P")).sources}
    assert listed == {"a": False, "b": True}
    await scene.imports(film("1", link("b"), link("a")))
    sources = (await scene.store.catalogue.variant("CM_M000001_720P")).sources
    assert [(s.cm_id, s.position, s.listed) for s in sources] == [("a", 1, True), ("b", 2, True)]


async def test_links_of_an_episode_that_is_gone_are_marked(scene: Scene) -> None:
    await scene.imports(series("1", episode("e", 1, 1, link("a")), episode("f", 1, 2, link("b"))))
    await scene.imports(series("1", episode("e", 1, 1, link("a"))))
    counts = await scene.store.catalogue.counts()
    assert (counts.episodes, counts.links, counts.links_planned) == (2, 2, 2)
    assert not (await scene.store.catalogue.variant("CM_S000001_S01E02_720P")).sources[0].listed


async def test_a_known_link_keeps_its_fate(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a"), link("b")))
    lease = await scene.lease("w")
    await scene.fails("w", lease, {lease.sources[0].link_id: Reason.GONE})
    await scene.imports(film("1", link("a"), link("b")))
    assert await fates(scene, "CM_M000001_720P") == {"a": LinkFate.FAILED, "b": LinkFate.UNTRIED}


async def test_a_link_of_another_quality_moves_and_is_untried_there(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a"), link("b")))
    lease = await scene.lease("w")
    await scene.fails("w", lease, {lease.sources[0].link_id: Reason.WRONG_CONTENT})
    await scene.imports(film("1", link("a", Quality.SD), link("b")))
    assert await fates(scene, "CM_M000001_720P") == {"b": LinkFate.UNTRIED}
    assert await fates(scene, "CM_M000001_480P") == {"a": LinkFate.UNTRIED}


async def test_a_used_link_stays_with_what_it_was_used_for(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")))
    await scene.done("w", await scene.lease("w"))
    await scene.imports(film("1", link("a", Quality.SD)))
    assert await fates(scene, "CM_M000001_720P") == {"a": LinkFate.USED}
    with pytest.raises(NotFoundError):
        await scene.store.catalogue.variant("CM_M000001_480P")


async def test_a_link_that_is_being_read_moves_at_a_later_import(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")))
    lease = await scene.lease("w")
    await scene.imports(film("1", link("a", Quality.SD)))
    assert list(await fates(scene, "CM_M000001_720P")) == ["a"]
    await scene.fails("w", lease, {lease.sources[0].link_id: Reason.GONE})
    await scene.imports(film("1", link("a", Quality.SD)))
    assert list(await fates(scene, "CM_M000001_480P")) == ["a"]


async def test_a_variant_without_links_leaves_the_queue_until_it_has_some(scene: Scene) -> None:
    await scene.imports(film("1", link("a")))
    await scene.imports(film("1", link("a", Quality.SD)))
    assert (await scene.store.catalogue.variant("CM_M000001_720P")).state is VariantState.CANCELLED
    await scene.imports(film("1", link("a")))
    assert (await scene.store.catalogue.variant("CM_M000001_720P")).state is VariantState.READY
    assert (await scene.store.catalogue.variant("CM_M000001_480P")).state is VariantState.CANCELLED


async def test_what_an_operator_cancelled_stays_cancelled(scene: Scene) -> None:
    await scene.imports(film("1", link("a")))
    await scene.store.operations.cancel("CM_M000001_720P")
    await scene.imports(film("1", link("a"), link("b")))
    assert (await scene.store.catalogue.variant("CM_M000001_720P")).state is VariantState.CANCELLED


@pytest.mark.parametrize("reason", [Reason.GONE, Reason.NETWORK], ids=["dead", "delayed"])
async def test_a_new_link_brings_back_what_had_run_out_of_links(scene: Scene, reason: Reason) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")))
    lease = await scene.lease("w")
    settled = await scene.fails("w", lease, {lease.sources[0].link_id: reason})
    assert settled.state in {VariantState.DEAD, VariantState.DELAYED}
    await scene.imports(film("1", link("a"), link("b", url="http://spare.example/b.mkv")))
    again = await scene.lease("w")
    assert again.code == lease.code
    assert again.sources[0].url.endswith("/b.mkv")


async def test_a_new_link_has_all_rounds_before_it_and_what_may_work_later_is_tried_with_it(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a"), link("b")))
    first = {1: Reason.GONE, 2: Reason.STALLED}
    while (await scene.fails("w", await scene.lease("w"), first)).state is not VariantState.DEAD:
        first = {2: Reason.STALLED}
        scene.clock.advance(300)
        await scene.store.sweeper.sweep()
    scene.clock.advance(300)
    await scene.imports(film("1", link("a"), link("b"), link("c")))
    for left in ([2, 3], [2, 3]):
        lease = await scene.lease("w")
        assert sorted(source.link_id for source in lease.sources) == left
        settled = await scene.fails("w", lease, dict.fromkeys(left, Reason.STALLED))
        assert settled.state is VariantState.DELAYED
        scene.clock.advance(300)
        await scene.store.sweeper.sweep()


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        ((Reason.GONE,), (VariantState.DEAD, 1)),
        ((Reason.STALLED,), (VariantState.DELAYED, 1)),
        ((Reason.STALLED, Reason.GONE), (VariantState.DELAYED, 1)),
    ],
    ids=["gone", "stalled", "stalled and gone"],
)
async def test_what_loses_the_last_link_of_its_round_to_another_quality_has_failed(
    scene: Scene, reasons: tuple[Reason, ...], expected: tuple[VariantState, int]
) -> None:
    await scene.enrol("w")
    tried = [link(f"l{n}") for n in range(len(reasons))]
    await scene.imports(film("1", *tried, link("z")))
    lease = await scene.lease("w")
    failed = dict(zip((source.link_id for source in lease.sources), reasons, strict=False))
    assert (await scene.fails("w", lease, failed)).state is VariantState.READY
    await scene.imports(film("1", *tried, link("z", Quality.SD)))
    detail = await scene.store.catalogue.variant(lease.code)
    assert (detail.state, detail.rounds) == expected
    assert (await scene.lease("w")).code == "CM_M000001_480P"
    assert await scene.claim("w") is None, "nobody is given what has no link to try"
    scene.clock.advance(29)
    assert (await scene.store.sweeper.sweep()).promoted == 0
    scene.clock.advance(1)
    await scene.store.sweeper.sweep()
    assert (await scene.claim("w") is not None) == (expected[0] is VariantState.DELAYED)


async def test_what_was_to_be_tried_again_is_dead_when_all_that_might_have_worked_is_of_another_quality(
    scene: Scene,
) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a"), link("z")))
    lease = await scene.lease("w")
    a, z = (source.link_id for source in lease.sources)
    assert (await scene.fails("w", lease, {a: Reason.GONE, z: Reason.STALLED})).state is VariantState.DELAYED
    await scene.imports(film("1", link("a"), link("z", Quality.SD)))
    assert (await scene.store.catalogue.variant(lease.code)).state is VariantState.DEAD
    await scene.imports(film("1", link("a"), link("z")))
    scene.clock.advance(5)  # its host is left alone for so long
    assert [source.link_id for source in (await scene.lease("w")).sources] == [z]


async def test_what_may_still_be_tried_waits_on_when_a_link_is_of_another_quality(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a"), link("b"), link("z")))
    lease = await scene.lease("w")
    await scene.fails("w", lease, {lease.sources[0].link_id: Reason.GONE})
    await scene.imports(film("1", link("a"), link("b"), link("z", Quality.SD)))
    assert [source.url for source in (await scene.lease("w")).sources] == ["http://b.example/b.mkv"]


def lanes(scene: Scene) -> dict[str, str]:
    """The host that each variant waits for."""
    rows = scene.sql("SELECT v.code, h.name FROM upload_variants v JOIN hosts h ON h.id = v.host_id ORDER BY v.id")
    return {str(code): str(host) for code, host in rows}


async def test_a_variant_waits_for_the_host_of_its_first_link(scene: Scene) -> None:
    one, other = link("a", url="http://One.example:80/a"), link("b", url="https://u:p@other.example:8443/b")
    await scene.imports(film("1", one, other), film("2", link("c", Quality.SD, "/only/a/path")))
    await scene.imports(film("3", msgspec.structs.replace(other, quality=Quality.SD)))
    assert lanes(scene) == {
        "CM_M000001_720P": "one.example",
        "CM_M000002_480P": "",
        "CM_M000003_480P": "other.example:8443",
    }
    assert scene.sql("SELECT count(*) FROM source_links WHERE host_id IS NULL") == [(0,)]
    assert scene.sql("SELECT count(*) FROM hosts") == [(3,)]


async def test_a_variant_follows_its_next_link_to_another_host(scene: Scene) -> None:
    first, second = link("a", url="http://one.example/a"), link("b", url="http://two.example/b")
    await scene.imports(film("1", first, second))
    await scene.imports(film("1", msgspec.structs.replace(first, url="http://three.example/a"), second))
    assert lanes(scene) == {"CM_M000001_720P": "three.example"}
    await scene.imports(film("1", msgspec.structs.replace(first, quality=Quality.SD), second))
    assert lanes(scene) == {"CM_M000001_720P": "two.example", "CM_M000001_480P": "one.example"}


async def test_a_variant_without_links_waits_for_the_host_of_the_next_one(scene: Scene) -> None:
    await scene.imports(film("1", link("a", url="http://one.example/a")))
    await scene.imports(film("1", link("a", Quality.SD, "http://one.example/a")))
    await scene.imports(film("1", link("a", Quality.SD), link("b", url="http://two.example/b")))
    assert lanes(scene)["CM_M000001_720P"] == "two.example"
    await scene.enrol("w")
    assert {(await scene.lease("w")).code for _ in range(2)} == set(lanes(scene))


async def test_codes_stay_when_an_episode_is_renumbered(scene: Scene) -> None:
    await scene.imports(series("1", episode("e", 1, 1, link("a"))))
    await scene.imports(series("1", episode("e", 1, 2, link("a")), episode("f", 1, 1, link("b"))))
    first, second = (await scene.store.catalogue.title(1)).episodes
    assert (first.season, first.episode, first.variants[0].code) == (1, 1, "CM_S000001_S01E10000_720P")
    assert (second.season, second.episode, second.variants[0].code) == (1, 2, "CM_S000001_S01E01_720P")


async def test_two_episodes_of_one_number_keep_their_links_apart(scene: Scene) -> None:
    await scene.imports(series("1", episode("e", 1, 1, link("a")), episode("f", 1, 1, link("b"))))
    counts = await scene.store.catalogue.counts()
    assert (counts.episodes, counts.links, counts.links_planned, counts.variants) == (2, 2, 2, 2)


async def test_an_episode_listed_twice_is_one(scene: Scene) -> None:
    await scene.imports(series("1", episode("e", 1, 1, link("a")), episode("e", 1, 2, link("a"))))
    assert [e.episode for e in (await scene.store.catalogue.title(1)).episodes] == [2]


async def test_one_cm_id_under_two_titles_is_two_links(scene: Scene) -> None:
    await scene.imports(film("1", link("a")), film("2", link("a")))
    assert (await scene.store.catalogue.counts()).links == 2


async def test_a_film_that_becomes_a_series_keeps_its_upload(scene: Scene) -> None:
    await scene.imports(film("1", link("a")))
    both = ImportedTitle("1", TitleKind.SERIES, "A Film", 1999, 5400, (link("a"),), plan((link("a"),)))
    await scene.imports(msgspec.structs.replace(both, episodes=(episode("e", 1, 1, link("b")),)))
    detail = await scene.store.catalogue.title(1)
    assert detail.kind is TitleKind.SERIES
    assert [variant.code for variant in detail.variants] == ["CM_M000001_720P"]
    assert [variant.code for variant in detail.episodes[0].variants] == ["CM_S000001_S01E01_720P"]


@pytest.mark.parametrize("links", [(), ("a", "a"), ("a", "b", "x")], ids=["left out", "twice", "unknown"])
async def test_a_plan_that_does_not_fit_the_links_changes_nothing(scene: Scene, links: tuple[str, ...]) -> None:
    title = film("2", link("a"), link("b"))
    title = msgspec.structs.replace(title, variants=(msgspec.structs.replace(title.variants[0], link_cm_ids=links),))
    with pytest.raises(InputError, match="plan of title 2"):
        await scene.imports(film("1", link("z")), title)
    assert (await scene.store.catalogue.counts()).titles == 0


async def test_a_run_is_counted_and_closed(scene: Scene) -> None:
    await scene.imports(film("1", link("a")))
    await scene.imports(film("2", link("b"), link("c")))
    running = await scene.store.intake.import_run(1)
    assert (running.state, running.counts.titles, running.counts.links_new) == (ImportState.RUNNING, 2, 3)
    finished = await scene.store.intake.finish_import(1, rejected=4, refused=2)
    assert finished == await scene.store.intake.import_run(1)
    assert (finished.state, finished.finished_at_ms) == (ImportState.DONE, scene.clock.ms)
    assert (finished.rejected, finished.refused) == (4, 2)


async def test_a_failed_run_says_why_and_keeps_what_came(scene: Scene) -> None:
    await scene.imports(film("1", link("a")))
    failed = await scene.store.intake.finish_import(1, rejected=0, error="CM went away")
    assert (failed.state, failed.error) == (ImportState.FAILED, "CM went away")
    assert (await scene.store.catalogue.counts()).titles == 1


async def test_nothing_is_written_into_a_run_that_is_over(scene: Scene) -> None:
    await scene.imports()
    await scene.store.intake.finish_import(1, rejected=0)
    with pytest.raises(ConflictError, match="is done"):
        await scene.imports(film("1", link("a")))
    with pytest.raises(ConflictError):
        await scene.store.intake.finish_import(1, rejected=0)
    with pytest.raises(NotFoundError):
        await scene.store.intake.import_titles(99, [])
    with pytest.raises(NotFoundError):
        await scene.store.intake.import_run(99)
    assert (await scene.store.catalogue.counts()).titles == 0


async def test_a_run_that_was_cut_off_is_closed_by_the_next(scene: Scene) -> None:
    first = await scene.store.intake.begin_import()
    second = await scene.store.intake.begin_import()
    assert second.state is ImportState.RUNNING
    cut_off = await scene.store.intake.import_run(first.id)
    assert cut_off.state is ImportState.FAILED
    assert cut_off.error is not None
    assert "interrupted" in cut_off.error
