from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest
from aiogram.types import BotCommand, ChatMemberAdministrator, InlineKeyboardButton, InlineKeyboardMarkup, Message

from telecine.core.emulator.telegram.presses import PressAnswer

if TYPE_CHECKING:
    from tests.core.emulator.botapi.conftest import Telegram

BUTTON = InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text="Play", callback_data="play:1")]])


async def test_text_and_keyboard_are_replaced(telegram: Telegram, bot: Bot) -> None:
    telegram.say("/start")
    sent = await bot.send_message(telegram.user.id, "one", reply_markup=BUTTON)
    edited = await bot.edit_message_text("two", chat_id=telegram.user.id, message_id=sent.message_id)
    assert isinstance(edited, Message)
    assert (edited.text, edited.reply_markup, edited.message_id) == ("two", None, sent.message_id)
    assert edited.edit_date is not None
    await bot.edit_message_reply_markup(chat_id=telegram.user.id, message_id=sent.message_id, reply_markup=BUTTON)
    assert telegram.inbox()[-1].content.text == "two"
    assert telegram.inbox()[-1].content.markup is not None


async def test_edit_that_changes_nothing_is_refused(telegram: Telegram, bot: Bot) -> None:
    telegram.say("/start")
    sent = await bot.send_message(telegram.user.id, "one", reply_markup=BUTTON)
    with pytest.raises(TelegramBadRequest, match="Bad Request: message is not modified"):
        await bot.edit_message_text("one", chat_id=telegram.user.id, message_id=sent.message_id, reply_markup=BUTTON)


async def test_caption_is_edited_where_there_is_a_file(telegram: Telegram, bot: Bot) -> None:
    posted = telegram.upload("old")
    await bot.edit_message_caption(chat_id=telegram.channel.chat_id, message_id=posted.post_id, caption="new")
    assert telegram.world.messages.in_channel(telegram.channel)[0].content.text == "new"
    with pytest.raises(TelegramBadRequest, match="there is no text in the message to edit"):
        await bot.edit_message_text("text", chat_id=telegram.channel.chat_id, message_id=posted.post_id)


async def test_what_cannot_be_edited_says_why(telegram: Telegram, bot: Bot) -> None:
    asked = telegram.say("/start")
    sent = await bot.send_message(telegram.user.id, "one")
    for number, text in (
        (999, "message to edit not found"),
        (asked.ids[telegram.bot.id], "message can't be edited"),
    ):
        with pytest.raises(TelegramBadRequest, match=text):
            await bot.edit_message_text("two", chat_id=telegram.user.id, message_id=number)
    with pytest.raises(TelegramBadRequest, match="there is no caption in the message to edit"):
        await bot.edit_message_caption(chat_id=telegram.user.id, message_id=sent.message_id, caption="x")


async def test_deleted_messages_are_gone_for_both(telegram: Telegram, bot: Bot) -> None:
    telegram.say("/start")
    sent = [await bot.send_message(telegram.user.id, str(n)) for n in range(3)]
    assert await bot.delete_message(telegram.user.id, sent[0].message_id)
    assert await bot.delete_messages(telegram.user.id, [one.message_id for one in sent[1:]] + [999])
    assert [message.content.text for message in telegram.inbox()] == ["/start"]
    with pytest.raises(TelegramBadRequest, match="message to delete not found"):
        await bot.delete_message(telegram.user.id, sent[0].message_id)


async def test_message_older_than_48_hours_stays(telegram: Telegram, bot: Bot) -> None:
    telegram.say("/start")
    sent = await bot.send_message(telegram.user.id, "old")
    telegram.inbox()[-1].date_s -= 49 * 3600
    with pytest.raises(TelegramBadRequest, match="message can't be deleted"):
        await bot.delete_message(telegram.user.id, sent.message_id)


async def test_pressed_button_is_answered_once(telegram: Telegram, bot: Bot) -> None:
    telegram.say("/start")
    sent = await bot.send_message(telegram.user.id, "choose", reply_markup=BUTTON)
    press = asyncio.create_task(telegram.world.presses.press(telegram.user.id, telegram.inbox()[-1], b"play:1"))
    updates = await bot.get_updates(timeout=5, offset=-1)
    query = updates[-1].callback_query
    assert query is not None
    assert isinstance(query.message, Message)
    assert (query.data, query.message.message_id) == ("play:1", sent.message_id)
    assert query.from_user.id == telegram.user.id
    assert await bot.answer_callback_query(query.id, text="Here", show_alert=True)
    assert await press == PressAnswer("Here", alert=True)
    with pytest.raises(TelegramBadRequest, match="query is too old and response timeout expired"):
        await bot.answer_callback_query(query.id)


async def test_chats_and_members_are_described(telegram: Telegram, bot: Bot) -> None:
    channel = await bot.get_chat(telegram.channel.chat_id)
    assert (channel.type, channel.title) == ("channel", "Storage")
    member = await bot.get_chat_member(telegram.channel.chat_id, telegram.bot.id)
    assert isinstance(member, ChatMemberAdministrator)
    assert member.can_post_messages
    assert (await bot.get_chat_member(telegram.channel.chat_id, telegram.user.id)).status == "left"
    owner = await bot.get_chat_member(telegram.channel.chat_id, telegram.uploader.id)
    assert owner.status == "creator"
    with pytest.raises(TelegramBadRequest, match="chat not found"):
        await bot.get_chat(telegram.user.id)
    telegram.say("/start")
    assert (await bot.get_chat(telegram.user.id)).username == "ada"
    assert await bot.send_chat_action(telegram.user.id, "upload_video")


async def test_commands_are_kept(telegram: Telegram, bot: Bot) -> None:
    await bot.set_my_commands([BotCommand(command="search", description="Find a title")])
    kept = await bot.get_my_commands()
    assert [(one.command, one.description) for one in kept] == [("search", "Find a title")]
    with pytest.raises(TelegramBadRequest, match="BOT_COMMAND_INVALID"):
        await bot.set_my_commands([BotCommand(command="Bad Name", description="x")])
    await bot.delete_my_commands()
    assert await bot.get_my_commands() == []
