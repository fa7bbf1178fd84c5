"""Deliver: a button, a link `t.me/bot?start=CODE` or a code as text brings the video."""

from __future__ import annotations

from typing import Any

from aiogram import Router
from aiogram.filters import CommandObject, CommandStart
from aiogram.types import CallbackQuery, Message

from telecine.bot import words
from telecine.bot.presses import SendVariant
from telecine.bot.showing import close
from telecine.core import codes
from telecine.core.delivery import DeliveryDesk, DeliveryOutcome
from telecine.core.errors import InputError, NotFoundError


def router() -> Router:
    deliver = Router(name="deliver")
    deliver.message.register(send_linked, CommandStart(deep_link=True))
    deliver.message.register(send_typed, names_code)
    deliver.callback_query.register(send_chosen, SendVariant.filter())
    return deliver


async def names_code(message: Message) -> dict[str, Any]:
    """A filter: texts that are a code, which it hands on. (Not a magic filter: aiogram gives those a thread each.)"""
    code = variant_in(message.text or "")
    return {"code": code} if code else {}


async def send_chosen(press: CallbackQuery, callback_data: SendVariant, desk: DeliveryDesk) -> None:
    resolved = await desk.resolve(callback_data.code)
    if not resolved.is_deliverable:
        await close(press, words.unavailable(resolved.state), alert=True)
        return
    await close(press, words.SENDING)  # a press waits for its answer seconds only, less than sending may take
    outcome = await desk.deliver(resolved, press.from_user.id)
    if outcome is DeliveryOutcome.MISSING and press.message is not None:
        await press.message.answer(words.QUEUED_AGAIN)


async def send_linked(message: Message, command: CommandObject, desk: DeliveryDesk) -> None:
    code = variant_in(command.args or "")
    if code is None:
        await message.answer(words.UNKNOWN_CODE)
        return
    await send_typed(message, code, desk)


async def send_typed(message: Message, code: str, desk: DeliveryDesk) -> None:
    try:
        resolved = await desk.resolve(code)
    except NotFoundError:
        await message.answer(words.UNKNOWN_CODE)
        return
    if not resolved.is_deliverable:
        await message.answer(words.unavailable(resolved.state))
        return
    outcome = await desk.deliver(resolved, message.chat.id)
    if outcome is DeliveryOutcome.MISSING:
        await message.answer(words.QUEUED_AGAIN)


def variant_in(text: str) -> str | None:
    """The code of the target that a text names, be it of one of its parts; None where the text is not a code."""
    try:
        return str(codes.parse(text.strip().upper()).variant)
    except InputError:
        return None
