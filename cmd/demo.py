"""`telecine demo`: everything, end to end, on this machine."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
from pathlib import Path

import click
import msgspec
from rich.console import Console

from telecine.cmd.running import run
from telecine.core.clock import SystemClock
from telecine.core.demo import stage
from telecine.core.demo.demonstration import Demonstration
from telecine.core.demo.processes import stop_leftovers
from telecine.core.demo.report import Report
from telecine.core.demo.screen import Screen
from telecine.core.demo.stage import Stage
from telecine.core.errors import TelecineError

REPORT_FILE = "demo.json"


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build"),
    show_default=True,
    help="Where demo.json and everything else goes.",
)
@click.option("--keep", is_flag=True, help="Leave everything running at the end and say how to use it.")
@click.option("--stop", is_flag=True, help="Only end what an earlier --keep left running.")
def demo(folder: Path, keep: bool, stop: bool) -> None:
    """Import films and series from an embedded CM, have three workers upload them to an embedded Telegram while links
    fail, a flood wait is met and a worker is killed, then receive everything from the bot and compare the pictures.

    Needs nothing but this machine. Exit status 0 means that every film that could be delivered was, picture for
    picture, that no channel holds anything twice, and that no link was lost. The numbers are in build/demo.json.

    \b
    telecine demo --keep
    telecine demo --stop
    """
    place = folder.resolve() / "demo"
    stopped = stop_leftovers(place / "pids")
    if stop:
        click.echo(f"ended {stopped} processes")
        return
    console = Console()
    logging.getLogger("telethon").setLevel(logging.ERROR)  # the viewer's client would talk into the picture
    report = run(_run(stage.build(place), console, keep=keep))
    (folder / REPORT_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    if not report.ok:
        raise TelecineError(f"the demonstration failed; see {folder / REPORT_FILE} and the logs in {place / 'run'}")


async def _run(place: Stage, console: Console, *, keep: bool) -> Report:
    screen = Screen(console)
    demonstration = Demonstration(place, screen, SystemClock())
    try:
        with screen.open():
            report = await demonstration.run()
        screen.summary(report)
    except (TelecineError, asyncio.CancelledError):
        await demonstration.cast.stop()
        raise
    if keep:
        demonstration.cast.leave()
        console.print(_how_to_use(place), highlight=False, soft_wrap=True)
    else:
        await demonstration.cast.stop()
    return report


def _how_to_use(place: Stage) -> str:
    telecine = _program()
    main, ember = place.main_settings, place.worker_settings(stage.WORKERS[0])
    return f"""
Everything is still running. To use it:

  {telecine} --config {main} status
  {telecine} --config {main} search harbour
  {telecine} --config {main} import              again: nothing is doubled
  tail -f {place.run}/*.log
  curl {place.control_url}/state               accounts, channels, the bot
  curl {place.control_url}/channels

The workers' settings are beside it, such as {ember}.
To end it all: {telecine} demo --stop --folder {place.folder.parent}
"""


def _program() -> str:
    """What to type for `telecine`: after `make demo` it is not on the PATH."""
    called = Path(sys.argv[0])
    found = shutil.which("telecine")
    return "telecine" if found is not None and Path(found).resolve() == called.resolve() else str(called.absolute())
