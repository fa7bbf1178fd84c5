"""Processes that are killed, frozen and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parents[3]
STOP_TIMEOUT_S = 20.0


class DiedError(Exception):
    """A process ended that nobody had ended."""


class Child:
    """A Python module as a process, again and again. Its log is appended to `NAME.log`."""

    def __init__(self, name: str, module: str, arguments: Sequence[str], *, log: Path, inherits: int = -1) -> None:
        self.name = name
        self.boots = 0
        self._module = module
        self._arguments = arguments
        self._log = log
        self._inherits = inherits
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start anew; the process is told which of its starts this is where its arguments hold `BOOT`."""
        self.boots += 1
        arguments = [str(self.boots) if argument == "BOOT" else argument for argument in self._arguments]
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                self._module,
                *arguments,
                cwd=ROOT,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=() if self._inherits < 0 else (self._inherits,),
                start_new_session=True,
            )

    @property
    def pid(self) -> int | None:
        """None where it is not up."""
        return None if self._process is None else self._process.pid

    def check(self) -> None:
        """Raises DiedError."""
        if self._process is not None and self._process.returncode is not None:
            raise DiedError(f"{self.name} ended by itself with status {self._process.returncode}:\n{self.tail()}")

    async def kill(self) -> bool:
        """SIGKILL, running or frozen; False where it is not up. Raises DiedError where it has ended by itself."""
        self.check()
        if self._process is None:
            return False
        process, self._process = self._process, None
        process.kill()
        await process.wait()
        return True

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    async def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    async def stop(self) -> None:
        """SIGTERM. Raises DiedError for a process that does not end in order."""
        self.check()
        if self._process is None:
            return
        self._process.terminate()
        async with asyncio.timeout(STOP_TIMEOUT_S):
            status = await self._process.wait()
        if status:
            raise DiedError(f"{self.name} ended with status {status}:\n{self.tail()}")
        self._process = None

    def tail(self, lines: int = 30) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


class Steps:
    """A pipe that processes write a byte to for each step they take: how the test hears that something goes on."""

    def __init__(self) -> None:
        self._read, self.descriptor = os.pipe()
        self._taken = 0
        self._stepped = asyncio.Event()

    def __enter__(self) -> Self:
        os.set_blocking(self._read, False)
        asyncio.get_running_loop().add_reader(self._read, self._on_steps)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._read)
        os.close(self._read)
        os.close(self.descriptor)

    async def take(self, count: int, *, patience_s: float) -> bool:
        """Wait for so many steps from now on; False where they did not come in time."""
        goal = self._taken + count
        try:
            async with asyncio.timeout(patience_s):
                while self._taken < goal:
                    self._stepped.clear()
                    await self._stepped.wait()
        except TimeoutError:
            return False
        return True

    def _on_steps(self) -> None:
        self._taken += len(os.read(self._read, 65_536))
        self._stepped.set()
