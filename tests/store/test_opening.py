from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pysqlite3 import dbapi2

from telecine.core.errors import StoreError
from telecine.store import Store, schema, sql
from telecine.store.connection import WAL_BYTES_MAX, open_reader, open_writer, require_sqlite
from telecine.store.schema import Migration, migrate

if TYPE_CHECKING:
    from tests.clocks import HandClock

META = "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL, set_at_ms INTEGER NOT NULL) STRICT;"
FIRST = Migration(1, "0001_first", META)
SECOND = Migration(2, "0002_second", "CREATE TABLE a (x);\nCREATE TABLE b (y);")


def write(path: Path, content: bytes) -> bytes:
    path.write_bytes(content)
    return content


def read(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


# ---- connections ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [(3, 7, 0), (3, 40, 1), (3, 51, 2)])
def test_a_sqlite_that_may_lose_data_is_refused(version: tuple[int, ...]) -> None:
    with pytest.raises(StoreError, match=r"3\.51\.3 or later") as refusal:
        require_sqlite(version)
    assert refusal.value.hint is not None


@pytest.mark.parametrize("version", [(3, 51, 3), (3, 52, 0), (4, 0, 0)])
def test_a_mended_sqlite_is_accepted(version: tuple[int, ...]) -> None:
    require_sqlite(version)
    require_sqlite()


@pytest.mark.parametrize(("replicated", "autocheckpoint", "wal_bytes"), [(False, 1000, WAL_BYTES_MAX), (True, 0, -1)])
async def test_the_writer_is_set_up_to_lose_nothing(
    path: Path, replicated: bool, autocheckpoint: int, wal_bytes: int
) -> None:
    connection = await open_writer(path, replicated=replicated)

    def pragmas(raw: Any) -> dict[str, Any]:
        names = (
            "journal_mode",
            "synchronous",
            "foreign_keys",
            "busy_timeout",
            "wal_autocheckpoint",
            "journal_size_limit",
        )
        return {name: raw.execute(f"PRAGMA {name}").fetchone()[0] for name in names}

    found = await connection.run(pragmas)
    await connection.close()
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 5000,
        "wal_autocheckpoint": autocheckpoint,
        "journal_size_limit": wal_bytes,
    }


async def test_a_wal_that_grew_while_a_reader_was_stuck_shrinks_when_it_is_gone(
    path: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telecine.store.connection.WAL_BYTES_MAX", 65536)
    async with Store.open(path, clock=clock) as store:
        stuck = dbapi2.connect(str(path), isolation_level=None)
        stuck.execute("BEGIN")
        stuck.execute("SELECT count(*) FROM users").fetchall()
        for user_id in range(5):
            await store.shelf.note_user(user_id, "x" * 1_000_000)
        assert store.files.measure().wal_bytes > 5_000_000
        stuck.close()
        for user_id in range(2):  # the first is followed by a checkpoint, the second begins the WAL anew
            await store.shelf.note_user(user_id, "en")
        assert store.files.measure().wal_bytes <= 65536


async def test_a_reader_makes_no_database(path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        await open_reader(path)
    assert read(path) is None


@pytest.mark.parametrize("name", ["odd name?#%20.db", "ümläut.db"])
async def test_a_path_may_have_any_name(tmp_path: Path, clock: HandClock, name: str) -> None:
    async with Store.open(tmp_path / name, clock=clock):
        pass
    assert (tmp_path / name).stat().st_size > 0


async def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path, clock: HandClock) -> None:
    before = write(path, b"no database at all" * 100)
    with pytest.raises(StoreError, match=r"telecine\.db: cannot be opened"):
        async with Store.open(path, clock=clock):
            pass
    assert read(path) == before
    assert [file.name for file in path.parent.iterdir()] == [path.name], "nor is anything left beside it"


async def test_another_program_s_database_is_refused_and_left_alone(path: Path, clock: HandClock) -> None:
    raw = dbapi2.connect(str(path))
    raw.execute("CREATE TABLE sessions (dc_id INTEGER)")
    raw.close()
    before, threads = read(path), set(threading.enumerate())
    with pytest.raises(StoreError, match="another program's: it has a table sessions"):
        async with Store.open(path, clock=clock):
            pass
    assert read(path) == before, "its journal is of the mode that it was of"
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert not threads_left(threads)


async def test_what_litestream_adds_to_an_empty_database_is_no_other_program_s(path: Path, clock: HandClock) -> None:
    raw = dbapi2.connect(str(path))
    raw.execute("CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)")
    raw.close()
    async with Store.open(path, clock=clock) as store:
        assert store.epoch == 1


def threads_left(before: set[threading.Thread]) -> set[threading.Thread]:
    """The threads that have come since and do not end."""
    since = set(threading.enumerate()) - before
    for thread in since:
        thread.join(5)
    return {thread for thread in since if thread.is_alive()}


async def test_nothing_is_left_running(path: Path, clock: HandClock) -> None:
    before = set(threading.enumerate())
    async with Store.open(path, clock=clock):
        assert set(threading.enumerate()) - before, "each connection has a thread"
    assert threads_left(before) == set()


async def test_nothing_is_left_running_of_a_store_that_did_not_open(path: Path, clock: HandClock) -> None:
    before = set(threading.enumerate())
    write(path, b"x" * 5000)
    with pytest.raises(StoreError):
        async with Store.open(path, clock=clock):
            pass
    raw = dbapi2.connect(str(path.with_name("later.db")))
    raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(StoreError, match="schema 99"):
        async with Store.open(path.with_name("later.db"), clock=clock):
            pass
    assert threads_left(before) == set()


async def test_nothing_is_left_running_of_a_connection_that_is_given_up_while_it_is_made(path: Path) -> None:
    making, given_up = asyncio.Event(), threading.Event()
    loop, before = asyncio.get_running_loop(), set(threading.enumerate())

    def check(_: Any) -> None:
        loop.call_soon_threadsafe(making.set)
        given_up.wait(timeout=5)

    opening = asyncio.create_task(open_writer(path, replicated=False, check=check))
    await making.wait()
    opening.cancel()
    loop.call_soon(given_up.set)
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert threads_left(before) == set()


async def test_everything_is_there_after_closing_and_opening(path: Path, clock: HandClock) -> None:
    async with Store.open(path, clock=clock) as store:
        await store.shelf.note_user(7, "en")
        assert store.epoch == 1
    async with Store.open(path, clock=clock) as store:
        await store.shelf.note_user(8, "en")
    raw = dbapi2.connect(str(path))
    assert raw.execute("SELECT id FROM users ORDER BY id").fetchall() == [(7,), (8,)]
    raw.close()


# ---- migrations ----------------------------------------------------------------------------------


@pytest.fixture
def raw() -> Iterator[Any]:
    connection = dbapi2.connect(":memory:", isolation_level=None)
    yield connection
    connection.close()


@pytest.fixture
def migrated(raw: Any) -> Any:
    migrate(raw, schema.load(), 5)
    return raw


def tables(raw: Any) -> set[str]:
    return {name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_migrations_run_once_and_in_order(raw: Any) -> None:
    assert migrate(raw, [FIRST], 5) == 1
    assert migrate(raw, [FIRST, SECOND], 6) == 1
    assert migrate(raw, [FIRST, SECOND], 7) == 0
    assert tables(raw) == {"meta", "a", "b"}
    assert raw.execute("SELECT name, set_at_ms FROM meta").fetchall() == [
        ("migration.0001_first", 5),
        ("migration.0002_second", 6),
    ]
    assert raw.execute("PRAGMA user_version").fetchone() == (2,)


def test_the_host_of_files_gets_its_name(raw: Any) -> None:
    migrate(raw, schema.load()[:7], 5)
    raw.execute("INSERT INTO hosts (name, parked_until_ms) VALUES ('', 9), ('files.example', 0)")
    migrate(raw, schema.load(), 6)
    hosts = raw.execute("SELECT name, parked_until_ms FROM hosts ORDER BY id").fetchall()
    assert [tuple(host) for host in hosts] == [("file:", 9), ("files.example", 0)]


def test_a_host_of_files_that_has_its_name_keeps_it(raw: Any) -> None:
    migrate(raw, schema.load()[:7], 5)
    raw.execute("INSERT INTO hosts (name) VALUES (''), ('file:')")
    migrate(raw, schema.load(), 6)
    assert [name for (name,) in raw.execute("SELECT name FROM hosts ORDER BY id")] == ["", "file:"]


def test_a_migration_that_fails_is_undone_as_a_whole(raw: Any) -> None:
    broken = Migration(2, "0002_broken", "CREATE TABLE a (x);\nCREATE TABLE a (x);")
    with pytest.raises(StoreError, match="0002_broken failed"):
        migrate(raw, [FIRST, broken], 5)
    assert tables(raw) == {"meta"}
    assert raw.execute("PRAGMA user_version").fetchone() == (1,)
    assert migrate(raw, [FIRST, SECOND], 6) == 1


def test_a_later_database_is_refused(raw: Any) -> None:
    migrate(raw, [FIRST, SECOND], 5)
    with pytest.raises(StoreError, match="schema 2, this program knows 1"):
        migrate(raw, [FIRST], 6)


def test_a_migration_that_was_changed_after_it_ran_is_noticed(raw: Any) -> None:
    migrate(raw, [FIRST], 5)
    with pytest.raises(StoreError, match="0001_first"):
        migrate(raw, [Migration(1, "0001_first", META + "\n-- changed")], 6)


def test_a_foreign_database_is_refused(raw: Any) -> None:
    raw.execute(META)
    raw.execute("PRAGMA user_version = 1")
    with pytest.raises(StoreError, match="not made by"):
        migrate(raw, [FIRST], 6)


def test_a_migration_that_breaks_off_is_refused(raw: Any) -> None:
    with pytest.raises(StoreError, match="within a statement"):
        migrate(raw, [Migration(1, "0001_first", META + "\nCREATE TABLE a (")], 5)
    assert tables(raw) == set()


def test_a_trigger_is_one_statement(raw: Any) -> None:
    trigger = "CREATE TRIGGER t AFTER INSERT ON a BEGIN\n  DELETE FROM b;\n  DELETE FROM a;\nEND;\n-- the end\n"
    migrate(raw, [FIRST, SECOND, Migration(3, "0003_trigger", trigger)], 5)
    assert raw.execute("SELECT count(*) FROM sqlite_master WHERE type = 'trigger'").fetchone() == (1,)


def test_the_packages_migrations_follow_each_other(raw: Any) -> None:
    known = schema.load()
    assert [migration.number for migration in known] == list(range(1, len(known) + 1))
    assert migrate(raw, known, 5) == len(known)
    strict = raw.execute("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT strict")
    assert {name for (name,) in strict if not name.startswith("sqlite_")} == set(), "every table is STRICT"


# ---- named queries -------------------------------------------------------------------------------


def test_queries_are_told_apart_by_their_names() -> None:
    text = "-- A file.\n\n-- name: one\n-- Why.\nSELECT 1;\n\n-- name: two\nSELECT\n  -- within\n  2;\n"
    assert sql.parse(text, source="x.sql") == {"one": "SELECT 1", "two": "SELECT\n  2"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("SELECT 1;", "before the first"),
        ("-- name: one\n-- nothing", "is empty"),
        ("-- name: one\nSELECT 1;\n-- name: one\nSELECT 2;", "two queries are named one"),
    ],
)
def test_a_file_of_queries_must_be_one(text: str, complaint: str) -> None:
    with pytest.raises(StoreError, match=complaint):
        sql.parse(text, source="x.sql")


def explain(raw: Any, kind: str, query: str) -> list[Any]:
    parameters = dict.fromkeys(re.findall(r":(\w+)", query), 1)
    rows: list[Any] = raw.execute(f"{kind} {query}", parameters).fetchall()
    return rows


@pytest.mark.parametrize("name", sorted(sql.QUERIES))
def test_every_query_fits_the_schema(migrated: Any, name: str) -> None:
    if name != "make_found_parts" and "found_part" in sql.QUERIES[name]:  # of a rebuild, which makes the table itself
        migrated.execute(sql.QUERIES["make_found_parts"])
    explain(migrated, "EXPLAIN", sql.QUERIES[name])


def test_every_query_is_used_and_every_name_exists() -> None:
    folder = Path(sql.__file__).parent
    code = "\n".join(file.read_text() for file in folder.glob("*.py"))
    unused = {name for name in sql.QUERIES if f'"{name}"' not in code}
    assert unused == set()


HOT = (
    "claimers",
    "leases_of_workers",
    "lane_heads",
    "leased_variants",
    "claim_variant",
    "prolong_lease",
    "sources_to_try",
    "beat_lease",
    "leases_to_settle",
    "use_source",
    "fail_source",
    "links_left",
    "relane_variant",
    "hosts_with_demanding",
    "lane_slice",
    "demanding_lane_slice",
    "has_open_link",
    "host_of_link",
    "calm_host",
    "message_holder",
    "end_lease",
    "outcomes_of_lease",
    "due_variants",
    "next_due",
    "leases_of_worker",
    "targets_by_code",
    "parts_to_send",
    "variants_page_in_state",
    "known_links",
    "known_variants",
    "place_of_variant",
    "variants_of_place",
    "link_to_correct",
    "correct_link",
    "objects_with_content",
)


@pytest.mark.parametrize("name", HOT)
def test_a_hot_query_never_reads_a_whole_table(migrated: Any, name: str) -> None:
    steps = [row[3] for row in explain(migrated, "EXPLAIN QUERY PLAN", sql.QUERIES[name])]
    tables_read = [step for step in steps if re.match(r"SCAN (?!\(|CONSTANT)", step) and "INDEX" not in step]
    assert tables_read == [], steps


def test_the_other_sqlite_is_not_loaded_on_the_file() -> None:
    """aiosqlite imports the standard library's module; only pysqlite3 may open the database with it."""
    assert sqlite3.sqlite_version_info != dbapi2.sqlite_version_info or dbapi2.sqlite_version_info >= (3, 51, 3)
    sources = [file.read_text() for file in Path(sql.__file__).parent.glob("*.py")]
    assert not any("import sqlite3" in source or "aiosqlite.connect" in source for source in sources)


async def test_nobody_else_can_read_a_database_or_what_stands_beside_it(path: Path, clock: HandClock) -> None:
    async with Store.open(path, clock=clock) as store:
        await store.intake.begin_import()
        modes = {file.name: file.stat().st_mode & 0o077 for file in path.parent.iterdir() if ".epoch" not in file.name}
        assert {name: mode for name, mode in modes.items() if mode} == {}
        assert len(modes) >= 3
