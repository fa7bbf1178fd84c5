"""What a benchmark finds, how it is shown and where it is kept."""

from __future__ import annotations

import importlib
import os
import platform
import sqlite3
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from pysqlite3 import dbapi2
from rich.console import Console
from rich.table import Table


class MeasurementError(Exception):
    """Nothing was measured, or nothing that is worth keeping. The message says why."""


class Options(msgspec.Struct, frozen=True):
    """What a benchmark is asked for. `folder` is its own, on the disk that is measured, and empty. `say` tells whoever
    waits what is being done."""

    folder: Path
    say: Callable[[str], None]
    quick: bool = False
    skip_missing_peers: bool = False


class Check(msgspec.Struct, frozen=True):
    """A bound that must hold. `value` is None where it could not be measured, which does not hold."""

    name: str
    value: float | None
    relation: str
    bound: float
    holds: bool

    @classmethod
    def at_least(cls, name: str, value: float | None, bound: float) -> Check:
        return cls(name, value, ">=", bound, value is not None and value >= bound)

    @classmethod
    def at_most(cls, name: str, value: float | None, bound: float) -> Check:
        return cls(name, value, "<=", bound, value is not None and value <= bound)


class Sheet(msgspec.Struct, frozen=True):
    """A table as it is shown; cells are ready to print."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Findings(msgspec.Struct, frozen=True):
    """What a benchmark returns: how it measured, tables to look at, raw figures to keep, bounds to hold."""

    method: tuple[str, ...]
    sheets: tuple[Sheet, ...]
    figures: Mapping[str, Sequence[Any]]
    checks: tuple[Check, ...]


class Machine(msgspec.Struct, frozen=True):
    """Where it was measured. `load_average` is that of the minute before: what else the machine was doing."""

    python: str
    sqlite: str
    sqlite_of_peers: str
    system: str
    processor: str
    cores: int
    file_system: str
    load_average: float

    @classmethod
    def here(cls, folder: Path) -> Machine:
        return cls(
            python=platform.python_version(),
            sqlite=dbapi2.sqlite_version,
            sqlite_of_peers=sqlite3.sqlite_version,
            system=f"{platform.system()} {platform.release()}",
            processor=_processor(),
            cores=len(os.sched_getaffinity(0)),
            file_system=_file_system(folder),
            load_average=os.getloadavg()[0],
        )


class Report(msgspec.Struct, frozen=True):
    """The file `NAME.json`."""

    benchmark: str
    quick: bool
    seconds: float
    machine: Machine
    method: tuple[str, ...]
    figures: Mapping[str, Sequence[Any]]
    checks: tuple[Check, ...]


class Benchmark(msgspec.Struct, frozen=True):
    """A name for the command line, a line that says what it measures, and the module here whose `measure` does it.

    The module is imported when it is run: the list is there at once, and whatever is the matter with a benchmark.
    """

    name: str
    line: str
    module: str

    def run(self, options: Options) -> Findings:
        findings: Findings = importlib.import_module(f"tests.bench.{self.module}").measure(options)
        return findings

    def profile(self, options: Options) -> str:
        """Where the time goes, as text."""
        text: str = getattr(importlib.import_module("tests.bench.profiling"), f"profile_{self.name}")(options)
        return text


def conduct(benchmark: Benchmark, options: Options, *, into: Path, console: Console) -> Report:
    """Run, print and keep. Raises what the benchmark raises; then nothing is kept."""
    machine = Machine.here(options.folder)
    began_s = time.monotonic()
    findings = benchmark.run(options)
    report = Report(
        benchmark=benchmark.name,
        quick=options.quick,
        seconds=round(time.monotonic() - began_s, 1),
        machine=machine,
        method=findings.method,
        figures=findings.figures,
        checks=findings.checks,
    )
    into.mkdir(parents=True, exist_ok=True)
    path = into / (f"{benchmark.name}-quick.json" if options.quick else f"{benchmark.name}.json")
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    show(report, findings.sheets, console)
    console.print(f"{report.seconds:g} s; raw figures in {path}\n", highlight=False)
    return report


def show(report: Report, sheets: Sequence[Sheet], console: Console) -> None:
    """Print the tables, and the checks last."""
    facts = report.machine
    console.print(
        f"[bold]{report.benchmark}[/]: Python {facts.python}, SQLite {facts.sqlite} (peers {facts.sqlite_of_peers}), "
        f"{facts.cores} cores, {facts.file_system}, load {facts.load_average:.2f}",
        highlight=False,
    )
    for line in report.method:
        console.print(f"  {line}", highlight=False, style="dim")
    for sheet in sheets:
        console.print(_table(sheet))
    console.print(_table(_checks_sheet(report.checks)))


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of `values` that at least `percent` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100).__trunc__() - 1)]


def count_words(rows: int) -> str:
    """10000 as 10k, 1000000 as 1M."""
    for unit, letter in ((1_000_000, "M"), (1000, "k")):
        if rows >= unit and rows % unit == 0:
            return f"{rows // unit}{letter}"
    return str(rows)


def _checks_sheet(checks: Sequence[Check]) -> Sheet:
    rows = tuple(
        (
            check.name,
            "not measured" if check.value is None else f"{check.value:,.2f}",
            f"{check.relation} {check.bound:,g}",
            "[green]holds[/]" if check.holds else "[red bold]does not hold[/]",
        )
        for check in checks
    )
    return Sheet("checks", ("check", "value", "bound", ""), rows)


def _table(sheet: Sheet) -> Table:
    table = Table(title=sheet.title, title_justify="left", title_style="bold")
    for index, column in enumerate(sheet.columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=index == 0)
    for row in sheet.rows:
        table.add_row(*row)
    return table


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _file_system(folder: Path) -> str:
    """What the folder's file system is called, by the longest mount point that holds it."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "unknown"
    holding = [(place, kind) for place, kind in mounts if folder.resolve().is_relative_to(place)]
    return max(holding, key=lambda mount: len(mount[0]), default=("", "unknown"))[1]
