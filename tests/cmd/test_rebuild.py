"""`telecine rebuild load`: what it prints, wherever --json stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cmd.conftest import run_program

from telecine.core.inventory import FoundAccount, FoundChannel, open_inventory


@pytest.fixture
def settings(tmp_path: Path) -> str:
    """Of a main machine, with the inventory `ember.jsonl` of one channel beside it."""
    with open_inventory(tmp_path / "ember.jsonl", FoundAccount("cm-ember", 77, premium=True)) as file:
        file.add([FoundChannel(500, "CM_C000001")])
        file.end()
    (tmp_path / "telecine.toml").write_text(f'[coordinator]\nsecret = "{"s" * 32}"\n')
    return str(tmp_path / "telecine.toml")


@pytest.mark.parametrize("words", [("rebuild", "--json", "load"), ("rebuild", "load", "--json")])
def test_json_may_stand_before_the_subcommand_and_behind_it(settings: str, words: tuple[str, ...]) -> None:
    said = run_program(["--config", settings, *words, str(Path(settings).with_name("ember.jsonl"))])
    assert said.status == 0, said.err
    assert (said.document["accounts"], said.document["channels"]) == (1, 1)


def test_people_are_shown_a_table(settings: str) -> None:
    said = run_program(["--config", settings, "rebuild", "load", str(Path(settings).with_name("ember.jsonl"))])
    assert ["channels", "1"] in said.lines


def test_json_of_what_prints_no_data_is_refused(settings: str) -> None:
    said = run_program(["--config", settings, "rebuild", "--json", "collect", "--out", "x"])
    assert said.status == 2
    assert "`collect` prints no document" in said.err
