"""Waiting for what tells nobody when it changes, such as another process: it is looked at again and again. Where there
is something that can be waited for, wait for that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

LOOK_AGAIN_S = 0.01


async def until(condition: Callable[[], object], within_s: float = 10.0) -> None:
    """Wait until the condition holds. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(LOOK_AGAIN_S)


async def found(look: Callable[[], Awaitable[T | None]], within_s: float = 10.0) -> T:
    """The first that `look` finds. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while (seen := await look()) is None:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_AGAIN_S)
    return seen
