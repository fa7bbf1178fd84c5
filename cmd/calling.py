"""Asking the coordinator for one thing, or for a list that comes in pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TypeVar

import click

from telecine.cmd import settings
from telecine.cmd.running import run
from telecine.core.api import Api

T = TypeVar("T")
Page = TypeVar("Page")

PAGE_LENGTH = 1000  # as many as the API gives at once


def call(ctx: click.Context, question: Callable[[Api], Awaitable[T]]) -> T:
    """What the coordinator answers to `question`. Raises the TelecineError that it answers with."""

    async def ask() -> T:
        async with settings.coordinator(ctx) as api:
            return await question(api)

    return run(ask())


def and_one_more(limit: int | None) -> int | None:
    """How many rows to ask for, so as to know whether there are more than `limit`."""
    return None if limit is None else limit + 1


async def pages(
    api: Api,
    path: str,
    kind: type[Page],
    query: Mapping[str, str | int | None],
    *,
    limit: int | None = None,
    cursor: str = "after",
) -> AsyncIterator[Page]:
    """The pages of a list, one after another: `limit` rows in all, or every row. What is None in `query` is left out.

    `cursor` names the parameter, and the field of a page, that continues the list; None in the field ends it.
    """
    left, position = limit, None
    while left is None or left > 0:
        length = PAGE_LENGTH if left is None else min(left, PAGE_LENGTH)
        asked = {**query, "limit": length, cursor: position}
        page = await api.get(path, kind, {name: value for name, value in asked.items() if value is not None})
        yield page
        position = getattr(page, cursor)
        if position is None:
            return
        left = None if left is None else left - length
