"""Moving several uploads, one after another: one that cannot be moved does not keep the others from it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

import click
import msgspec

from telecine.cmd.calling import call, pages
from telecine.cmd.showing import document, note
from telecine.cmd.wording import amount, complaint
from telecine.core.api import Api
from telecine.core.errors import ConflictError, InputError, NotFoundError, TelecineError
from telecine.core.leases import VariantState
from telecine.core.operator_protocol import VariantMoved, VariantPage


class Refusal(msgspec.Struct, frozen=True):
    """An upload that was not moved, and why."""

    code: str
    detail: str

    def __str__(self) -> str:
        return self.detail if self.code in self.detail else f"{self.code}: {self.detail}"


class Moves(msgspec.Struct, frozen=True):
    """What `--json` prints: where the uploads are that were moved, and which were not."""

    variants: tuple[VariantMoved, ...]
    refused: tuple[Refusal, ...]


Move = Callable[[Api, str], Awaitable[VariantMoved]]


class _Moving:
    """Moves uploads, one at a time, and says what becomes of each, whether or not somebody takes it.

    `error`: why nobody does.
    """

    def __init__(self, how: Move, told: str, *, says_moves: bool, says_refusals: bool) -> None:
        self._how = how
        self._told = told
        self._says_moves = says_moves
        self._says_refusals = says_refusals
        self.moved: list[VariantMoved] = []
        self.refused: list[Refusal] = []
        self.error: OSError | None = None

    async def one(self, api: Api, code: str) -> None:
        try:
            moved = await self._how(api, code)
        except (ConflictError, InputError, NotFoundError) as error:
            refusal = Refusal(code, complaint(error))
            self.refused.append(refusal)
            if self._says_refusals:
                self._say(lambda: note(str(refusal)))
        else:
            self.moved.append(moved)
            if self._says_moves:
                self._say(lambda: show_move(moved, self._told))

    def _say(self, words: Callable[[], None]) -> None:
        try:
            words()
        except OSError as error:
            self.error = error


def move(ctx: click.Context, codes: Iterable[str], how: Move, *, as_json: bool, told: str = "") -> None:
    """Move all `codes` and say of each what became of it, and what it was `told`, which its state does not show.

    Raises TelecineError, at the end, where some were refused, and OSError where what was to be said could not be: they
    are moved all the same. What concerns them all, such as a coordinator that does not answer, ends it at once; Ctrl-C,
    after the one that is on its way.
    """
    chosen = tuple(dict.fromkeys(codes))
    moving = _Moving(how, told, says_moves=not as_json, says_refusals=len(chosen) > 1)

    async def go(api: Api) -> None:
        for code in chosen:
            await _to_its_end(moving.one(api, code))

    try:
        call(ctx, go)
    finally:
        if as_json:
            document(Moves(tuple(moving.moved), tuple(moving.refused)))
    if moving.refused:
        several = f"{len(moving.refused)} of {amount(len(chosen), 'upload')} stayed as before"
        raise TelecineError(several if len(chosen) > 1 else str(moving.refused[0]))
    if moving.error is not None:
        raise moving.error


async def _to_its_end(one: Coroutine[Any, Any, None]) -> None:
    """Cancelled, it ends only then: what may have been done by now is told of."""
    task = asyncio.create_task(one)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


def show_move(moved: VariantMoved, told: str = "") -> None:
    """One line about an upload that moved."""
    click.echo(f"{moved.code:28}  {moved.state.value}{told and f'  {told}'}")


def codes_in(ctx: click.Context, state: VariantState) -> list[str]:
    """The codes of all uploads that are in a state now."""

    async def ask(api: Api) -> list[str]:
        found = pages(api, "/v1/variants", VariantPage, {"state": state.value})
        return [variant.code async for page in found for variant in page.variants]

    return call(ctx, ask)
