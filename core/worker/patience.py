"""Doing something as soon as Telegram lets it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

from telecine.core.clock import Clock
from telecine.core.errors import ConfigError, FloodWaitError, TelecineError, TelegramError, UnavailableError
from telecine.core.worker.telegram.calls import SIGNED_OUT

PAUSE_S = 1.0  # after trouble that is not a link's fault; doubled each time
PAUSE_S_MAX = 60.0

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Connection(Protocol):
    """What may have been lost: the account's."""

    async def reconnect(self) -> None: ...


class Patience:
    """Waits out what Telegram asks for, and what keeps it from answering. `session` is named to the operator."""

    def __init__(self, clock: Clock, session: Path) -> None:
        self._clock = clock
        self._session = session

    async def despite_trouble(
        self,
        connection: Connection,
        work: Callable[[], Awaitable[T]],
        pauses: Iterator[float],
        trouble: TelecineError | None = None,
    ) -> T:
        """Do `work` as soon as Telegram lets it: waits out waits, connects again, tries again.

        Raises ConfigError for an account that is signed out, TelegramError for every other refusal.
        """
        for pause_s in pauses:
            try:
                if trouble is not None:
                    await self.sit_out(trouble, pause_s)
                await connection.reconnect()
                return await work()
            except (FloodWaitError, UnavailableError) as error:
                trouble = error
            except TelegramError as error:
                if error.name not in SIGNED_OUT:
                    raise
                trouble = error
        raise AssertionError  # the pauses never end

    async def sit_out(self, trouble: TelecineError, pause_s: float) -> None:
        """Wait as long as Telegram asks, else `pause_s`. Raises ConfigError for an account that is signed out."""
        if is_signed_out(trouble):
            raise ConfigError(f"{self._session}: {trouble}", hint="run `telecine login` again") from trouble
        wait_s = trouble.seconds if isinstance(trouble, FloodWaitError) else pause_s
        logger.warning("%s; trying again in %g s", trouble, wait_s)
        await self._clock.sleep(wait_s)


def is_signed_out(trouble: TelecineError) -> bool:
    """Whether Telegram has ended the account's session."""
    return isinstance(trouble, TelegramError) and trouble.name in SIGNED_OUT


def pauses() -> Iterator[float]:
    """Seconds between tries: growing, for ever."""
    pause_s = PAUSE_S
    while True:
        yield pause_s
        pause_s = min(pause_s * 2, PAUSE_S_MAX)
