"""`telecine queue` against a coordinator with a database of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from telecine.cmd.main import cli
from telecine.core.catalogue import ImportedLink, ImportedTitle, ImportRun, PlannedVariant, TitleKind
from telecine.core.clock import SystemClock
from telecine.core.config import CoordinatorSettings
from telecine.core.coordinator.events import Events
from telecine.core.coordinator.metrics import Metrics
from telecine.core.coordinator.server import CoordinatorServer
from telecine.core.coordinator.services import Services
from telecine.core.coordinator.tokens import Scope, Tokens
from telecine.core.errors import ConflictError, InputError
from telecine.core.quality import Quality
from telecine.store.database import Store

SECRET = "s" * 40
CODE = "CM_M000001_720P"
OTHER = "CM_M000002_720P"


class NoImports:
    async def start(self) -> ImportRun:
        raise ConflictError("not here")

    async def run(self, import_id: int) -> ImportRun:
        raise ConflictError("not here")


def film(number: int) -> ImportedTitle:
    link = ImportedLink(f"link-{number}", f"https://files.example/{number}.mp4?key=secret", Quality("720P"), "field")
    return ImportedTitle(
        f"title-{number}", TitleKind.MOVIE, f"Film {number}", links=(link,),
        variants=(PlannedVariant(Quality("720P"), (link.cm_id,)),),
    )  # fmt: skip


@asynccontextmanager
async def coordinator(folder: Path) -> AsyncIterator[Path]:
    """The settings of an operator of a coordinator with two films in its queue."""
    clock, settings = SystemClock(), CoordinatorSettings(secret=SECRET)
    async with Store.open(folder / "telecine.db", clock=clock) as store:
        importing = await store.intake.begin_import()
        await store.intake.import_titles(importing.id, [film(1), film(2)])
        tokens = Tokens(SECRET, clock, store.tokens)
        token, _ = await tokens.issue("me", Scope.OPERATOR, ttl_s=60, jti="1")
        server = CoordinatorServer(
            Services(
                settings=settings, version="0", clock=clock, new_id=lambda: "r", tokens=tokens, queue=store.queue,
                sweeper=store.sweeper, catalogue=store.catalogue, shelf=store.shelf, imports=NoImports(),
                events=Events("b"), metrics=Metrics(), bot_username=lambda: None,
            )
        )  # fmt: skip
        await server.start("127.0.0.1", 0)
        try:
            path = folder / "telecine.toml"
            path.write_text(f'[operator]\ncoordinator_url = "{server.url}"\ntoken = "{token}"\n')
            yield path
        finally:
            await server.stop()


async def telecine(settings: Path, *arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, cli, ["--config", str(settings), *arguments])


async def test_an_upload_is_listed_shown_taken_out_and_queued_again(tmp_path: Path) -> None:
    async with coordinator(tmp_path) as settings:
        listed = await telecine(settings, "queue", "list")
        assert [line.split() for line in listed.output.splitlines()] == [[CODE, "ready"], [OTHER, "ready"]]
        assert (await telecine(settings, "queue", "cancel", CODE)).output.split() == [CODE, "cancelled"]
        assert (await telecine(settings, "queue", "list", "--state", "ready")).output.split() == [OTHER, "ready"]
        assert (await telecine(settings, "queue", "retry", "--state", "cancelled")).output.split() == [CODE, "ready"]
        shown = (await telecine(settings, "queue", "show", CODE)).output
        assert "untried  https://files.example/1.mp4" in shown
        assert "secret" not in shown, "a link may carry a key in its query"


@pytest.mark.parametrize("arguments", [["retry"], ["cancel", CODE, "--state", "ready"]])
async def test_moving_needs_either_codes_or_a_state(arguments: list[str], tmp_path: Path) -> None:
    refused = await telecine(tmp_path / "telecine.toml", "queue", *arguments)
    assert isinstance(refused.exception, InputError)


async def test_a_state_without_uploads_moves_nothing(tmp_path: Path) -> None:
    async with coordinator(tmp_path) as settings:
        moved = await telecine(settings, "queue", "retry", "--state", "dead")
        assert (moved.exit_code, moved.output) == (0, "")
