"""Moving several uploads, one after another: one that cannot be moved does not keep the others from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

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


class _Saying:
    """Says what becomes of each, whether or not somebody takes it. `error`: why nobody does."""

    def __init__(self) -> None:
        self.error: OSError | None = None

    def show(self, moved: VariantMoved, told: str) -> None:
        self._say(lambda: show_move(moved, told))

    def note(self, refusal: Refusal) -> None:
        self._say(lambda: note(str(refusal)))

    def _say(self, words: Callable[[], None]) -> None:
        try:
            words()
        except OSError as error:
            self.error = error


def move(ctx: click.Context, codes: Iterable[str], how: Move, *, as_json: bool, told: str = "") -> None:
    """Move all `codes` and say of each what became of it, and what it was `told`, which its state does not show.

    Raises TelecineError, at the end, where some were refused, and OSError where what was to be said could not be: they
    are moved all the same. What concerns them all, such as a coordinator that does not answer, ends it at once.
    """
    chosen = tuple(dict.fromkeys(codes))
    moved: list[VariantMoved] = []
    refused: list[Refusal] = []
    saying = _Saying()

    async def go(api: Api) -> None:
        for code in chosen:
            try:
                moved.append(await how(api, code))
            except (ConflictError, InputError, NotFoundError) as error:
                refused.append(Refusal(code, complaint(error)))
                if len(chosen) > 1:
                    saying.note(refused[-1])
            else:
                if not as_json:
                    saying.show(moved[-1], told)

    try:
        call(ctx, go)
    finally:
        if as_json:
            document(Moves(tuple(moved), tuple(refused)))
    if refused:
        several = f"{len(refused)} of {amount(len(chosen), 'upload')} stayed as before"
        raise TelecineError(several if len(chosen) > 1 else str(refused[0]))
    if saying.error is not None:
        raise saying.error


def show_move(moved: VariantMoved, told: str = "") -> None:
    """One line about an upload that moved."""
    click.echo(f"{moved.code:28}  {moved.state.value}{told and f'  {told}'}")


def codes_in(ctx: click.Context, state: VariantState) -> list[str]:
    """The codes of all uploads that are in a state now."""

    async def ask(api: Api) -> list[str]:
        found = pages(api, "/v1/variants", VariantPage, {"state": state.value})
        return [variant.code async for page in found for variant in page.variants]

    return call(ctx, ask)
