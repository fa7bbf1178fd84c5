"""`telecine login`: sign a worker's Telegram account in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import click

from telecine.cmd import settings
from telecine.cmd.asking import Person
from telecine.cmd.running import run
from telecine.core.worker.telegram.login import SignedIn, sign_in

NO_TERMINAL = "run it on a terminal, which the code that Telegram sends needs as well; --phone or worker.phone names it"


@click.command()
@click.option("--phone", metavar="NUMBER", help="The account's number with +; worker.phone by default.")
@click.pass_context
def login(ctx: click.Context, phone: str | None) -> None:
    """Sign the worker's account in: number, the code that Telegram sends, and the second password if there is one.

    The session goes to worker.session, readable by you alone and locked against a second process: a session that is
    used from two machines is destroyed by Telegram. Safe to repeat: an account that is signed in stays so.

    \b
    telecine login
    telecine login --phone +15550100
    """
    config = settings.load(ctx, "telegram", "worker")
    worker = settings.need(ctx, "worker", config.worker)
    telegram = settings.need(ctx, "telegram", config.telegram)
    person = Person()

    async def go() -> SignedIn:
        number = phone or worker.phone or await person.answer("Phone number, with +", instead=NO_TERMINAL)
        return await sign_in(
            telegram,
            worker.session,
            phone=number,
            ask_code=_repeatable(person, "Code that Telegram sent"),
            ask_password=_repeatable(person, "Second password", hidden=True),
        )

    signed_in = run(go())
    premium = "Premium" if signed_in.premium else "not Premium: files up to 2 GB"
    before = "was already signed in" if signed_in.already else "is signed in"
    click.echo(f"{signed_in.name} ({signed_in.user_id}, {premium}) {before}; session in {worker.session}")


def _repeatable(person: Person, question: str, *, hidden: bool = False) -> Callable[[], Awaitable[str]]:
    """Asks; from the second time on it says why it asks again."""
    told = ""

    async def ask() -> str:
        nonlocal told
        question_now = f"{told}{question}"
        told = "Telegram refuses that one. "
        return await person.answer(question_now, hidden=hidden)

    return ask
