"""The picture that `telecine work` draws, and who gets to see it."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import click
import msgspec
import pytest
from rich.console import Console

from telecine.cmd.main import cli
from telecine.cmd.progress import drawn, picture
from telecine.core.clock import SystemClock
from telecine.core.protocol import Stage
from telecine.core.worker.board import Board, WorkerState, WorkerView
from telecine.core.worker.gauge import JobView
from telecine.core.worker.park import Park

UPLOADING = JobView(
    lease="1.1.1",
    code="CM_M000321_1080P",
    stage=Stage.UPLOADING,
    seconds=30.0,
    link_id=7,
    host="media.example",
    plan="remux",
    bytes_done=500_000_000,
    bytes_total=2_000_000_000,
    bytes_per_s=20_000_000.0,
    eta_s=75.0,
)
VIEW = WorkerView(
    name="cm-ember",
    state=WorkerState.WORKING,
    seconds=7500.0,
    jobs=(UPLOADING, JobView("1.2.1", "CM_S000045_S01E03_720P", Stage.OPENING, 1.0)),
    jobs_max=2,
    done=12,
    failed=1,
    bytes_done=4_100_000_000,
)


def lines(view: WorkerView, width: int = 120) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as captured:
        console.print(picture(view))
    return [line.rstrip() for line in captured.get().splitlines()]


def test_a_line_tells_of_each_job_and_one_of_the_worker() -> None:
    head, first, second, summary = lines(VIEW)
    assert head.split() == ["upload", "stage", "from", "plan", "bytes", "rate", "left"]
    assert " ".join(first.split()) == (
        "CM_M000321_1080P uploading media.example remux 500.0 MB of 2.0 GB 25% 20.0 MB/s 1 min 15 s"
    )
    assert second.split() == ["CM_S000045_S01E03_720P", "opening"]
    assert summary == ("cm-ember working · 2 of 2 jobs · 12 done, 1 failed · 4.1 GB in 2 h 5 min · 20.0 MB/s")
    assert "1 failed, 3 given back ·" in lines(msgspec.structs.replace(VIEW, given_back=3))[-1]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_picture_keeps_to_any_width_and_shows_which_upload_it_is(width: int) -> None:
    drawn_lines = lines(VIEW, width)
    assert len(drawn_lines) == 4
    assert max(map(len, drawn_lines)) <= width
    assert drawn_lines[1].startswith("CM_M000321_1080P" if width >= 60 else "CM_M0003")


def test_an_idle_worker_is_one_line() -> None:
    (summary,) = lines(WorkerView("cm-ember", WorkerState.STARTING, 0.2))
    assert summary.startswith("cm-ember starting · 0 of 1 job · 0 done")


def test_a_parked_account_is_told_of() -> None:
    *_, told = lines(msgspec.structs.replace(VIEW, parked_s=720.0, parked_for="messages.sendMedia"))
    assert told == "Telegram takes no messages.sendMedia for another 12 min"


def test_a_name_from_elsewhere_does_not_steer_the_terminal() -> None:
    job = msgspec.structs.replace(UPLOADING, host="\x1b[2J[red]evil")
    assert "\x1b" not in "".join(lines(msgspec.structs.replace(VIEW, jobs=(job,))))


async def test_what_is_logged_scrolls_by_above_and_the_handlers_come_back() -> None:
    screen = io.StringIO()
    console = Console(file=screen, width=80, force_terminal=True, color_system=None)
    root = logging.getLogger()
    plain = logging.StreamHandler(io.StringIO())
    root.addHandler(plain)
    try:
        async with drawn(Board("cm-ember", SystemClock(), Park(SystemClock()), jobs_max=2), console):
            logging.getLogger("telecine.tests").warning("something happened")
            assert plain not in root.handlers
        assert plain in root.handlers
    finally:
        root.removeHandler(plain)
    assert "warning: something happened" in screen.getvalue()
    assert screen.getvalue().count("something happened") == 1


def test_no_color_is_minded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with console.capture() as captured:
        console.print(picture(VIEW))
    assert "\x1b[3" not in captured.get()


def test_live_without_a_terminal_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "telecine.toml"
    config.write_text(
        '[telegram]\napi_id = 1\napi_hash = "h"\n[worker]\nname = "cm-ember"\n'
        'coordinator_url = "http://127.0.0.1:1"\ntoken = "t"\nsession = "ember.session"\n'
    )
    with pytest.raises(click.BadParameter, match="terminal"):
        cli.main(["-c", str(config), "work", "--log-format", "live"], standalone_mode=False)
