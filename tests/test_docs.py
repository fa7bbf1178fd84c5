"""The docs, the help and the programs say the same: what can be typed, and that all of it is told."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from telecine.cmd.groups import ListingGroup
from telecine.cmd.main import COMMANDS, cli
from telecine.core.errors import ConfigError

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "systemd").iterdir())]
PROGRAM = r"telecine (?:--config \S+ |-c \S+ )?"
ASK_NOTHING = {"init", "serve", "work", "login", "rebuild collect", "emulator", "demo"}  # commands that print no data


def commands(group: click.Group = cli, *above: str) -> Iterator[tuple[str, click.Command]]:
    """Everything that can be typed behind `telecine`, groups too, and what it runs."""
    with click.Context(group) as ctx:
        for name in group.list_commands(ctx):
            command = group.get_command(ctx, name)
            assert command is not None
            yield " ".join((*above, name)), command
            if isinstance(command, click.Group):
                yield from commands(command, *above, name)


def shown(text: str) -> list[str]:
    """The command lines that stand on lines of their own, without what is said about them or done with their output."""
    lines = re.findall(rf"^ *{PROGRAM}(.+?)(?:  +.*)?$", text, re.MULTILINE)
    return [re.split(r" \|\|? ", line)[0] for line in lines]


def type_in(line: str) -> None:
    """Parse a command line, run nothing. Raises click.ClickException for what is not there."""
    group: click.Group = cli
    words, ctx = shlex.split(line), click.Context(cli)
    while True:
        if isinstance(group, ListingGroup) and (not words or words[0].startswith("-")):
            words = ["list", *words]
        if not words and group.invoke_without_command:
            return
        command = group.get_command(ctx, words.pop(0))
        assert command is not None, f"telecine {line}: no such command"
        if not isinstance(command, click.Group):
            command.make_context(command.name, words, parent=ctx)
            return
        group = command


def test_every_command_is_told_of_in_the_docs() -> None:
    told = "\n".join(page.read_text() for page in PAGES)
    listed_by_group = {f"{name} list" for name, command in commands() if isinstance(command, ListingGroup)}
    missing = [name for name, _ in commands() if name not in listed_by_group and f"telecine {name}" not in told]
    assert not missing


def test_every_command_named_in_the_docs_exists() -> None:
    named = {
        match.group(1)
        for page in PAGES
        for match in re.finditer(rf"{PROGRAM}([a-z]{{3,}})\b", page.read_text())
        if "`" in page.read_text()[max(0, match.start() - 1) : match.start()] or page.suffix == ".service"
    }
    assert named <= set(COMMANDS), f"the docs name {named - set(COMMANDS)}"
    assert named >= {"serve", "work", "login", "import", "init", "status", "token"}


def test_what_the_docs_show_can_be_typed() -> None:
    lines = [line for page in PAGES if page.suffix == ".md" for line in shown(page.read_text())]
    assert len(lines) > 30
    for line in lines:
        type_in(line)


def test_the_help_of_each_command_shows_an_example_that_can_be_typed() -> None:
    for name, command in commands():
        examples = shown(command.help or "")
        assert examples or name in ASK_NOTHING, f"telecine {name} --help shows no example"
        for line in examples:
            type_in(line)
            assert line.startswith(name.removesuffix(" list")) or isinstance(command, click.Group), line


def test_every_command_that_prints_data_prints_json_too() -> None:
    for name, command in commands():
        if name not in ASK_NOTHING and not isinstance(command, click.Group):
            assert any("--json" in option.opts for option in command.params), name


def test_the_runbook_names_every_file_that_the_units_read() -> None:
    runbook = (ROOT / "docs" / "operations.md").read_text()
    units = "\n".join(unit.read_text() for unit in (ROOT / "systemd").iterdir())
    read = set(re.findall(r"^EnvironmentFile=-?(\S+)$", units, re.MULTILINE))
    assert read == {"/etc/telecine/environment", "/etc/telecine/litestream"}
    assert not {file for file in read if f"`{file}`" not in runbook}


def test_the_unit_of_litestream_does_not_start_without_knowing_what_to_replicate_and_where_to() -> None:
    unit = (ROOT / "systemd" / "telecine-litestream.service").read_text()
    variables = set(re.findall(r"\$\{(\w+)\}", (ROOT / "litestream.yml").read_text()))
    assert variables == {name for name in variables if name in unit}
    assert "EnvironmentFile=/" in unit, "a file that is missing is an error"


def test_a_worker_is_not_started_again_where_a_setting_has_to_be_mended_first() -> None:
    unit = (ROOT / "systemd" / "telecine-work@.service").read_text()
    [ended] = re.findall(r"^RestartPreventExitStatus=(.*)$", unit, re.MULTILINE)
    assert ended.split() == [str(ConfigError.exit_status)]
    assert "Restart=always" in unit, "whatever else ends it"
