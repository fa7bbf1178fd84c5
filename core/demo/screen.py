"""What the demonstration shows while it runs: a live picture on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from telecine.core.demo.report import Report
from telecine.core.leases import VariantState
from telecine.core.operator_protocol import Status, WorkerLease

REFRESH_PER_S = 8
PLAIN_STEP = 5  # variants settled between two lines
BAR_WIDTH = 28


class Screen:
    """Told what happens; draws it. `say` is for what a reader should remember, `tick` for what passes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._phase = ""
        self._passing: RenderableType = Text("")
        self._told = 0

    @contextmanager
    def open(self) -> Iterator[None]:
        """Draw live for as long as this lasts, where there is a terminal."""
        if not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, refresh_per_second=REFRESH_PER_S, transient=True) as live:
            self._live = live
            yield
        self._live = None

    def phase(self, text: str) -> None:
        """A new part of the demonstration begins."""
        self._phase, self._passing = text, Text("")
        self._console.print(Text(f"▸ {text}", style="bold"))
        self._draw()

    def say(self, text: str, style: str = "") -> None:
        """One line that stays."""
        self._console.print(Text(f"  {text}", style=style))

    def progress(self, label: str, done: float, total: float) -> None:
        """How far the phase is."""
        row = Table.grid(padding=(0, 1))
        row.add_row(
            f"  {label}", ProgressBar(total=max(total, 1), completed=done, width=BAR_WIDTH), f"{done:g}/{total:g}"
        )
        self._passing = row
        self._draw()

    def status(self, status: Status) -> None:
        """Queue and workers at this moment; without a terminal, the queue as often as it has moved a step."""
        self._passing = Group(_queue(status), _workers(status))
        self._draw()
        settled = _settled(status)
        if self._live is None and settled >= self._told + PLAIN_STEP:
            self._told = settled
            self.say(_states(status))

    def summary(self, report: Report) -> None:
        """The table at the end."""
        self._console.print(_summary(report))
        for what in report.not_met:
            self._console.print(Text(f"  did not happen: {what}", style="red"))
        for failure in report.failures:
            self._console.print(Text(f"  {failure.code}: {failure.why}", style="red"))

    def _draw(self) -> None:
        if self._live is not None:
            self._live.update(self._passing)


def _queue(status: Status) -> RenderableType:
    row = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=max(status.counts.variants, 1), completed=_settled(status), width=BAR_WIDTH)
    row.add_row("  queue", bar, _states(status))
    return row


def _settled(status: Status) -> int:
    return sum(status.counts.variants_by_state.get(state, 0) for state in (VariantState.DONE, VariantState.DEAD))


def _states(status: Status) -> str:
    return "  ".join(f"{count} {state}" for state, count in status.counts.variants_by_state.items() if count)


def _workers(status: Status) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    parked = {account.name: account for account in status.accounts if account.parked_s > 0}
    for worker in status.workers:
        account = parked.get(worker.account)
        if worker.leases:
            table.add_row(f"  {worker.name}", *_lease(worker.leases[0]))
        elif account is not None:
            table.add_row(f"  {worker.name}", "", f"parked for {account.parked_s:.0f} s: {account.park_reason or ''}")
        else:
            table.add_row(f"  {worker.name}", "", "waiting")
    return table


def _lease(held: WorkerLease) -> tuple[RenderableType, str]:
    progress = held.progress
    total = progress.bytes_total or max(progress.bytes_done, 1)
    bar = ProgressBar(total=total, completed=progress.bytes_done, width=BAR_WIDTH)
    return bar, f"{progress.bytes_done / 1e6:5.1f} MB  {held.code}, {progress.stage.value}"


def _summary(report: Report) -> Table:
    table = Table(title="what happened", title_justify="left", show_header=False, min_width=60)
    table.add_column()
    table.add_column(justify="right")
    table.add_row(
        "titles (films, series, episodes)", f"{report.titles} ({report.movies}, {report.series}, {report.episodes})"
    )
    table.add_row("source links, lost", f"{report.links}, {report.links_lost}")
    states = ", ".join(f"{count} {state}" for state, count in report.variants_by_state.items() if count)
    table.add_row("uploads", f"{report.variants}: {states}")
    table.add_row("files in channels", f"{report.parts} in {report.channels}")
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in report.attempts_by_outcome.items() if count)
    table.add_row("attempts", outcomes)
    faults = ", ".join(f"{count} {kind}" for kind, count in report.faults.items() if count)
    table.add_row("workers killed, faults met", f"{report.workers_killed}, {faults or 'none'}")
    table.add_row("delivered to the viewer", f"{report.deliveries} of {report.deliverable}")
    table.add_row("sent by file_id", str(report.sent_by_file_id))
    table.add_row("pictures compared", str(report.frames_compared))
    table.add_row("files that differ", str(report.mismatches))
    table.add_row("duplicate or orphan messages", str(report.duplicate_messages + report.orphan_messages))
    table.add_row("captions that do not say what is sent", str(report.mute_messages))
    table.add_row("seconds", f"{report.seconds:.0f}")
    return table
