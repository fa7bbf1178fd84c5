"""`telecine login`: sign a worker's Telegram account in."""

from __future__ import annotations

import asyncio

import click

from telecine.cmd import settings
from telecine.cmd.running import run
from telecine.core.worker.telegram.login import SignedIn, sign_in


@click.command()
@click.option("--phone", metavar="NUMBER", help="The account's number with +; worker.phone by default.")
@click.pass_context
def login(ctx: click.Context, phone: str | None) -> None:
    """Sign the worker's account in: number, the code that Telegram sends, and the second password if there is one.

    The session goes to worker.session, readable by you alone and locked against a second process: a session that is
    used from two machines is destroyed by Telegram. Safe to repeat: an account that is signed in stays so.
    """
    config = settings.load(ctx)
    worker = settings.need(ctx, "worker", config.worker)
    telegram = settings.need(ctx, "telegram", config.telegram)
    number = phone or worker.phone or click.prompt("Phone number, with +", err=True)

    async def ask_code() -> str:
        return str(await asyncio.to_thread(click.prompt, "Code that Telegram sent", err=True))

    async def ask_password() -> str:
        return str(await asyncio.to_thread(click.prompt, "Second password", hide_input=True, err=True))

    async def go() -> SignedIn:
        return await sign_in(telegram, worker.session, phone=number, ask_code=ask_code, ask_password=ask_password)

    signed_in = run(go())
    premium = "Premium" if signed_in.premium else "not Premium: files up to 2 GB"
    before = "was already signed in" if signed_in.already else "is signed in"
    click.echo(f"{signed_in.name} ({signed_in.user_id}, {premium}) {before}; session in {worker.session}")
