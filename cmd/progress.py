"""What a worker does, drawn on a terminal: a line a job, the totals, and below what scrolls by the events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from telecine.cmd.logs import TextFormatter
from telecine.cmd.wording import amount, duration, printable, size
from telecine.core.worker.board import Board, WorkerState, WorkerView
from telecine.core.worker.gauge import JobView

REDRAWN_EVERY_S = 0.5

_STYLES = {
    WorkerState.WORKING: "green",
    WorkerState.AWAY: "red",
    WorkerState.PAUSED: "yellow",
    WorkerState.DRAINING: "yellow",
    WorkerState.STOPPING: "yellow",
}


@asynccontextmanager
async def drawn(board: Board, console: Console) -> AsyncIterator[None]:
    """Draw the board, over and over, while the context lasts; what is logged meanwhile scrolls by above it."""
    live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)
    with live, _logged_above(console):
        console.show_cursor(True)  # a second signal ends the process without asking
        drawing = asyncio.create_task(_redraw(board, live), name="drawing")
        try:
            yield
        finally:
            drawing.cancel()
            await asyncio.wait([drawing])


async def _redraw(board: Board, live: Live) -> None:
    while True:
        live.update(picture(board.view()), refresh=True)
        await asyncio.sleep(REDRAWN_EVERY_S)


def picture(view: WorkerView) -> RenderableType:
    """A worker at one moment. Fits itself to any width."""
    parts: list[RenderableType] = [_jobs(view.jobs)] if view.jobs else []
    parts.append(_summary(view))
    if view.parked_for is not None:
        parts.append(
            Text(f"Telegram takes no {printable(view.parked_for)} for another {duration(view.parked_s)}", "yellow")
        )
    return Group(*parts)


def _jobs(jobs: tuple[JobView, ...]) -> Table:
    names = ("upload", "stage", "from", "plan", "bytes", "rate", "left")
    columns = [Column(name, no_wrap=True, overflow="ellipsis") for name in names]
    columns[0].min_width = 16  # the code is what one looks for
    grid = Table(*columns, box=None, pad_edge=False, header_style="dim")
    for job in jobs:
        grid.add_row(*map(Text, map(printable, _cells(job))))
    return grid


def _cells(job: JobView) -> tuple[str, ...]:
    return (
        job.code,
        job.stage.value,
        job.host or "",
        job.plan or "",
        _share(job),
        f"{size(round(job.bytes_per_s))}/s" if job.bytes_per_s > 0 else "",
        duration(job.eta_s) if job.eta_s is not None else "",
    )


def _share(job: JobView) -> str:
    if not job.bytes_total:
        return size(job.bytes_done) if job.bytes_done else ""
    percent = min(100, 100 * job.bytes_done // job.bytes_total)
    return f"{size(job.bytes_done)} of {size(job.bytes_total)} {percent}%"


def _summary(view: WorkerView) -> Text:
    given_back = f", {view.given_back} given back" if view.given_back else ""
    counts = f"{view.done} done, {view.failed} failed{given_back}"
    rate = sum(job.bytes_per_s for job in view.jobs)
    speed = f" · {size(round(rate))}/s" if rate > 0 else ""
    return Text.assemble(
        (printable(view.name), "bold"),
        " ",
        (view.state.value, _STYLES.get(view.state, "")),
        f" · {len(view.jobs)} of {amount(view.jobs_max, 'job')} · {counts}",
        f" · {size(view.bytes_done)} in {duration(view.seconds)}{speed}",
        overflow="ellipsis",
        no_wrap=True,
    )


class _Above(logging.Handler):
    """Prints what is logged above the picture."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self.setFormatter(TextFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        try:
            style = "red" if record.levelno >= logging.ERROR else "yellow" if record.levelno >= logging.WARNING else ""
            self._console.print(Text(self.format(record), style), soft_wrap=True)
        except Exception:  # noqa: BLE001 - as every handler does: what is told never harms the work
            self.handleError(record)


@contextmanager
def _logged_above(console: Console) -> Iterator[None]:
    """In place of what writes lines to the terminal without knowing of the picture."""
    root = logging.getLogger()
    replaced = [handler for handler in root.handlers if type(handler) is logging.StreamHandler]
    above = _Above(console)
    for handler in replaced:
        root.removeHandler(handler)
    root.addHandler(above)
    try:
        yield
    finally:
        root.removeHandler(above)
        for handler in replaced:
            root.addHandler(handler)
