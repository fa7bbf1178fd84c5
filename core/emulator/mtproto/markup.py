"""Buttons and styled text between the world and TL."""

from __future__ import annotations

from typing import Any

from telethon.tl import types

from telecine.core.emulator.telegram.entities import (
    ForceReply,
    InlineButton,
    InlineKeyboard,
    Markup,
    ReplyKeyboard,
    TextEntity,
)

_ENTITY_TYPES: dict[str, Any] = {
    "mention": types.MessageEntityMention,
    "hashtag": types.MessageEntityHashtag,
    "cashtag": types.MessageEntityCashtag,
    "bot_command": types.MessageEntityBotCommand,
    "url": types.MessageEntityUrl,
    "email": types.MessageEntityEmail,
    "phone_number": types.MessageEntityPhone,
    "bold": types.MessageEntityBold,
    "italic": types.MessageEntityItalic,
    "underline": types.MessageEntityUnderline,
    "strikethrough": types.MessageEntityStrike,
    "spoiler": types.MessageEntitySpoiler,
    "code": types.MessageEntityCode,
    "blockquote": types.MessageEntityBlockquote,
}
_ENTITY_KINDS = {kind.CONSTRUCTOR_ID: name for name, kind in _ENTITY_TYPES.items()}


def render_entity(entity: TextEntity) -> Any:
    if entity.kind == "text_link":
        return types.MessageEntityTextUrl(entity.offset, entity.length, entity.url or "")
    if entity.kind == "pre":
        return types.MessageEntityPre(entity.offset, entity.length, entity.language or "")
    kind = _ENTITY_TYPES.get(entity.kind, types.MessageEntityUnknown)
    return kind(entity.offset, entity.length)


def read_entities(given: list[Any] | None) -> tuple[TextEntity, ...]:
    """Styles that a client sent; those that have no counterpart are left out."""
    return tuple(entity for entity in map(_read_entity, given or ()) if entity is not None)


def _read_entity(given: Any) -> TextEntity | None:
    if isinstance(given, types.MessageEntityTextUrl):
        return TextEntity("text_link", given.offset, given.length, url=given.url)
    if isinstance(given, types.MessageEntityPre):
        return TextEntity("pre", given.offset, given.length, language=given.language or None)
    kind = _ENTITY_KINDS.get(given.CONSTRUCTOR_ID)
    return None if kind is None else TextEntity(kind, given.offset, given.length)


def render_markup(markup: Markup | None) -> Any:
    if markup is None:
        return None
    if isinstance(markup, InlineKeyboard):
        rows = [types.KeyboardInlineButtonRow([_inline_button(b) for b in row]) for row in markup.rows]
        return types.ReplyInlineMarkup(rows)
    if isinstance(markup, ReplyKeyboard):
        return types.ReplyKeyboardMarkup(
            [types.KeyboardButtonRow([_reply_button(text) for text in row]) for row in markup.rows],
            resize=markup.resize,
            single_use=markup.one_time,
            placeholder=markup.placeholder,
        )
    if isinstance(markup, ForceReply):
        return types.ReplyKeyboardForceReply(placeholder=markup.placeholder)
    return types.ReplyKeyboardHide()


def _reply_button(text: str) -> Any:
    return types.KeyboardButton(text, types.ButtonTypeDefault())


def _inline_button(button: InlineButton) -> Any:
    if button.url is not None:
        kind = types.InlineButtonTypeUrl(button.url)
    elif button.query is not None:
        kind = types.InlineButtonTypeSwitchInline(button.query, same_peer=button.query_here)
    else:
        kind = types.InlineButtonTypeCallback(button.data or b"")
    return types.KeyboardInlineButton(button.text, kind)
