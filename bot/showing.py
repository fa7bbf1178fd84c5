"""Putting a screen in front of a user: as a new message, or in the place of the one whose button was pressed."""

from __future__ import annotations

from aiogram.exceptions import TelegramBadRequest
from aiogram.types import CallbackQuery, Message

from telecine.bot.screens import Screen, query_of

_UNCHANGED = "message is not modified"
_NOT_EDITABLE = ("message can't be edited", "message to edit not found", "MESSAGE_ID_INVALID")
_TOO_OLD = "query is too old"


async def show(event: Message | CallbackQuery, screen: Screen) -> None:
    """Answer a message with the screen, or edit it into the message of a pressed button and answer the press.

    A message that can no longer be edited is followed by a new one. Raises aiogram's TelegramAPIError.
    """
    if isinstance(event, Message):
        await event.answer(screen.text, reply_markup=screen.keyboard)
        return
    await _replace(event, screen)
    await close(event)


async def close(press: CallbackQuery, text: str | None = None, *, alert: bool = False) -> None:
    """Answer a press, so that the button stops spinning. One that Telegram has given up on, or that has been answered,
    is let go; what an alert was to say is then a message."""
    try:
        await press.answer(text, show_alert=alert)
    except TelegramBadRequest as error:
        if _TOO_OLD not in error.message:
            raise
        if alert and text and press.message is not None:
            await press.message.answer(text)


def query_behind(press: CallbackQuery) -> str:
    """The words of the search that the pressed button belongs to."""
    return query_of(press.message.text) if isinstance(press.message, Message) else ""


async def _replace(press: CallbackQuery, screen: Screen) -> None:
    if isinstance(press.message, Message):
        try:
            await press.message.edit_text(screen.text, reply_markup=screen.keyboard)
        except TelegramBadRequest as error:
            if _UNCHANGED in error.message:
                return
            if not any(text in error.message for text in _NOT_EDITABLE):
                raise
        else:
            return
    if press.message is not None:
        await press.message.answer(screen.text, reply_markup=screen.keyboard)
