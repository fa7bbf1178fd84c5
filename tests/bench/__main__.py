"""`python -m tests.bench [NAME]`: run benchmarks, or list what there is."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from tests.bench.report import Benchmark, MeasurementError, Options, conduct

BENCHMARKS = (
    Benchmark(
        "queue", "claim+settle pairs/s at 10k, 100k and 1M rows beside other queues; parked accounts", "queue_pairs"
    ),
    Benchmark("relay", "one file through one worker: wall time beside the slower line, disk, memory", "relay"),
    Benchmark("remux", "a remux into upload parts beside ffmpeg's into a file", "remux"),
    Benchmark("upload", "MB/s into Telegram at 0, 50 and 150 ms beside Telethon, FastTelethon and Kurigram", "upload"),
    Benchmark("api", "requests/s over HTTP at 1, 16, 64 connections beside an aiohttp hello-world", "api_requests"),
)
RESULTS = Path("build/bench")
ALL = "all"
CONSOLE_COLUMNS = 120  # where the output is not a terminal


class NotMeasuredError(click.ClickException):
    """Told apart from a bound that does not hold, by the exit status."""

    exit_code = 2


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name", required=False)
@click.option("--quick", is_flag=True, help="Tiny sizes: shows that it runs, not how fast it is.")
@click.option("--skip-missing-peers", is_flag=True, help="With --quick: leave out peers that are not installed.")
@click.option("--profile", is_flag=True, help="Show where the time goes instead of how much there is.")
@click.option("--into", type=click.Path(path_type=Path), default=RESULTS, show_default=True, help="Folder of results.")
def main(name: str | None, quick: bool, skip_missing_peers: bool, profile: bool, into: Path) -> None:
    """Run the benchmark NAME, or `all`; without NAME, list them.

    Exits with 1 where a bound does not hold, with 2 where it could not be measured or NAME is none.
    """
    console = Console(width=None if sys.stdout.isatty() else CONSOLE_COLUMNS)
    if name is None:
        listing(console)
        return
    if skip_missing_peers and not quick:
        raise click.UsageError("--skip-missing-peers goes with --quick only: a comparison needs whom it compares with")
    failed: list[str] = []
    for benchmark in chosen(name):
        with _at_work(benchmark, into, console, quick=quick, skip_missing_peers=skip_missing_peers) as options:
            if profile:
                console.print(benchmark.profile(options), highlight=False, markup=False)
                continue
            report = conduct(benchmark, options, into=into, console=console)
            failed += (f"{benchmark.name}: {check.name}" for check in report.checks if not check.holds)
    if failed:
        console.print(f"[red]does not hold:[/] {', '.join(failed)}", highlight=False)
        sys.exit(1)


def chosen(name: str) -> tuple[Benchmark, ...]:
    """Raises UsageError that lists what there is."""
    found = BENCHMARKS if name == ALL else tuple(one for one in BENCHMARKS if one.name == name)
    if not found:
        names = ", ".join([*(one.name for one in BENCHMARKS), ALL])
        raise click.UsageError(f"there is no benchmark {name!r}; there are: {names}")
    return found


def listing(console: Console) -> None:
    for one in BENCHMARKS:
        console.print(f"{one.name:<10}{one.line}", highlight=False)
    console.print(f"{ALL:<10}all of them\n\nmake bench NAME=queue [ARGS=--quick]", highlight=False)


@contextmanager
def _at_work(benchmark: Benchmark, into: Path, console: Console, **asked: bool) -> Iterator[Options]:
    """A folder to work in, and a line that says what is being done."""
    into.mkdir(parents=True, exist_ok=True)
    # Beside the results, not in /tmp, which is memory on many machines: there a commit costs nothing.
    with (
        tempfile.TemporaryDirectory(prefix=f"{benchmark.name}-", dir=into) as folder,
        console.status(benchmark.name) as status,
    ):
        try:
            yield Options(Path(folder), lambda doing: status.update(f"{benchmark.name}: {doing}"), **asked)
        except MeasurementError as error:
            raise NotMeasuredError(str(error)) from error


if __name__ == "__main__":
    main(prog_name="python -m tests.bench")
