"""A database that was lost with its replica, made anew of what its channels hold: held against the lost one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.clocks import START_MS, HandClock
from tests.store.conftest import POLICY, Scene, episode, film, link, series

from telecine.core import codes
from telecine.core.captions import Caption, Origin, write
from telecine.core.errors import ConflictError, InputError
from telecine.core.inventory import FoundAccount, FoundChannel, FoundFile, FoundMessage, Inventory, open_inventory
from telecine.core.leases import VariantState
from telecine.core.quality import Quality
from telecine.core.rebuild import RebuildReport
from telecine.store import Store

EMBER = FoundAccount("cm-ember", 1776, premium=True)
RORA = FoundAccount("cm-rora", 78, premium=False)
FIRST, SECOND = FoundChannel(501, "CM_C000001"), FoundChannel(502, "CM_C000002")
GENERATION = 1_700_000_000
SENT_AT_S = START_MS // 1000
SHA256 = "ab" * 32

WHAT_STAYS = {
    "accounts": "SELECT name, telegram_user_id, premium FROM accounts",
    "channels": "SELECT c.id, c.telegram_id, c.messages, a.name FROM channels c JOIN accounts a ON a.id = c.account_id",
    "titles": "SELECT id, cm_id, kind, copies FROM titles WHERE id IN (SELECT title_id FROM telegram_objects o "
    "JOIN upload_variants v ON v.id = o.variant_id)",
    "episodes": "SELECT e.title_id, e.cm_id, e.season, e.episode, e.code_season, e.code_episode FROM episodes e "
    "WHERE e.id IN (SELECT v.episode_id FROM upload_variants v WHERE v.state = 'done')",
    "variants": "SELECT v.code, v.title_id, e.cm_id, v.quality, v.copy, v.channel_id, v.account_id IS NULL "
    "FROM upload_variants v LEFT JOIN episodes e ON e.id = v.episode_id WHERE v.state = 'done'",
    "objects": "SELECT v.code, o.part_no, o.part_count, o.channel_id, o.message_id, a.name, o.size_bytes, o.sha256, "
    "o.duration_s, o.width_px, o.height_px FROM telegram_objects o JOIN upload_variants v ON v.id = o.variant_id "
    "JOIN accounts a ON a.id = o.account_id WHERE o.retired_at_ms IS NULL",
}
WHAT_NAMES_BRING_BACK = {
    "titles": "SELECT id, cm_id, kind, name, name_folded, year, runtime_s, copies FROM titles",
    "episodes": "SELECT title_id, cm_id, season, episode, code_season, code_episode, name, runtime_s FROM episodes",
    "links": "SELECT t.cm_id, l.cm_id, l.url, l.quality, v.code FROM source_links l JOIN titles t ON t.id = l.title_id "
    "JOIN variant_sources s ON s.link_id = l.id JOIN upload_variants v ON v.id = s.variant_id",
}


def message(
    message_id: int,
    code: str,
    origin: Origin | None = None,
    *,
    channel: FoundChannel = FIRST,
    sha256: str | None = SHA256,
    file: FoundFile | None = FoundFile(1 << 20, "video/mp4", 60.0, 1280, 720),  # noqa: B008 - a constant
) -> FoundMessage:
    text = write(Caption(codes.parse(code), origin, sha256))
    return FoundMessage(channel.channel_id, message_id, SENT_AT_S + message_id, text, file)


class Ruin:
    """An empty database, and what is left in the channels."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        self.scene = scene
        self._folder = folder

    def inventory(
        self, *messages: FoundMessage, account: FoundAccount = EMBER, channels: Iterable[FoundChannel] = (FIRST,)
    ) -> Inventory:
        path = self._folder / f"{account.name}.jsonl"
        path.unlink(missing_ok=True)
        with open_inventory(path, account) as file:
            for channel in channels:
                file.add([channel, *(one for one in messages if one.channel_id == channel.channel_id)])
            file.end()
        return Inventory(path)

    async def rebuild(self, *inventories: Inventory) -> RebuildReport:
        return await self.scene.store.rebuild.load(inventories, generation=GENERATION)

    async def rebuild_of(self, *messages: FoundMessage) -> RebuildReport:
        return await self.rebuild(self.inventory(*messages))

    async def states(self) -> dict[str, VariantState]:
        return {one.code: one.state for one in await self.scene.store.catalogue.variants()}

    async def posts(self, code: str) -> list[tuple[int, int]]:
        """Where the parts of an upload are that a user would get now."""
        resolved = await self.scene.store.shelf.resolve(code, bot_id=1)
        return [(part.channel_id, part.message_id) for part in resolved.parts]


@pytest.fixture
def ruin(scene: Scene, tmp_path: Path) -> Ruin:
    return Ruin(scene, tmp_path)


def rows(scene: Scene, queries: dict[str, str]) -> dict[str, list[Any]]:
    return {name: sorted(scene.sql(query), key=repr) for name, query in queries.items()}


# ---- a whole catalogue ---------------------------------------------------------------------------

CATALOGUE = (
    film("never-uploaded", link("n1", Quality.UHD), name="Not Yet"),
    film("łódź", link("a1", Quality.FULL_HD), link("a2", Quality.HD), name="Łódź"),
    series("wire", episode("e1", 1, 1, link("b1")), episode("e2", 1, 2, link("b2")), name="The Wire"),
    film("long", link("c1", Quality.SD), name="Long One"),
)


@pytest.fixture
async def lost(tmp_path: Path, clock: HandClock) -> Scene:
    """A database in which nearly everything of the catalogue was uploaded, by two accounts; closed."""
    path = tmp_path / "lost" / "telecine.db"
    path.parent.mkdir()
    async with Store.open(path, clock=clock, policy=POLICY) as store:
        scene = Scene(store, clock, path)
        await scene.enrol("cm-ember")
        await scene.imports(*CATALOGUE)
        await store.operations.cancel("CM_M000001_2160P")
        for messages in ((11,), (12,), (13,), (14,), (21, 22, 23)):
            await scene.done("cm-ember", await scene.lease("cm-ember"), *messages)
        await scene.enrol("cm-rora")
        await store.operations.set_copies(2, 2)
        await store.sweeper.sweep()
        for copy in (31, 32):
            await scene.done("cm-rora", await scene.lease("cm-rora"), copy)
        return scene


def left_of(scene: Scene) -> dict[str, list[FoundMessage]]:
    """What workers have put into the channels of a database, by account."""
    found: dict[str, list[FoundMessage]] = {}
    for code, no, count, title, episode_id, channel, at, size, sha, duration, width, height, account in scene.sql(
        "SELECT v.code, o.part_no, o.part_count, t.cm_id, e.cm_id, c.telegram_id, o.message_id, o.size_bytes, "
        "o.sha256, o.duration_s, o.width_px, o.height_px, a.name FROM telegram_objects o "
        "JOIN upload_variants v ON v.id = o.variant_id JOIN titles t ON t.id = v.title_id "
        "LEFT JOIN episodes e ON e.id = v.episode_id JOIN channels c ON c.id = o.channel_id "
        "JOIN accounts a ON a.id = o.account_id ORDER BY c.id, o.message_id"
    ):
        part = codes.PartCode(codes.parse_variant(code), no, count)
        text = write(Caption(part, Origin(title, episode_id), sha))
        file = FoundFile(size, "video/mp4", duration, width, height)
        found.setdefault(account, []).append(FoundMessage(channel, at, SENT_AT_S, text, file))
    return found


async def rebuilt(ruin: Ruin, lost: Scene) -> RebuildReport:
    left = left_of(lost)
    accounts = {name: FoundAccount(name, user_id, bool(premium)) for name, user_id, premium in lost.sql(
        "SELECT name, telegram_user_id, premium FROM accounts")}  # fmt: skip
    channels = lost.sql("SELECT a.name, c.id, c.telegram_id FROM channels c JOIN accounts a ON a.id = c.account_id")
    return await ruin.rebuild(
        *(
            ruin.inventory(
                *left[name],
                account=accounts[name],
                channels=[FoundChannel(at, codes.channel_code(number)) for who, number, at in channels if who == name],
            )
            for name in left
        )
    )


async def test_what_was_uploaded_stands_row_by_row_as_it_stood(ruin: Ruin, lost: Scene) -> None:
    report = await rebuilt(ruin, lost)
    assert rows(ruin.scene, WHAT_STAYS) == rows(lost, WHAT_STAYS)
    assert (report.accounts, report.channels, report.messages) == (2, 2, 9)
    assert (report.titles, report.episodes, report.uploads, report.parts) == (3, 2, 7, 9)
    assert not (report.incomplete_count + report.doubles_count + report.unknown_count + report.undigested_parts)
    assert (report.unnamed_titles, report.unnamed_episodes, report.renumbered) == (0, 0, ())


async def test_until_an_import_a_title_is_called_what_its_code_says(ruin: Ruin, lost: Scene) -> None:
    await rebuilt(ruin, lost)
    assert (await ruin.scene.store.shelf.resolve("CM_M000002_1080P", bot_id=1)).title == "CM_M000002"
    (found,) = await ruin.scene.store.catalogue.search("cm s000003")
    assert (found.id, found.name) == (3, "CM_S000003")


async def test_an_import_brings_names_and_links_back_and_queues_nothing_that_is_done(ruin: Ruin, lost: Scene) -> None:
    await rebuilt(ruin, lost)
    before = rows(lost, WHAT_NAMES_BRING_BACK)
    counts = await ruin.scene.imports(*CATALOGUE[1:])
    assert (counts.titles_new, counts.episodes_new, counts.variants_new) == (0, 0, 0)
    after = rows(ruin.scene, WHAT_NAMES_BRING_BACK)
    for table in before:
        assert after[table] == [row for row in before[table] if "never-uploaded" not in row]
    assert set((await ruin.states()).values()) == {VariantState.DONE}
    assert rows(ruin.scene, WHAT_STAYS) == rows(lost, WHAT_STAYS)


async def test_what_was_never_uploaded_comes_back_as_new_under_a_number_of_its_own(ruin: Ruin, lost: Scene) -> None:
    await rebuilt(ruin, lost)
    counts = await ruin.scene.imports(*CATALOGUE)
    assert (counts.titles_new, counts.variants_new) == (1, 1)
    ready = [code for code, state in (await ruin.states()).items() if state is VariantState.READY]
    assert ready == ["CM_M000005_2160P"]


async def test_the_workers_of_before_go_on_in_their_old_channels(ruin: Ruin, lost: Scene) -> None:
    await rebuilt(ruin, lost)
    await ruin.scene.imports(*CATALOGUE)
    (channel,) = await ruin.scene.hello("cm-ember")
    assert (channel.id, channel.title, channel.telegram_id) == (1, "CM_C000001", 501)
    lease = await ruin.scene.lease("cm-ember")
    assert (lease.code, lease.channel) == ("CM_M000005_2160P", channel)
    assert (await ruin.scene.done("cm-ember", lease, 99)).state is VariantState.DONE


async def test_a_title_with_a_copy_wants_no_third_one(ruin: Ruin, lost: Scene) -> None:
    await rebuilt(ruin, lost)
    for worker in ("cm-ember", "cm-rora"):
        await ruin.scene.hello(worker)
    await ruin.scene.store.sweeper.sweep()
    assert set((await ruin.states()).values()) == {VariantState.DONE}


# ---- what is not whole ---------------------------------------------------------------------------


async def test_an_upload_that_lacks_a_part_waits_for_links_and_is_uploaded_anew(ruin: Ruin) -> None:
    origin = Origin("long")
    report = await ruin.rebuild_of(
        message(11, "CM_M000004_480P_P01OF03", origin), message(13, "CM_M000004_480P_P03OF03", origin)
    )
    assert report.incomplete == ("CM_M000004_480P",)
    assert [one.message_id for one in report.doubles] == [11, 13]
    assert await ruin.states() == {"CM_M000004_480P": VariantState.DEAD}
    await ruin.scene.imports(film("long", link("c1", Quality.SD)))
    assert await ruin.states() == {"CM_M000004_480P": VariantState.READY}
    await ruin.scene.hello("cm-ember")
    lease = await ruin.scene.lease("cm-ember")
    await ruin.scene.done("cm-ember", lease, 21, 22)
    assert await ruin.posts("CM_M000004_480P") == [(501, 21), (501, 22)]


async def test_of_two_messages_of_one_code_the_newer_counts(ruin: Ruin) -> None:
    report = await ruin.rebuild_of(message(11, "CM_M000004_480P"), message(15, "CM_M000004_480P"))
    assert await ruin.posts("CM_M000004_480P") == [(501, 15)]
    (double,) = report.doubles
    assert (double.channel, double.message_id, double.text) == ("CM_C000001", 11, "CM_M000004_480P")
    assert (report.uploads, report.parts, report.doubles_count) == (1, 1, 1)


async def test_what_holds_no_part_is_listed_and_left_alone(ruin: Ruin) -> None:
    report = await ruin.rebuild_of(
        FoundMessage(501, 2, SENT_AT_S, "Welcome!\nThis is a channel."),
        message(3, "CM_M000004_480P", file=None),
        message(4, "CM_M000004_480P", file=FoundFile(0, "video/mp4")),
        message(5, "CM_M000009_480P"),
    )
    assert [(one.message_id, one.text) for one in report.unknown] == [
        (2, "Welcome!"),
        (3, "CM_M000004_480P"),
        (4, "CM_M000004_480P"),
    ]
    assert set(await ruin.states()) == {"CM_M000009_480P"}


async def test_what_was_another_title_s_before_its_number_was_given_anew_is_not_delivered(ruin: Ruin) -> None:
    """An old backup was restored: number 4, which had been a series, went to a film then."""
    old, new = Origin("wire", "e1"), Origin("long")
    report = await ruin.rebuild_of(
        message(11, "CM_S000004_S01E01_480P", old),
        message(12, "CM_M000004_480P", Origin("short")),
        message(13, "CM_M000004_720P", Origin("short")),
        message(14, "CM_M000004_480P", new),
    )
    assert await ruin.states() == {"CM_M000004_480P": VariantState.DONE}
    assert await ruin.posts("CM_M000004_480P") == [(501, 14)]
    assert ruin.scene.sql("SELECT cm_id, kind FROM titles") == [("long", "movie")]
    assert report.unknown_count == 3
    assert {(one.channel, one.message_id, one.text) for one in report.unknown} == {
        ("CM_C000001", 11, "CM_S000004_S01E01_480P"),
        ("CM_C000001", 12, "CM_M000004_480P"),
        ("CM_C000001", 13, "CM_M000004_720P"),
    }


async def test_what_was_another_episode_s_is_not_delivered(ruin: Ruin) -> None:
    report = await ruin.rebuild_of(
        message(11, "CM_S000007_S01E02_720P", Origin("wire", "e9")),
        message(12, "CM_S000007_S01E03_720P", Origin("wire", "e3")),
        message(13, "CM_S000007_S01E02_480P", Origin("wire", "e2")),
    )
    assert set(await ruin.states()) == {"CM_S000007_S01E02_480P", "CM_S000007_S01E03_720P"}
    assert [one.message_id for one in report.unknown] == [11]


async def test_a_number_that_nobody_gave_leaves_numbers_for_new_titles_and_channels(ruin: Ruin) -> None:
    forged = FoundChannel(900, "CM_C999999999999")
    report = await ruin.rebuild(
        ruin.inventory(
            message(11, "CM_M000004_480P"),
            message(12, "CM_M999999999999_480P"),
            message(13, "CM_M000009_480P", channel=forged),
            channels=(FIRST, forged),
        )
    )
    assert report.renumbered == ("CM_C999999999999",)
    assert [one.message_id for one in report.unknown] == [12]
    assert await ruin.posts("CM_M000009_480P") == [(900, 13)]
    await ruin.scene.imports(film("new", link("n1", Quality.SD)))
    assert set(await ruin.states()) == {"CM_M000004_480P", "CM_M000009_480P", "CM_M000010_480P"}
    assert (await ruin.scene.store.operations.plan_channel("cm-ember")).title == "CM_C000003"


async def test_a_copy_is_delivered_where_its_original_is_lost_and_the_original_is_made_again(ruin: Ruin) -> None:
    report = await ruin.rebuild_of(message(11, "CM_M000004_480P_C02", Origin("long")))
    assert report.incomplete == ("CM_M000004_480P",)
    assert await ruin.posts("CM_M000004_480P") == [(501, 11)]
    await ruin.scene.imports(film("long", link("c1", Quality.SD)))
    assert await ruin.states() == {"CM_M000004_480P": VariantState.READY, "CM_M000004_480P_C02": VariantState.DONE}


async def test_captions_of_old_give_what_they_say_and_the_report_counts_what_they_do_not(ruin: Ruin) -> None:
    report = await ruin.rebuild_of(
        message(11, "CM_M000004_480P", sha256=None), message(12, "CM_S000007_S01E02_720P", sha256=None)
    )
    assert (report.unnamed_titles, report.unnamed_episodes, report.undigested_parts) == (2, 1, 2)
    assert await ruin.posts("CM_S000007_S01E02_720P") == [(501, 12)]
    counts = await ruin.scene.imports(film("long", link("c1", Quality.SD)))
    assert counts.titles_new == 1


async def test_one_caption_that_names_a_title_names_it_for_all(ruin: Ruin) -> None:
    report = await ruin.rebuild_of(
        message(11, "CM_S000007_S01E02_720P"),
        message(12, "CM_S000007_S01E02_480P", Origin("wire", "e2")),
        message(13, "CM_S000007_S01E03_480P", Origin("wire")),
    )
    assert (report.unnamed_titles, report.unnamed_episodes) == (0, 1)
    assert ruin.scene.sql("SELECT cm_id FROM episodes ORDER BY episode") == [("e2",), ("unknown:1x3",)]


async def test_a_name_that_two_titles_bear_is_the_one_s_of_whom_it_was_said_last(ruin: Ruin) -> None:
    report = await ruin.rebuild_of(
        message(11, "CM_M000004_480P", Origin("long")), message(12, "CM_M000009_480P", Origin("long"))
    )
    assert report.unnamed_titles == 1
    assert ruin.scene.sql("SELECT id, cm_id FROM titles ORDER BY id") == [(4, "unknown:4"), (9, "long")]


async def test_what_an_earlier_rebuild_put_in_place_of_a_name_is_none(ruin: Ruin) -> None:
    report = await ruin.rebuild_of(
        message(11, "CM_S000007_S01E02_720P", Origin("unknown:7", "unknown:1x2")),
        message(12, "CM_S000008_S01E02_720P", Origin("wire", "unknown:1x2")),
    )
    assert (report.unnamed_titles, report.unnamed_episodes) == (1, 2)


async def test_a_film_that_became_a_series_is_a_series_and_keeps_its_file(ruin: Ruin) -> None:
    await ruin.rebuild_of(message(11, "CM_M000004_480P"), message(12, "CM_S000004_S01E01_480P"))
    assert ruin.scene.sql("SELECT kind, name FROM titles") == [("series", "CM_S000004")]
    assert set((await ruin.states()).values()) == {VariantState.DONE}


async def test_of_two_channels_with_one_title_the_newer_gets_another_number(ruin: Ruin) -> None:
    twin = FoundChannel(900, "CM_C000001")
    report = await ruin.rebuild(
        ruin.inventory(message(11, "CM_M000004_480P"), message(11, "CM_M000009_480P", channel=twin), message(
            12, "CM_M000010_480P", channel=SECOND), channels=(twin, FIRST, SECOND))
    )  # fmt: skip
    assert report.renumbered == ("CM_C000001",)
    assert ruin.scene.sql("SELECT id, telegram_id, messages FROM channels ORDER BY id") == [
        (1, 501, 1),
        (2, 502, 1),
        (3, 900, 1),
    ]
    assert await ruin.posts("CM_M000009_480P") == [(900, 11)]


# ---- what is refused -----------------------------------------------------------------------------


async def test_a_database_in_use_is_left_alone(ruin: Ruin) -> None:
    await ruin.scene.imports(film("long", link("c1", Quality.SD)))
    with pytest.raises(ConflictError, match="in use"):
        await ruin.rebuild_of(message(11, "CM_M000004_480P"))
    assert set(await ruin.states()) == {"CM_M000001_480P"}


async def test_a_database_that_a_worker_has_said_hello_to_is_in_use(ruin: Ruin) -> None:
    await ruin.scene.hello("cm-ember")
    with pytest.raises(ConflictError, match="in use"):
        await ruin.scene.store.rebuild.require_empty()


async def test_nothing_is_kept_of_an_inventory_that_was_cut_off(ruin: Ruin, tmp_path: Path) -> None:
    whole = ruin.inventory(message(11, "CM_M000004_480P"))
    with open_inventory(tmp_path / "cut.jsonl", RORA) as file:
        file.add([SECOND, message(12, "CM_M000009_480P", channel=SECOND)])
    with pytest.raises(InputError, match="not finished"):
        await ruin.rebuild(whole, Inventory(tmp_path / "cut.jsonl"))
    assert await ruin.states() == {}
    assert (await ruin.rebuild(whole)).uploads == 1


@pytest.mark.parametrize(
    "other", [FoundAccount("other", 1776, premium=True), FoundAccount("cm-ember", 5, premium=True)]
)
async def test_one_account_comes_once(ruin: Ruin, tmp_path: Path, other: FoundAccount) -> None:
    first = ruin.inventory()
    with open_inventory(tmp_path / "second.jsonl", other) as file:
        file.end()
    with pytest.raises(InputError, match="one account"):
        await ruin.rebuild(first, Inventory(tmp_path / "second.jsonl"))


async def test_one_channel_is_of_one_account(ruin: Ruin) -> None:
    first = ruin.inventory(message(11, "CM_M000004_480P"))
    second = ruin.inventory(message(11, "CM_M000004_480P"), account=RORA)
    with pytest.raises(InputError, match="CM_C000001"):
        await ruin.rebuild(first, second)


async def test_an_account_without_channels_is_an_index_of_nothing(ruin: Ruin) -> None:
    report = await ruin.rebuild(ruin.inventory(channels=()))
    assert (report.accounts, report.channels, report.titles) == (1, 0, 0)
