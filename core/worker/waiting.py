"""Waiting for whichever comes first, and leaving nothing running behind."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def ended(*tasks: asyncio.Task[Any]) -> None:
    """Cancel what still runs and wait until it has; how each ended stays in the task."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


async def first_of(*works: Coroutine[Any, Any, object]) -> None:
    """Return as soon as one of them has ended; the others are cut off. Raises what the ones that ended raise."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await ended(*tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()
