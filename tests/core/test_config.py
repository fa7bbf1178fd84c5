"""Settings: what is wrong is named, secrets come from elsewhere, the example holds every key."""

import math
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pytest

from telecine.core import config_file
from telecine.core.config import Config
from telecine.core.errors import ConfigError

WORKER = {"name": "cm-ember", "coordinator_url": "http://c", "token": "t", "session": "ember.session"}
SECRET = {"secret": "s" * 32}
CM = {"base_url": "http://cm", "resources": {}, "map": {}}


def decode(document: dict[str, Any], environ: dict[str, str] | None = None, folder: Path = Path("/srv")) -> Config:
    return config_file.decode(document, path=folder / "telecine.toml", environ=environ or {})


def test_an_empty_file_is_all_defaults() -> None:
    assert decode({}) == Config()


def test_paths_are_relative_to_the_file() -> None:
    worker = decode({"worker": WORKER}).worker
    assert worker is not None
    assert worker.session == Path("/srv/ember.session")


def test_a_database_that_is_not_named_is_beside_the_file_wherever_a_command_runs() -> None:
    coordinator = decode({"coordinator": {"secret": "s" * 32}}).coordinator
    assert coordinator is not None
    assert coordinator.database == Path("/srv/telecine.db")


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"wroker": {}}, "wroker: no such table; did you mean `worker`?"),
        ({"worker": WORKER | {"conections": 1}}, "worker.conections: no such key; did you mean `connections`?"),
        ({"bot": {"xyz": 1}}, "bot.xyz: no such key; expected one of enabled, page_size, protect_content"),
        ({"cm": CM | {"auth": {"login": {"pth": "/"}}}}, "cm.auth.login.pth: no such key; did you mean `path`?"),
        (
            {"cm": CM | {"map": {"title": {"kind": {"path": "k", "vals": {}}}}}},
            "vals: no such key; did you mean `values`",
        ),
        ({"worker": {"name": "x"}}, "worker.coordinator_url: required, but missing"),
        ({"worker": WORKER | {"connections": 99}}, "worker.connections: Expected `int` <= 16"),
        ({"worker": WORKER | {"connections": "four"}}, "worker.connections: Expected `int`, got `str`"),
        ({"worker": WORKER | {"name": "Not A Name"}}, "worker.name: expected a name such as cm-ember"),
        (
            {"worker": WORKER | {"coordinator_url": "c:80"}},
            "worker.coordinator_url: expected an address such as https://",
        ),
        (
            {"operator": {"coordinator_url": "http://user:pw@host"}},
            "operator.coordinator_url: expected an address such as https://telecine.example, without user name",
        ),
        ({"operator": {"coordinator_url": "http://host/?a=b"}}, "operator.coordinator_url: expected an address"),
        ({"worker": WORKER | {"coordinator_url": "http://me@host/"}}, "worker.coordinator_url: expected an address"),
        ({"coordinator": SECRET | {"retry_backoff_s": []}}, "coordinator.retry_backoff_s: Expected `array` of length"),
        (
            {"coordinator": SECRET | {"retry_backoff_s": [30, 1e300]}},
            "coordinator.retry_backoff_s[1]: Expected `float` <=",
        ),
        (
            {"coordinator": SECRET | {"lease_ttl_s": math.inf}},
            "coordinator.lease_ttl_s: Expected `float` <= 1000000000",
        ),
        ({"coordinator": SECRET | {"lease_ttl_s": math.nan}}, "coordinator.lease_ttl_s: Expected `float` > 0"),
        (
            {"coordinator": SECRET | {"attempts_kept_days": 10**15}},
            "coordinator.attempts_kept_days: Expected `int` <= 36500",
        ),
        ({"coordinator": SECRET | {"host_backoff_s": []}}, "coordinator.host_backoff_s: Expected `array` of length"),
        ({"coordinator": SECRET | {"account_backoff_s": []}}, "coordinator.account_backoff_s: Expected `array` of"),
        ({"coordinator": SECRET | {"database": "~nobody-here/x"}}, "coordinator.database: ~nobody-here has no home"),
        ({"coordinator": SECRET | {"database": "a\0b"}}, "coordinator.database: expected a path: it holds a NUL"),
        ({"worker": WORKER | {"file_roots": ["/srv", "\0"]}}, "worker.file_roots[1]: expected a path: it holds a NUL"),
        ({"operator": {"token": "two\nlines"}}, "operator.token: expected a token, in one line"),
        ({"coordinator": {"secret": "short"}}, "coordinator.secret: Expected `str` of length >= 32"),
        ({"telegram": {"api_id": 0, "api_hash": "h"}}, "telegram.api_id: Expected `int` >= 1"),
    ],
)
def test_a_wrong_setting_is_named_with_file_key_and_what_was_expected(document: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(complaint)) as raised:
        decode(document)
    assert "/srv/telecine.toml" in str(raised.value)


@pytest.mark.parametrize("url", ["http://c", "https://c:8750/", "http://[::1]:80", "http://c/telecine/@1"])
def test_a_coordinator_may_be_below_a_path_and_a_proxy_may_want_a_login(url: str) -> None:
    worker = decode({"worker": WORKER | {"coordinator_url": url, "proxy": "http://user:pw@proxy:3128"}}).worker
    assert worker is not None
    assert worker.coordinator_url == url


def test_a_secret_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    document = {
        "worker": WORKER | {"token": "${file:token}"},
        "telegram": {"api_id": 1, "api_hash": "a${env:HASH}b"},
    }
    settings = decode(document, {"HASH": "from-env"}, tmp_path)
    assert settings.worker is not None
    assert settings.worker.token == "from-file"
    assert settings.telegram is not None
    assert settings.telegram.api_hash == "afrom-envb"


@pytest.mark.parametrize(
    "reference", ["${env:NOT_SET}", "${file:not-there}", "${file:~nobody-here/x}", "${file:a\0b}", "${file:/}"]
)
def test_a_secret_that_is_not_there_is_named(reference: str) -> None:
    with pytest.raises(ConfigError, match=r"worker\.token"):
        decode({"worker": WORKER | {"token": reference}})


def test_a_program_needs_no_secret_of_a_table_that_it_does_not_read(tmp_path: Path) -> None:
    path = tmp_path / "telecine.toml"
    path.write_text('[telegram]\napi_hash = "${env:NOT_SET}"\n[operator]\ntoken = "${env:TOKEN}"\n')
    settings = config_file.load(path, {"TOKEN": "t"}, tables=["operator"])
    assert (settings.telegram, settings.operator.token) == (None, "t")
    with pytest.raises(ConfigError, match=r"telegram\.api_hash: the environment variable NOT_SET"):
        config_file.load(path, {"TOKEN": "t"})


def test_a_table_that_nobody_reads_is_refused_whoever_reads(tmp_path: Path) -> None:
    path = tmp_path / "telecine.toml"
    path.write_text("[operater]\n")
    with pytest.raises(ConfigError, match="did you mean `operator`"):
        config_file.load(path, {}, tables=["worker"])


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        config_file.load(tmp_path / "telecine.toml")
    assert raised.value.hint is not None
    assert "telecine init" in raised.value.hint


def test_broken_toml_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "telecine.toml"
    path.write_text("[worker\n")
    with pytest.raises(ConfigError, match="line 1"):
        config_file.load(path)


def keys(table: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    for field in msgspec.structs.fields(table):
        kinds = (field.type, *getattr(field.type, "__args__", ()))
        inner = next((k for k in kinds if isinstance(k, type) and issubclass(k, msgspec.Struct)), None)
        if inner is not None:
            yield from keys(inner, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}"


def test_the_example_and_the_reference_hold_every_setting() -> None:
    example = files("telecine.core").joinpath("telecine.example.toml").read_text()
    reference = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    for key in keys(Config):
        table, _, name = key.rpartition(".")
        assert f"`{name}`" in reference, f"docs/configuration.md does not tell of {key}"
        if not table.startswith("cm"):
            assert re.search(rf"^(# )?{name} = ", example, re.MULTILINE), f"the example does not show {key}"
