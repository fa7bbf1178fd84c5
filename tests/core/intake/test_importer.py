from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from tests.clocks import JumpingClock
from tests.core.intake.conftest import (
    DEEP,
    EMBEDDED,
    CmServer,
    MemoryIntake,
    Serve,
    cm_settings,
    film,
    jwt_refresh,
    links,
    series,
)

from telecine.core.catalogue import ImportCounts, ImportRun, ImportState, TitleKind
from telecine.core.emulator.cm.content import CmContent, Table
from telecine.core.emulator.faults import CmFailure
from telecine.core.errors import ConfigError, ConflictError, StoreError
from telecine.core.intake.importer import BATCH_TITLES_MAX, Importer
from telecine.core.quality import Quality

APART = {
    "titles": {"path": "/items/titles", "query": {"fields": "id,name,kind,year", "sort": "id"}},
    "episodes": {"path": "/items/episodes", "query": {"fields": "*", "sort": "id"}},
    "links": {"path": "/items/links", "query": {"fields": "*", "sort": "id"}},
}
APART_MAP = {
    "title": {"id": "id", "name": "name", "kind": "kind", "year": "year?|int"},
    "episode": {"id": "id", "season": "season", "episode": "episode", "name": "name?", "title": "title_id"},
    "link": {"id": "id", "url": "url", "quality": "quality?", "title": "title_id?", "episode": "episode_id?"},
}


async def test_everything_is_imported_with_its_plan(cm: CmServer, intake: MemoryIntake) -> None:
    run = await Importer(cm.settings(), intake, cm.clock).run()
    assert run.state is ImportState.DONE
    assert run.counts == ImportCounts(
        titles=3, titles_new=3, episodes=2, episodes_new=2, links=8, links_new=8, variants=8, variants_new=8
    )
    one, _, three = intake.titles.values()
    assert (one.kind, one.name, one.year) == (TitleKind.MOVIE, "Film 1", 2001)
    assert [variant.quality for variant in one.variants] == [Quality.FULL_HD, Quality.HD, Quality.AUTO]
    assert [link.declared_quality for link in one.links] == ["1080p", "720p", None]
    assert three.kind is TitleKind.SERIES
    assert [(episode.season, episode.episode) for episode in three.episodes] == [(1, 1), (1, 2)]


async def test_second_run_finds_nothing_new(cm: CmServer, intake: MemoryIntake) -> None:
    importer = Importer(cm.settings(), intake, cm.clock)
    await importer.run()
    before = dict(intake.titles)
    run = await importer.run()
    assert (run.counts.titles, run.counts.titles_new, run.counts.links_new) == (3, 0, 0)
    assert intake.titles == before


async def test_episodes_and_links_listed_apart_come_to_the_same(cm: CmServer, intake: MemoryIntake) -> None:
    await Importer(cm.settings(), intake, cm.clock).run()
    apart = MemoryIntake()
    run = await Importer(cm.settings(resources=APART, map=APART_MAP), apart, cm.clock).run()
    assert run.state is ImportState.DONE
    assert apart.titles == intake.titles


async def test_what_is_listed_apart_and_belongs_nowhere_is_told(
    cm: CmServer, intake: MemoryIntake, caplog: pytest.LogCaptureFixture
) -> None:
    cm.cm.catalogue.add(Table.LINKS, {"id": 900, "url": "https://cdn.example/900.mkv", "title_id": 77})
    cm.cm.catalogue.add(Table.LINKS, {"id": 901, "url": "https://cdn.example/901.mkv"})
    run = await Importer(cm.settings(resources=APART, map=APART_MAP), intake, cm.clock).run()
    assert run.state is ImportState.DONE
    assert "1 links of title 77" in caplog.text
    assert "link 901: title: belongs to no title" in caplog.text


async def test_long_nested_lists_come_whole_with_deep_limits(cm: CmServer, intake: MemoryIntake) -> None:
    cm.cm.catalogue.replace(CmContent(titles=(series(1, 150, "720p"), film(2, *links(9_000_000, *["1080p"] * 130)))))
    await Importer(cm.settings(), intake, cm.clock).run()
    assert (len(intake.titles["1"].episodes), len(intake.titles["2"].links)) == (150, 130)


async def test_list_cut_at_a_hundred_is_noticed(
    cm: CmServer, intake: MemoryIntake, caplog: pytest.LogCaptureFixture
) -> None:
    cm.cm.catalogue.replace(CmContent(titles=(series(1, 150, "720p"),)))
    query = {"fields": DEEP["fields"]}
    resources = {"titles": EMBEDDED | {"query": query}}
    await Importer(cm.settings(resources=resources), intake, cm.clock).run()
    assert len(intake.titles["1"].episodes) == 100
    assert "a list of exactly 100" in caplog.text


async def test_titles_are_written_in_batches_and_reported(cm: CmServer, intake: MemoryIntake) -> None:
    cm.cm.catalogue.replace(CmContent(titles=tuple(film(n, *links(n, "720p")) for n in range(1, 251))))
    heard: list[ImportRun] = []
    run = await Importer(cm.settings(), intake, cm.clock).run(heard.append)
    assert intake.batches == [BATCH_TITLES_MAX, BATCH_TITLES_MAX, 50]
    assert [each.counts.titles for each in heard] == [0, 100, 200, 250, 250]
    assert heard[-1] == run


async def test_titles_with_many_links_make_smaller_batches(cm: CmServer, intake: MemoryIntake) -> None:
    cm.cm.catalogue.replace(CmContent(titles=tuple(film(n, *links(n * 10_000, *["720p"] * 1500)) for n in range(1, 4))))
    await Importer(cm.settings(), intake, cm.clock).run()
    assert intake.batches == [2, 1]


async def test_tokens_that_expire_in_the_middle_do_not_show(cm: CmServer, intake: MemoryIntake) -> None:
    cm.cm.catalogue.replace(CmContent(titles=tuple(film(n) for n in range(1, 301))))

    async def pass_time() -> None:
        cm.clock.now_s += 10

    intake.before_batch = pass_time
    run = await Importer(cm.settings(), intake, cm.clock).run()
    assert (run.state, run.counts.titles) == (ImportState.DONE, 300)
    assert cm.count("/auth/login") == 1
    assert cm.count("/auth/refresh") >= 2


async def test_malformed_title_is_left_out_alone(
    serve: Serve, intake: MemoryIntake, clock: JumpingClock, caplog: pytest.LogCaptureFixture
) -> None:
    good = {"id": 1, "name": "Good"}
    bad = [
        {"id": 2},
        {"name": "no id"},
        {"id": 3, "name": "x" * 501},
        {"id": 4, "name": "Bad year", "year": "soon"},
        {"id": 5, "name": "Bad", "episodes": [{"id": 1, "season": -1, "episode": 1}]},
        "not even an object",
        None,
    ]

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"data": [*bad, good]})

    settings = cm_settings(await serve(answer), auth={}, paging={})
    run = await Importer(settings, intake, clock).run()
    assert (run.state, run.rejected, run.counts.titles) == (ImportState.DONE, len(bad), 1)
    assert "title 5" not in intake.titles
    assert "title 4: year: expected a whole number, got 'soon'" in caplog.text
    assert "title 2: name: `name` is missing" in caplog.text


async def test_title_that_the_catalogue_refuses_is_left_out_alone(cm: CmServer, intake: MemoryIntake) -> None:
    intake.refused = {"Film 2"}
    run = await Importer(cm.settings(), intake, cm.clock).run()
    assert (run.state, run.rejected) == (ImportState.DONE, 1)
    assert set(intake.titles) == {"1", "3"}


async def test_links_that_are_left_out_are_counted(serve: Serve, intake: MemoryIntake, clock: JumpingClock) -> None:
    links = [
        {"id": 1, "url": "https://cdn.example/1.mp4", "title": 1},
        {"id": 2, "url": "films/2.mp4", "title": 1},  # no URL
        {"id": 3, "url": "https://cdn.example/3.mp4", "title": 9},  # of no title that is listed
        {"id": 4, "url": "https://cdn.example/4.mp4", "title": 9},
        {"id": 5, "url": "https://cdn.example/5.mp4"},  # of nothing
    ]

    async def answer(request: web.Request) -> web.Response:
        items = links if request.path.endswith("links") else [{"id": 1, "name": "Heat"}]
        return web.json_response({"data": items})

    resources = {name: {"path": f"/items/{name}"} for name in ("titles", "links")}
    run = await Importer(cm_settings(await serve(answer), auth={}, paging={}, resources=resources), intake, clock).run()
    assert (run.state, run.rejected, run.refused) == (ImportState.DONE, 0, 4)
    assert [link.cm_id for link in intake.titles["1"].links] == ["1"]


async def test_last_of_two_titles_with_one_id_counts(serve: Serve, intake: MemoryIntake, clock: JumpingClock) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": 1, "name": "Old"}, {"id": "1", "name": "New"}]})

    run = await Importer(cm_settings(await serve(answer), auth={}, paging={}), intake, clock).run()
    assert (run.state, intake.titles["1"].name) == (ImportState.DONE, "New")


async def test_failure_in_the_middle_ends_the_run_and_keeps_what_came(cm: CmServer, intake: MemoryIntake) -> None:
    cm.cm.catalogue.replace(CmContent(titles=tuple(film(n) for n in range(1, 301))))
    cm.faults.plan(CmFailure(status=500, method="/items/titles", after=2, count=None))
    run = await Importer(cm.settings(), intake, cm.clock).run()
    assert (run.state, run.error) == (ImportState.FAILED, "CM answers GET /cm/items/titles with 500")
    assert len(intake.titles) == 200
    assert intake.runs[run.id] == run


async def test_titles_that_came_before_the_failure_are_written_though_they_fill_no_batch(
    cm: CmServer, intake: MemoryIntake
) -> None:
    cm.cm.catalogue.replace(CmContent(titles=tuple(film(n) for n in range(1, 301))))
    cm.faults.plan(CmFailure(status=500, method="/items/titles", after=2, count=None))
    run = await Importer(cm.settings(paging={"kind": "keyset", "size": 70}), intake, cm.clock).run()
    assert (run.state, run.counts.titles, len(intake.titles)) == (ImportState.FAILED, 140, 140)


async def test_failure_of_what_is_listed_apart_ends_the_run_too(cm: CmServer, intake: MemoryIntake) -> None:
    cm.faults.plan(CmFailure(status=403, method="/items/links", count=None))
    run = await Importer(cm.settings(resources=APART, map=APART_MAP), intake, cm.clock).run()
    assert run.state is ImportState.FAILED
    assert run.error is not None
    assert run.error.startswith("CM refuses GET /cm/items/links: 403")
    assert intake.titles == {}


async def test_refused_login_ends_the_run_without_naming_the_password(
    cm: CmServer, intake: MemoryIntake, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    auth = jwt_refresh(login={"path": "/auth/login", "body": {"email": "x", "password": "wrong-password"}})
    run = await Importer(cm.settings(auth=auth), intake, cm.clock).run()
    assert (run.state, run.error) == (
        ImportState.FAILED,
        "CM refuses POST /cm/auth/login: 401 INVALID_CREDENTIALS",
    )
    assert "wrong-password" not in caplog.text


@pytest.mark.parametrize("status", [429, 503])
async def test_busy_cm_is_waited_for_as_long_as_it_asks(cm: CmServer, intake: MemoryIntake, status: int) -> None:
    cm.faults.plan(CmFailure(status=status, retry_after_s=3, method="/items/titles", count=2))
    run = await Importer(cm.settings(), intake, cm.clock).run()
    assert run.state is ImportState.DONE
    assert len(cm.clock.slept_s) == 2
    assert all(3 <= slept_s <= 4 for slept_s in cm.clock.slept_s)


async def test_second_run_beside_the_first_is_refused(cm: CmServer, intake: MemoryIntake) -> None:
    importer = Importer(cm.settings(), intake, cm.clock)
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        inside.set()
        await go_on.wait()

    intake.before_batch = wait
    async with asyncio.TaskGroup() as group:
        first = group.create_task(importer.run())
        await asyncio.wait_for(inside.wait(), 10)
        with pytest.raises(ConflictError, match="an import is running"):
            await importer.run()
        go_on.set()
    assert first.result().state is ImportState.DONE
    assert len(intake.runs) == 1
    assert (await importer.run()).state is ImportState.DONE


async def test_cancelled_run_is_closed_as_failed(cm: CmServer, intake: MemoryIntake) -> None:
    inside = asyncio.Event()

    async def hang() -> None:
        inside.set()
        await asyncio.Event().wait()

    intake.before_batch = hang
    task = asyncio.create_task(Importer(cm.settings(), intake, cm.clock).run())
    await asyncio.wait_for(inside.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (intake.runs[1].state, intake.runs[1].error) == (ImportState.FAILED, "interrupted")


async def test_failure_of_the_catalogue_is_raised_and_noted(cm: CmServer, intake: MemoryIntake) -> None:
    async def fail() -> None:
        raise StoreError("the disk is full")

    intake.before_batch = fail
    with pytest.raises(StoreError):
        await Importer(cm.settings(), intake, cm.clock).run()
    assert (intake.runs[1].state, intake.runs[1].error) == (ImportState.FAILED, "the disk is full")


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"base_url": "http://["}, "cm.base_url"),
        ({"resources": {"films": EMBEDDED}}, "cm.resources.films: unknown"),
        ({"resources": {"links": EMBEDDED}}, "cm.resources.titles is missing"),
        ({"resources": {"titles": EMBEDDED | {"items": "data..x"}}}, "cm.resources.titles.items"),
        ({"map": {"title": {"id": "id"}}}, "cm.map.title.name is missing"),
        ({"map": {"film": {}}}, "cm.map.film: unknown"),
        ({"map": {"link": {"url": "url", "uri": "uri"}}}, "cm.map.link.uri: unknown"),
        ({"map": {"link": {"url": "a[x]"}}}, "cm.map.link.url"),
        ({"map": {"link": {"url": "url|date"}}}, "unknown conversion 'date'"),
        ({"paging": {"kind": "cursor"}}, "cm.paging.cursor_path is missing"),
        ({"auth": {"kind": "jwt_refresh"}}, "cm.auth.login is missing"),
        ({"auth": {"kind": "static_bearer"}}, "cm.auth.token is missing"),
        ({"auth": {"kind": "basic", "username": "u"}}, "cm.auth.password is missing"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_anything_starts(
    tables: dict[str, object], message: str, intake: MemoryIntake, clock: JumpingClock
) -> None:
    with pytest.raises(ConfigError) as caught:
        Importer(cm_settings(**({"base_url": "https://cm.example"} | tables)), intake, clock)  # type: ignore[arg-type]
    assert message in caught.value.message


async def test_unwritable_token_file_fails_the_run(cm: CmServer, intake: MemoryIntake, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = cm.settings(auth=jwt_refresh(token_file=tmp_path / "file" / "tokens.json"))
    run = await Importer(settings, intake, cm.clock).run()
    assert run.state is ImportState.FAILED
    assert run.error is not None
    assert run.error.startswith("cm.auth.token_file")
    assert msgspec.structs.asdict(run)["rejected"] == 0
