"""`telecine token`: beside the coordinator, on its database."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import pytest
from pysqlite3 import dbapi2
from tests.cmd.program import telecine

from telecine.cmd.alone import alone_with, in_use
from telecine.store import schema
from telecine.store.epoch import write_epoch
from telecine.store.schema import Migration


def test_tokens_are_issued_listed_and_revoked(tmp_path: Path) -> None:
    (tmp_path / "telecine.toml").write_text(f'[coordinator]\nsecret = "{"s" * 40}"\n')
    issued = telecine("token", "issue", "--worker", "cm-ember", cwd=tmp_path)
    assert issued.status == 0, issued.err
    assert issued.out.count(".") == 2

    listed = telecine("token", "list", cwd=tmp_path).out
    jti, scope, name, *_ = listed.splitlines()[1].split()
    assert (scope, name) == ("worker", "cm-ember")
    assert issued.out.strip() not in listed

    assert "revoked" in telecine("token", "revoke", jti, cwd=tmp_path).out
    assert "revoked" in telecine("token", "list", cwd=tmp_path).out
    assert telecine("token", "revoke", "nothing", cwd=tmp_path).status == 1
    assert telecine("token", "issue", cwd=tmp_path).status == 2


@pytest.mark.parametrize("arguments", [("list",), ("list", "--json"), ("revoke", "4c486e272fa217d3")])
def test_no_database_is_made_to_look_for_tokens_in(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "telecine.toml").write_text(f'[coordinator]\nsecret = "{"s" * 32}"\ndatabase = "telecin.db"\n')
    refused = telecine("token", *arguments, cwd=tmp_path)
    assert (refused.status, refused.out) == (2, "")
    place = tmp_path / "telecin.db"
    assert f"telecine.toml: coordinator.database: {place}: No such file or directory" in refused.err
    assert [file.name for file in tmp_path.iterdir()] == ["telecine.toml"]


@pytest.mark.parametrize(
    ("database", "why"),
    [
        ("nowhere/telecine.db", "No such file or directory"),
        ("telecine.toml/telecine.db", "Not a directory"),
        (".", "is no regular file"),
        ("/dev/null", "is no regular file"),
        ("n" * 300, "File name too long"),
    ],
)
def test_a_database_that_cannot_be_is_a_setting_to_mend(tmp_path: Path, database: str, why: str) -> None:
    (tmp_path / "telecine.toml").write_text(f'[coordinator]\nsecret = "{"s" * 32}"\ndatabase = "{database}"\n')
    for arguments in (("list",), ("issue", "--operator", "me")):
        refused = telecine("token", *arguments, cwd=tmp_path)
        assert (refused.status, refused.out) == (2, "")
        assert refused.err.splitlines()[0].startswith("telecine: telecine.toml: coordinator.database: /")
        assert refused.err.splitlines()[0].endswith(f": {why}")
    assert [file.name for file in tmp_path.iterdir()] == ["telecine.toml"]


@pytest.mark.parametrize("options", [("--worker", ""), ("--worker", "CM Ember"), ("--operator", "")])
def test_a_token_is_for_somebody_who_can_be_there(tmp_path: Path, options: tuple[str, str]) -> None:
    (tmp_path / "telecine.toml").write_text(f'[coordinator]\nsecret = "{"s" * 32}"\n')
    refused = telecine("token", "issue", *options, cwd=tmp_path)
    assert (refused.status, refused.out) == (2, "")
    assert not (tmp_path / "telecine.db").exists()


def test_json_tells_of_tokens_as_the_api_does(tmp_path: Path) -> None:
    (tmp_path / "telecine.toml").write_text(f'[coordinator]\nsecret = "{"s" * 40}"\n')
    issued = telecine("token", "issue", "--operator", "ada", "--days", "30", "--json", cwd=tmp_path).document
    assert issued["token"].count(".") == 2
    record = issued["record"]
    assert (record["subject"], record["scope"], record["revoked"]) == ("ada", "operator", False)
    assert 29 * 86_400 < record["expires_s"] <= 30 * 86_400
    revoked = telecine("token", "revoke", record["jti"], "--json", cwd=tmp_path).document
    assert (revoked["jti"], revoked["revoked"]) == (record["jti"], True)
    listed = telecine("token", "list", "--json", cwd=tmp_path).document
    assert [(token["jti"], token["revoked"]) for token in listed["tokens"]] == [(record["jti"], True)]


def test_tokens_are_issued_beside_a_coordinator_of_the_same_version(tmp_path: Path) -> None:
    (tmp_path / "telecine.toml").write_text(f'[coordinator]\nsecret = "{"s" * 40}"\n')
    assert telecine("token", "issue", "--operator", "me", cwd=tmp_path).status == 0
    with alone_with(tmp_path / "telecine.db"):
        assert telecine("token", "issue", "--operator", "you", cwd=tmp_path).status == 0


def test_tokens_do_not_change_the_schema_under_a_coordinator_that_runs(tmp_path: Path) -> None:
    database = _of_the_version_before(tmp_path)
    version = _schema_version(database)
    with alone_with(database), patch("telecine.cmd.token.STARTING_S", 0):
        for arguments in (("issue", "--operator", "me"), ("list",), ("revoke", "4c486e272fa217d3")):
            refused = telecine("token", *arguments, cwd=tmp_path)
            assert (refused.status, refused.out) == (1, "")
            assert "its schema is not that of this version, and a coordinator is running on it" in refused.err
            assert "restart `telecine serve`" in refused.err
        assert _schema_version(database) == version
    assert telecine("token", "issue", "--operator", "me", cwd=tmp_path).status == 0
    assert _schema_version(database) == version + 1


def test_tokens_wait_for_a_coordinator_that_is_about_to_change_the_schema(tmp_path: Path) -> None:
    database = _of_the_version_before(tmp_path)

    def changes(_: Path) -> bool:
        _migrate(database, schema.load())
        return True

    with patch("telecine.cmd.token.in_use", changes):
        assert telecine("token", "issue", "--operator", "me", cwd=tmp_path).status == 0


def test_looking_whether_a_coordinator_runs_does_not_keep_one_away(tmp_path: Path) -> None:
    database = tmp_path / "telecine.db"
    assert not in_use(database)
    with alone_with(database):
        assert in_use(database)
    assert not in_use(database)


def _of_the_version_before(folder: Path) -> Path:
    """A database, and settings to find it by."""
    (folder / "telecine.toml").write_text(f'[coordinator]\nsecret = "{"s" * 40}"\n')
    database = folder / "telecine.db"
    _migrate(database, schema.load()[:-1])
    write_epoch(database, 1)
    return database


def _migrate(database: Path, migrations: Sequence[Migration]) -> None:
    with closing(dbapi2.connect(str(database), isolation_level=None)) as raw:
        schema.migrate(raw, migrations, now_ms=0)


def _schema_version(database: Path) -> int:
    with closing(dbapi2.connect(str(database))) as raw:
        [version] = raw.execute("PRAGMA user_version").fetchone()
    return int(version)
