"""Brings a database to the schema that the code knows: `migrations/NNNN_name.sql`, in order, forward only.

Each file is one transaction. `PRAGMA user_version` holds the number of the last one; `meta` keeps the checksum of
each, so that a file that was changed after it ran is noticed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any

import msgspec
from pysqlite3 import dbapi2

from telecine.core.errors import StoreError
from telecine.core.folding import fold

_FILE_NAME = re.compile(r"(?P<number>\d{4})_[a-z0-9_]+\.sql")

_STATE = """
SELECT user_version, (SELECT min(name) FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'sqlite_*'
                      AND name NOT GLOB '_litestream_*')
FROM pragma_user_version
"""  # one look: another process may be migrating


class Migration(msgspec.Struct, frozen=True):
    """One step of the schema."""

    number: int
    name: str
    script: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.script.encode()).hexdigest()


def load() -> tuple[Migration, ...]:
    """The package's migrations in order. Raises StoreError for a gap or a file name that has no number."""
    folder = files("telecine.store").joinpath("migrations")
    found: list[Migration] = []
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        match = _FILE_NAME.fullmatch(file.name)
        if match is None or int(match["number"]) != len(found) + 1:
            raise StoreError(f"migrations/{file.name} does not follow number {len(found)}")
        found.append(Migration(int(match["number"]), file.name.removesuffix(".sql"), file.read_text(encoding="utf-8")))
    return tuple(found)


def is_new(raw: Any) -> bool:
    """Whether no migration has run yet. Raises StoreError for a database of another program."""
    version, stranger = raw.execute(_STATE).fetchone()
    if version == 0 and stranger is not None:
        raise StoreError(f"the database is another program's: it has a table {stranger}")
    return bool(version == 0)


def is_current(raw: Any, migrations: Sequence[Migration]) -> bool:
    """Whether the schema is that of the last migration: `migrate` would find nothing to apply."""
    [version] = raw.execute("PRAGMA user_version").fetchone()
    return bool(version == len(migrations))


def migrate(raw: Any, migrations: Sequence[Migration], now_ms: int) -> int:
    """Apply what is missing; how many that were. Runs in the connection's thread.

    Raises StoreError for a database of a later version, or one whose migrations are not those given. Foreign keys are
    not enforced meanwhile, so that a table can be made anew (https://sqlite.org/lang_altertable.html, section 7), but
    checked before each commit. Scripts may call `fold`, which is `core.folding`.
    """
    raw.create_function("fold", 1, fold, deterministic=True)
    [enforced] = raw.execute("PRAGMA foreign_keys").fetchone()
    raw.execute("PRAGMA foreign_keys = OFF")
    try:
        applied = 0
        while _next_step(raw, migrations, now_ms):
            applied += 1
        return applied
    finally:
        raw.execute(f"PRAGMA foreign_keys = {enforced}")


def _next_step(raw: Any, migrations: Sequence[Migration], now_ms: int) -> bool:
    """Apply one migration under the write lock, so that two processes that start at once do it once."""
    raw.execute("BEGIN IMMEDIATE")
    try:
        version: int = raw.execute("PRAGMA user_version").fetchone()[0]
        _check_history(raw, migrations, version)
        if version < len(migrations):
            _apply(raw, migrations[version], now_ms)
        raw.execute("COMMIT")
    except BaseException:
        if raw.in_transaction:
            raw.execute("ROLLBACK")
        raise
    return version < len(migrations)


def _apply(raw: Any, migration: Migration, now_ms: int) -> None:
    try:
        for statement in _statements(migration.script):
            raw.execute(statement)
        dangling = raw.execute("PRAGMA foreign_key_check").fetchone()
        if dangling is not None:
            raise StoreError(f"the migration {migration.name} leaves a row of {dangling[0]} that refers to nothing")
        raw.execute(
            "INSERT INTO meta (name, value, set_at_ms) VALUES (?, ?, ?)",
            (f"migration.{migration.name}", migration.checksum, now_ms),
        )
        raw.execute(f"PRAGMA user_version = {migration.number}")
    except dbapi2.Error as error:
        raise StoreError(f"the migration {migration.name} failed and was undone: {error}") from error


def _check_history(raw: Any, migrations: Sequence[Migration], version: int) -> None:
    if version > len(migrations):
        raise StoreError(
            f"the database has schema {version}, this program knows {len(migrations)}",
            hint="use the version of Telecine that last ran on this database, or a later one",
        )
    for migration in migrations[:version]:
        row = raw.execute("SELECT value FROM meta WHERE name = ?", (f"migration.{migration.name}",)).fetchone()
        if row is None or row[0] != migration.checksum:
            raise StoreError(
                f"the database was not made by this program's migration {migration.name}",
                hint="a migration that has run must not be changed; add another",
            )


def _statements(script: str) -> Iterator[str]:
    """Split a script at the ends of its statements; a trigger's inner semicolons are not ends."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if dbapi2.complete_statement(statement):
            yield statement
            statement = ""
    if any(line.strip() and not line.lstrip().startswith("--") for line in statement.splitlines()):
        raise StoreError(f"a migration ends within a statement: {statement.strip()[:60]!r}")
