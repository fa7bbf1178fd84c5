"""Several uploads that are moved one after another, where Ctrl-C comes between."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import TYPE_CHECKING

import click
import pytest

from telecine.cmd.moving import move
from telecine.core.leases import VariantState
from telecine.core.operator_protocol import VariantMoved

if TYPE_CHECKING:
    from pathlib import Path

    from telecine.core.api import Api

FIRST, SECOND, THIRD = (f"CM_M{number:06d}_720P" for number in (1, 2, 3))


@pytest.fixture
def context(tmp_path: Path) -> click.Context:
    """An operator's command."""
    settings = tmp_path / "telecine.toml"
    settings.write_text('[operator]\ntoken = "a.b.c"\n')
    return click.Context(click.Command("retry"), obj=settings)


async def interrupted_at_the_second(_: Api, code: str) -> VariantMoved:
    """The coordinator moves an upload; Ctrl-C comes before it has answered."""
    if code == SECOND:
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(0)
    return VariantMoved(code, VariantState.READY)


def test_ctrl_c_ends_it_when_what_is_on_its_way_has_been_told(
    context: click.Context, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        move(context, (FIRST, SECOND, THIRD), interrupted_at_the_second, as_json=False)
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [[FIRST, "ready"], [SECOND, "ready"]]


def test_ctrl_c_leaves_a_whole_document_of_all_that_moved(
    context: click.Context, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        move(context, (FIRST, SECOND, THIRD), interrupted_at_the_second, as_json=True)
    assert [moved["code"] for moved in json.loads(capsys.readouterr().out)["variants"]] == [FIRST, SECOND]
