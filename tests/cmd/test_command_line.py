"""The command line: help that teaches, errors in one line, an exit status that means something."""

import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from tests.cmd.program import process, telecine

from telecine.cmd.alone import alone_with
from telecine.cmd.main import COMMANDS, SUMMARIES, cli
from telecine.core import config_file
from telecine.core.errors import ConfigError

SECRETS = {f"TELECINE_{name}": "s" for name in ("API_HASH", "BOT_TOKEN", "WORKER_TOKEN", "OPERATOR_TOKEN")}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"], prog_name="telecine")
    assert result.exit_code == 0, result.output
    assert len(result.output.splitlines()) > 5
    assert re.search(rf"^  telecine (--config \S+ )?{name}", result.output, re.MULTILINE), "an example"
    assert SUMMARIES[name]


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        (["varia"], {"variant"}),
        (["variant", "re"], {"retry"}),
        (["workers", ""], {"list", "pause", "resume", "drain", "disable"}),
        (["queue", "--state", "de"], {"delayed", "dead"}),
    ],
)
def test_a_shell_completes_commands_and_states(typed: list[str], completed: set[str]) -> None:
    *before, word = typed
    asked = ShellComplete(cli, {}, "telecine", "_TELECINE_COMPLETE")
    assert {item.value for item in asked.get_completions(before, word)} == completed


def test_help_lists_every_command_without_importing_any(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "telecine.cmd", "--help"],
        cwd=tmp_path, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert all(re.search(rf"^  {name} ", done.stdout, re.MULTILINE) for name in COMMANDS)
    for heavy in ("telethon", "aiogram", "av.", "pysqlite3"):
        assert not re.search(rf"\| +{re.escape(heavy)}", done.stderr), f"--help imports {heavy}"


def test_an_unknown_command_is_refused(tmp_path: Path) -> None:
    done = process("uplaod", cwd=tmp_path)
    assert done.status == 2
    assert "No such command" in done.err


@pytest.mark.parametrize("role", ["main", "worker", "all"])
def test_init_writes_a_private_file_that_loads(role: str, tmp_path: Path) -> None:
    done = telecine("init", "--for", role, cwd=tmp_path)
    assert done.status == 0, done.err
    path = tmp_path / "telecine.toml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    environ = SECRETS | {"CM_USER": "u", "CM_PASSWORD": "p"}
    settings = config_file.load(path, environ)
    assert (settings.coordinator is not None) == (role != "worker")
    assert (settings.worker is not None) == (role != "main")


def test_init_needs_no_secret_of_the_main_machine_on_a_worker(tmp_path: Path) -> None:
    assert telecine("init", "--for", "worker", cwd=tmp_path).status == 0
    only = {name: SECRETS[name] for name in ("TELECINE_API_HASH", "TELECINE_WORKER_TOKEN")}
    assert config_file.load(tmp_path / "telecine.toml", only).worker is not None


def test_init_makes_a_new_secret_each_time_and_replaces_nothing_unasked(tmp_path: Path) -> None:
    path = tmp_path / "telecine.toml"
    assert telecine("init", cwd=tmp_path).status == 0
    first = path.read_text()
    refused = telecine("init", cwd=tmp_path)
    assert refused.status == 1
    assert "exists" in refused.err
    assert path.read_text() == first
    assert telecine("init", "--force", cwd=tmp_path).status == 0
    assert path.read_text() != first


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/dev/null/x", "Not a directory"),
        ("/proc/x/telecine.toml", "No such file or directory"),
        ("n" * 300, "File name too long"),
    ],
)
def test_init_says_where_it_cannot_write(tmp_path: Path, path: str, why: str) -> None:
    refused = telecine("--config", path, "init", cwd=tmp_path)
    assert (refused.status, refused.out) == (2, "")
    assert refused.err.splitlines()[0] == f"telecine: {path}: cannot be written: {why}"
    assert list(tmp_path.iterdir()) == []


def test_what_the_system_refuses_is_told_in_one_line(tmp_path: Path) -> None:
    refused = telecine("demo", "--folder", "/proc/x", cwd=tmp_path)
    assert (refused.status, refused.out) == (1, "")
    assert refused.err == "telecine: /proc/x: No such file or directory\n"


def test_a_missing_file_is_told_in_one_line_with_what_to_do(tmp_path: Path) -> None:
    done = telecine("serve", cwd=tmp_path)
    assert done.status == 2
    assert done.err.splitlines() == [
        "telecine: telecine.toml: no such file",
        "  `telecine init` writes a commented one",
    ]


def test_a_wrong_key_names_file_key_and_expectation(tmp_path: Path) -> None:
    (tmp_path / "telecine.toml").write_text('[coordinator]\nsecret = "x"\n')
    done = telecine("serve", cwd=tmp_path)
    assert done.status == 2
    assert done.err.startswith("telecine: telecine.toml: coordinator.secret: Expected `str` of length >= 32")


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "telecine.toml").write_text("[bot]\nenabled = false\n")
    for command, table in (
        ("serve", "coordinator"), ("work", "worker"), ("login", "worker"), ("token list", "coordinator"),
        ("rebuild", "worker"), ("rebuild collect --out x", "worker"), ("rebuild load x", "coordinator"),
    ):  # fmt: skip
        done = telecine(*command.split(), cwd=tmp_path)
        assert done.status == 2
        named = command.removesuffix(" --out x").removesuffix(" x")
        assert done.err.startswith(
            f"telecine: telecine.toml: the table [{table}] is missing and `telecine {named}` needs it"
        )
        hinted = shlex.split(done.err.split("`")[-2])[1:]
        assert telecine(*hinted, cwd=tmp_path).status == 0, "nothing is in its way"
        assert f"\n[{table}]" in (tmp_path / "example.toml").read_text()
        (tmp_path / "example.toml").unlink()


def test_a_command_needs_no_secret_but_its_own(tmp_path: Path) -> None:
    assert telecine("init", cwd=tmp_path).status == 0
    issued = telecine("token", "issue", "--operator", "me", cwd=tmp_path)
    assert issued.status == 0, issued.err
    settings = tmp_path / "telecine.toml"
    settings.write_text(
        settings.read_text().replace("# coordinator_url = ", 'coordinator_url = "http://127.0.0.1:9"  # ')
    )
    status = telecine("status", cwd=tmp_path, environ={"TELECINE_OPERATOR_TOKEN": issued.out.strip()})
    assert status.status == 75, status.err
    refused = telecine("status", cwd=tmp_path)
    assert refused.status == 2
    assert "TELECINE_OPERATOR_TOKEN is not set" in refused.err


def test_a_second_coordinator_on_one_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "telecine.toml").write_text(f'[coordinator]\nsecret = "{"s" * 40}"\nport = 0\n[bot]\nenabled = false\n')
    with alone_with(tmp_path / "telecine.db"):
        done = process("serve", cwd=tmp_path)
        assert done.status == 1
        assert "another coordinator is using this database" in done.err
    with alone_with(tmp_path / "telecine.db"):
        pass


@pytest.mark.parametrize(
    "arguments",
    [
        ("search", "\udcff"),
        ("variant", "show", "CM_M000001_\udcff"),
        ("accounts", "unpark", "cm-\udcff"),
        ("token", "issue", "--operator", "\udcff"),
        ("token", "revoke", "\udcff"),
        ("--config", "\udcff", "status"),
        ("\udcff",),
    ],
)
def test_arguments_that_are_not_utf_8_are_refused_before_anything_is_done(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "telecine.toml").write_text(f'[coordinator]\nsecret = "{"s" * 32}"\n[operator]\ntoken = "t"\n')
    refused = telecine(*arguments, cwd=tmp_path)
    assert (refused.status, refused.out) == (2, "")
    assert refused.err.startswith("telecine: an argument is not UTF-8: b'")
    assert "\\xff" in refused.err
    assert not (tmp_path / "telecine.db").exists()


def test_a_database_in_a_folder_that_is_not_there_is_a_setting_to_mend(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"coordinator\.database"), alone_with(tmp_path / "nowhere" / "telecine.db"):
        pass


def test_a_coordinator_that_is_not_there_is_a_temporary_failure(tmp_path: Path) -> None:
    (tmp_path / "telecine.toml").write_text('[operator]\ncoordinator_url = "http://127.0.0.1:9"\ntoken = "t"\n')
    done = telecine("status", cwd=tmp_path)
    assert done.status == 75
    assert "telecine serve" in done.err
    assert "Traceback" not in done.err
