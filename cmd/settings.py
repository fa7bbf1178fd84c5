"""What a command needs of `telecine.toml`, or a clear word about what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import click

from telecine.core import config_file
from telecine.core.api import Api
from telecine.core.config import Config
from telecine.core.errors import ConfigError

T = TypeVar("T")


def load(ctx: click.Context, *tables: str) -> Config:
    """The `tables` of the file that `--config` names: a secret of another one need not be at hand."""
    return config_file.load(path(ctx), tables=tables)


def path(ctx: click.Context) -> Path:
    """Where the settings are."""
    assert isinstance(ctx.obj, Path)  # noqa: S101 - the root command has put it there
    return ctx.obj


def need(ctx: click.Context, table: str, value: T | None) -> T:
    """`value`, or a ConfigError that says which table of which file to write."""
    if value is None:
        raise ConfigError(
            f"{path(ctx)}: the table [{table}] is missing and `{ctx.command_path}` needs it",
            hint=f"`telecine --config example.toml init --for {_machine_of(table)}` writes an example of it",
        )
    return value


def _machine_of(table: str) -> str:
    """Whose example has a table, as `telecine init --for` calls it."""
    return "worker" if table == "worker" else "main"


def coordinator(ctx: click.Context) -> Api:
    """The coordinator's API as `[operator]` says to reach it. Raises ConfigError without a token."""
    return Api(load(ctx, "operator").operator)
