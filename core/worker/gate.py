"""Where work stands still while an operator has paused it."""

from __future__ import annotations

import asyncio


class Gate:
    """Open, or closed for the time of a pause.

    Work passes it between two parts and before a message, so that a pause is obeyed as soon as what is on the wire
    has arrived, and nothing that has been done is lost. Leases are kept alive beside it.
    """

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self._opened.set()

    @property
    def is_open(self) -> bool:
        return self._opened.is_set()

    def open(self) -> None:
        """Let all that waits, and all that comes, go on."""
        self._opened.set()

    def close(self) -> None:
        """Have all that comes wait. What has passed before is not called back."""
        self._opened.clear()

    async def passed(self) -> None:
        """Return at once while the gate is open, else once it is."""
        while not self._opened.is_set():  # it may have been closed again before this woke
            await self._opened.wait()
