"""`telecine`: the root of the command line."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import click

from telecine.cmd.streams import escape_unwritable, let_go, open_missing
from telecine.cmd.wording import complaint, printable
from telecine.core.errors import InputError, TelecineError

logger = logging.getLogger(__name__)

# Command name -> (module of telecine.cmd, attribute). Modules are imported when their command is named, so that
# `telecine --help` answers at once.
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("init", "init"),
    "serve": ("serve", "serve"),
    "work": ("work", "work"),
    "login": ("login", "login"),
    "import": ("imports", "import_"),
    "status": ("status", "status"),
    "search": ("search", "search"),
    "title": ("title", "title"),
    "queue": ("queue", "queue"),
    "variant": ("variant", "variant"),
    "attempts": ("attempts", "attempts"),
    "workers": ("workers", "workers"),
    "accounts": ("accounts", "accounts"),
    "channels": ("channels", "channels"),
    "hosts": ("hosts", "hosts"),
    "plan": ("plan", "plan"),
    "backup": ("backup", "backup"),
    "rebuild": ("rebuild", "rebuild"),
    "token": ("token", "token"),
    "emulator": ("emulator", "emulator"),
    "demo": ("demo", "demo"),
}
SUMMARIES: dict[str, str] = {
    "init": "Write a commented telecine.toml to start from.",
    "serve": "Run the coordinator and the bot.",
    "work": "Run a worker: lease, upload, report.",
    "login": "Sign a worker's Telegram account in.",
    "import": "Import titles, episodes and links from CM.",
    "status": "Show queue, workers and accounts.",
    "search": "Search the catalogue.",
    "title": "Show a title, withdraw it, keep a second copy of it.",
    "queue": "List uploads and their states.",
    "variant": "Show an upload; retry, cancel, withdraw, prioritise, pin.",
    "attempts": "Show who tried what, and how it ended.",
    "workers": "List workers; pause, drain, disable or resume one.",
    "accounts": "List accounts; park one, or let it go on.",
    "channels": "List storage channels; add or retire one.",
    "hosts": "List source hosts; limit one, or try it again.",
    "plan": "Say what a worker would make of a film, and why.",
    "backup": "Show whether the database is being replicated.",
    "rebuild": "Make the index anew of what the channels hold.",
    "token": "Issue, list and revoke API tokens.",
    "emulator": "Run the embedded Telegram, CM and source host alone.",
    "demo": "Show everything, end to end, on this machine.",
}


class LazyGroup(click.Group):
    """A group whose commands are imported on first use."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        try:
            return super().make_context(info_name, args, parent, **extra)
        except BrokenPipeError:  # click would make status 1 of it
            _end_unread()

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _end_unread()

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(f"telecine.cmd.{module}"), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - a mistake in the table above
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="telecine", prog_name="telecine")
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("telecine.toml"),
    envvar="TELECINE_CONFIG",
    show_default=True,
    show_envvar=True,
    help="The settings to use.",
)
@click.option("-v", "--verbose", count=True, help="Say more: -v for progress, -vv for everything.")
@click.pass_context
def cli(ctx: click.Context, config: Path, verbose: int) -> None:
    """Move a film and series catalogue into Telegram and serve it from there.

    \b
    On the main machine:    telecine init, telecine serve, telecine import
    On every worker:        telecine init, telecine login, telecine work
    To look and steer:      telecine status, telecine queue, telecine variant show CODE
    To see it all at once:  telecine demo
    """
    ctx.obj = config
    logging.basicConfig(
        level=(logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)],
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the console script: errors become one line on stderr and an exit status.

    `arguments` None: those of the process.
    """
    open_missing()
    escape_unwritable()
    try:
        _run(sys.argv[1:] if arguments is None else arguments)
    except SystemExit:  # with what was said before it, or could not be, still to be written
        let_go()
        raise
    except BrokenPipeError:  # at what is said of an error
        _end_unread()
    except OSError as error:  # what no command has foreseen: a disk that is full, a folder that may not be written
        logger.debug("ended by", exc_info=True)
        with suppress(OSError):
            click.echo(f"telecine: {printable(_reason(error))}", err=True)
        let_go()
        raise SystemExit(1) from None


def _run(arguments: Sequence[str]) -> None:
    try:
        _require_text(arguments)
        cli.main(arguments, prog_name="telecine", standalone_mode=False)
    except TelecineError as error:
        click.echo(f"telecine: {printable(complaint(error))}", err=True)
        if error.hint:
            click.echo(f"  {printable(error.hint)}", err=True)
        raise SystemExit(error.exit_status) from None
    except click.Abort:
        click.echo("telecine: interrupted", err=True)
        raise SystemExit(130) from None
    except click.ClickException as error:
        error.show()
        raise SystemExit(error.exit_code) from None


def _require_text(arguments: Sequence[str]) -> None:
    """Raises InputError for bytes that are not UTF-8: neither a message nor a terminal takes them."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise InputError(f"an argument is not UTF-8: {os.fsencode(argument)!r}") from None


def _end_unread() -> NoReturn:
    """The reader of a pipe has gone: end with the status of SIGPIPE, and without a word."""
    let_go()
    raise SystemExit(128 + signal.SIGPIPE) from None


def _reason(error: OSError) -> str:
    """`/etc/telecine.toml: Permission denied`; click and rich are what writes to standard streams."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    subject = error.filename
    if subject is None and str(frame.f_globals.get("__name__")).startswith(("click.", "rich.")):
        subject = "standard output"
    reason = error.strerror or str(error) or type(error).__name__
    return reason if subject is None else f"{subject}: {reason}"
