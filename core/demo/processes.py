"""Daemons as real processes: each with its log, its own session, and a place in the list of what is running."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from telecine.core.clock import Clock
from telecine.core.errors import TelecineError, UnavailableError

POLL_S = 0.1
STOP_TIMEOUT_S = 20.0
COMMAND_TIMEOUT_S = 60.0


class Process:
    """One daemon: `telecine` with some arguments."""

    def __init__(self, name: str, arguments: list[str], *, folder: Path, environ: Mapping[str, str] = {}) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._arguments = arguments
        self._folder = folder
        self._environ = environ
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start, or start again. The process outlives this one unless it is stopped."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", "telecine.cmd", *self._arguments],
                cwd=self._folder,
                env=os.environ | self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL: no chance to tidy up."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def stop(self) -> int | None:
        """SIGTERM and wait; SIGKILL if that does not help. The exit status, None if it was not running."""
        if self._process is None or self._process.poll() is not None:
            return self._process.returncode if self._process else None
        self._process.terminate()
        try:
            return await asyncio.to_thread(self._process.wait, STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.returncode

    async def until(self, ready: Callable[[], Awaitable[bool]], *, clock: Clock, timeout_s: float) -> None:
        """Wait until `ready`. Raises UnavailableError with the end of the log if the process dies or takes too long."""
        deadline_s = clock.monotonic_s() + timeout_s
        while not await ready():
            if not self.is_running:
                raise UnavailableError(f"{self.name} ended at once:\n{self.tail()}")
            if clock.monotonic_s() > deadline_s:
                raise UnavailableError(f"{self.name} is not ready after {timeout_s:g} s:\n{self.tail()}")
            await clock.sleep(POLL_S)

    def tail(self, lines: int = 20) -> str:
        """The last lines of the log."""
        with contextlib.suppress(FileNotFoundError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""


async def run_once(
    name: str, arguments: list[str], *, folder: Path, answers: Callable[[], Awaitable[bytes]] | None = None
) -> str:
    """Run a command that ends by itself; `answers` gives what is typed into it. Its stdout.

    Raises TelecineError with what the command said if it fails, UnavailableError if it takes too long.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "telecine.cmd",
        *arguments,
        cwd=folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # without a terminal of its own it reads even passwords from stdin
    )
    try:
        async with asyncio.timeout(COMMAND_TIMEOUT_S):
            output, errors = await process.communicate(await answers() if answers else None)
    except TimeoutError:
        process.kill()
        raise UnavailableError(f"{name} did not end within {COMMAND_TIMEOUT_S:g} s") from None
    if process.returncode != 0:
        raise TelecineError(f"{name} failed with status {process.returncode}: {errors.decode(errors='replace')}")
    return output.decode()


def write_pids(path: Path, processes: list[Process]) -> None:
    """Keep note of what is left running."""
    path.write_text("".join(f"{process.pid}\n" for process in processes if process.is_running))


def stop_leftovers(path: Path) -> int:
    """End what an earlier run left running, by its note. How many were told to end."""
    if not path.exists():
        return 0
    pids = [int(line) for line in path.read_text().split() if line.isdigit()]
    stopped = [pid for pid in pids if _is_ours(pid)]
    for pid in stopped:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    path.unlink()
    return len(stopped)


def _is_ours(pid: int) -> bool:
    """Whether the process is one of Telecine's: its number may have been given to another since."""
    try:
        return b"telecine.cmd" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
