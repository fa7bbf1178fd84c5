"""`telecine init`: a commented telecine.toml to start from."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

import click

from telecine.cmd import settings
from telecine.core.errors import ConfigError, ConflictError

TABLES: dict[str, tuple[str, ...]] = {
    "main": ("telegram", "coordinator", "bot", "operator", "cm"),
    "worker": ("telegram", "worker"),
    "all": ("telegram", "coordinator", "bot", "operator", "cm", "worker"),
}
NEXT: dict[str, str] = {
    "main": "fill in [telegram] and [cm], then run `telecine serve` and `telecine token issue`",
    "worker": "fill in [telegram] and [worker], then run `telecine login` and `telecine work`",
    "all": (
        "fill in [telegram] and [cm], then run `telecine serve`, `telecine token issue`, `telecine login` "
        "and `telecine work`"
    ),
}


@click.command()
@click.option(
    "--for",
    "role",
    type=click.Choice(list(TABLES)),
    default="main",
    show_default=True,
    help="The machine that the file is for: the main one (coordinator and bot), a worker, or both in one.",
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.pass_context
def init(ctx: click.Context, role: str, force: bool) -> None:
    """Write a commented example of the settings, readable by you alone (mode 0600).

    It goes to telecine.toml, or where --config says. The coordinator's signing secret in it is new and random;
    everything else that is secret is taken from the environment.

    \b
    telecine init                                  on the main machine
    telecine --config ember.toml init --for worker
    """
    path = settings.path(ctx)
    try:
        if path.exists() and not force:
            raise ConflictError(f"{path} exists and was left alone", hint="--force replaces it")
        write_private(path, example(role, secrets.token_urlsafe(48)))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}", hint="--config says where it goes") from error
    click.echo(f"wrote {path}")
    click.echo("the file names environment variables that hold the secrets: set them")
    click.echo(f"next: {NEXT[role]}")


def example(role: str, secret: str) -> str:
    """The commented file for one kind of machine, with `secret` as the coordinator's."""
    text = files("telecine.core").joinpath("telecine.example.toml").read_text(encoding="utf-8")
    preamble, *tables = re.split(r"^(?=\[)", text, flags=re.MULTILINE)
    wanted = [table for table in tables if re.split(r"[.\]]", table[1:], maxsplit=1)[0] in TABLES[role]]
    if role == "worker":  # the bot lives on the main machine
        wanted = [re.sub(r"^(?=bot_token )", "# ", table, flags=re.MULTILINE) for table in wanted]
    return (preamble + "".join(wanted)).replace("@SECRET@", secret)


def write_private(path: Path, text: str) -> None:
    """Write so that a crash leaves the old file or the new one, and nobody else can read either. Raises OSError."""
    with suppress(FileExistsError):  # no folder: that it is none is said when the file is opened
        path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
