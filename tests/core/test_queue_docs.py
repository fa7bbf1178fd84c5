"""docs/queue.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from telecine.core.backoff import Ladder
from telecine.core.config import CoordinatorSettings
from telecine.core.leases import VariantState
from telecine.core.policy import STANDARD
from telecine.core.reasons import CONSEQUENCES, ForLink

PAGE = (Path(__file__).parents[2] / "docs" / "queue.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of a table, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_page_has_the_table_of_consequences_row_by_row() -> None:
    told = [[cell.strip("`") for cell in row] for row in rows(section("Reasons and what follows from them"))]
    assert told == [
        [reason.value, one.link.value, one.host.value, one.upload.value, one.account.value]
        for reason, one in CONSEQUENCES.items()
    ]


@pytest.mark.parametrize("fate", ForLink)
def test_the_page_explains_every_fate_of_a_link(fate: ForLink) -> None:
    assert f"\n- `{fate.value}`: " in section("Reasons and what follows from them")


@pytest.mark.parametrize("state", VariantState)
def test_the_picture_shows_every_state(state: VariantState) -> None:
    assert re.search(rf"\b{state.value}\b", section("States").split("```")[1])


@pytest.mark.parametrize(
    ("setting", "ladder"),
    [
        ("retry_backoff_s", STANDARD.rounds),
        ("host_backoff_s", STANDARD.hosts),
        ("account_backoff_s", STANDARD.accounts),
    ],
)
def test_the_ladders_are_those_of_the_policy_and_of_the_settings(setting: str, ladder: Ladder) -> None:
    told = {row[1].strip("`"): tuple(map(float, row[2].split(","))) for row in rows(section("Ladders"))}
    default = getattr(CoordinatorSettings(secret="s" * 32), setting)
    assert told[setting] == ladder.pauses_s == tuple(map(float, default))


def test_an_account_may_have_as_many_channels_as_the_page_says() -> None:
    assert f"as it may: {STANDARD.channels_per_account_max}, those that are retired included" in section("Channels")


def test_every_setting_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(\w+_(?:s|max|days))`", PAGE))
    assert named - {"file_bytes_max"} <= set(CoordinatorSettings.__struct_fields__)
