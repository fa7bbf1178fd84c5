"""Asking the person at the terminal while the event loop goes on, so that Ctrl-C ends the command at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import termios
from collections.abc import Iterator

import click

from telecine.core.errors import InputError

READ_BYTES = 4096


class Person:
    """Whoever sits at standard input. Questions go to stderr; what was typed ahead, or piped in, is kept in order."""

    def __init__(self) -> None:
        self._descriptor = sys.stdin.fileno()
        self._typed = bytearray()

    async def answer(self, question: str, *, hidden: bool = False, instead: str = "run it on a terminal") -> str:
        """One line. Raises InputError where nobody answers any more, which says what to do `instead`."""
        # Hidden from before it is asked for: who is quick must not be shown either.
        with _unseen(self._descriptor) if hidden else contextlib.nullcontext():
            click.echo(f"{question}: ", nl=False, err=True)
            line = await self._line()
        if line is None:
            click.echo(err=True)
            raise InputError(f"nobody answers: {question}", hint=instead)
        return line.decode(errors="replace").strip()

    async def _line(self) -> bytes | None:
        """None at the end of the input."""
        while b"\n" not in self._typed:
            await self._readable()
            read = os.read(self._descriptor, READ_BYTES)
            if not read:
                return None
            self._typed += read
        line, _, rest = bytes(self._typed).partition(b"\n")
        self._typed = bytearray(rest)
        return line

    async def _readable(self) -> None:
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        try:
            loop.add_reader(self._descriptor, ready.set)
        except OSError:
            return  # a file or /dev/null: never waits
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._descriptor)


@contextlib.contextmanager
def _unseen(descriptor: int) -> Iterator[None]:
    """Do not show what is typed into a terminal, and leave the terminal as it was."""
    if not os.isatty(descriptor):
        yield
        return
    before = termios.tcgetattr(descriptor)
    silent = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    termios.tcsetattr(descriptor, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
        click.echo(err=True)  # the new line that was not shown either


def confirm(question: str, *, yes: bool) -> None:
    """Go on only if the person agrees, or `yes` has said so before. Raises InputError where nobody agrees."""
    if yes:
        return
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        click.echo(err=True)  # the line of the question is still open
        agreed = False  # the end of a pipe or of a file
    if not agreed:
        raise InputError("nothing was changed", hint="--yes goes on without asking")
