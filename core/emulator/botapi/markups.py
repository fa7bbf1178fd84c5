"""Keyboards under messages and in place of the user's own."""

from __future__ import annotations

from telecine.core.emulator.botapi.errors import bad_request
from telecine.core.emulator.botapi.parameters import ButtonParameters, KeyParameters, MarkupParameters
from telecine.core.emulator.telegram.entities import (
    ForceReply,
    InlineButton,
    InlineKeyboard,
    Markup,
    RemoveKeyboard,
    ReplyKeyboard,
)


def markup(given: MarkupParameters | None) -> Markup | None:
    """The `reply_markup` of a message to send; an inline keyboard without buttons is none."""
    if given is None:
        return None
    if given.inline_keyboard is not None:
        return inline_keyboard(given)
    if given.keyboard is not None:
        rows = tuple(tuple(_key_text(key) for key in row) for row in given.keyboard)
        return ReplyKeyboard(rows, given.resize_keyboard, given.one_time_keyboard, given.input_field_placeholder)
    if given.remove_keyboard:
        return RemoveKeyboard()
    return ForceReply(given.input_field_placeholder) if given.force_reply else None


def inline_keyboard(given: MarkupParameters | None) -> InlineKeyboard | None:
    """The `reply_markup` of a message to edit, where nothing but inline keyboards can be."""
    if given is None or not given.inline_keyboard:
        return None
    rows = tuple(tuple(_button(button) for button in row) for row in given.inline_keyboard if row)
    return InlineKeyboard(rows) if rows else None


def _key_text(key: KeyParameters | str) -> str:
    return key if isinstance(key, str) else key.text


def _button(given: ButtonParameters) -> InlineButton:
    if given.callback_data is not None:
        return InlineButton(given.text, data=given.callback_data.encode())
    if given.url is not None:
        return InlineButton(given.text, url=given.url)
    if given.switch_inline_query_current_chat is not None:
        return InlineButton(given.text, query=given.switch_inline_query_current_chat, query_here=True)
    if given.switch_inline_query is not None:
        return InlineButton(given.text, query=given.switch_inline_query)
    raise bad_request("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
