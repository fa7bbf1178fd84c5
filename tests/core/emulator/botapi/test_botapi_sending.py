from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest, TelegramForbiddenError
from aiogram.types import (
    BufferedInputFile,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputMediaDocument,
    InputMediaVideo,
    KeyboardButton,
    MediaUnion,
    ReplyKeyboardMarkup,
)

from telecine.core.emulator.telegram import entities

if TYPE_CHECKING:
    from tests.core.emulator.botapi.conftest import Telegram


def keyboard(*data: str) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup(
        inline_keyboard=[[InlineKeyboardButton(text=one or "empty", callback_data=one)] for one in data]
    )


async def post_file_id(bot: Bot) -> str:
    """The bot's own file id of the newest post, as an update brings it."""
    update = (await bot.get_updates())[-1]
    assert update.channel_post is not None
    file = update.channel_post.video or update.channel_post.document
    assert file is not None
    return file.file_id


async def test_bot_knows_itself(telegram: Telegram, bot: Bot) -> None:
    me = await bot.get_me()
    assert (me.id, me.is_bot, me.username) == (telegram.bot.id, True, "telecine_bot")


async def test_text_with_buttons_reaches_the_user(telegram: Telegram, bot: Bot) -> None:
    telegram.say("/start")
    sent = await bot.send_message(
        telegram.user.id, "<b>Night</b> &amp; Train", parse_mode="HTML", reply_markup=keyboard("t:1", "t:2")
    )
    assert (sent.text, sent.chat.id, sent.chat.type) == ("Night & Train", telegram.user.id, "private")
    assert sent.from_user is not None
    assert sent.from_user.is_bot
    assert sent.entities is not None
    assert (sent.entities[0].type, sent.entities[0].length) == ("bold", 5)
    assert sent.reply_markup is not None
    received = telegram.inbox()[-1]
    assert received.content.text == "Night & Train"
    assert isinstance(received.content.markup, entities.InlineKeyboard)
    assert received.content.markup.rows[1][0].data == b"t:2"


async def test_reply_keyboard_and_reply_are_kept(telegram: Telegram, bot: Bot) -> None:
    asked = telegram.say("hello")
    markup = ReplyKeyboardMarkup(keyboard=[[KeyboardButton(text="Search")]], resize_keyboard=True)
    sent = await bot.send_message(
        telegram.user.id, "hi", reply_markup=markup, reply_to_message_id=asked.ids[telegram.bot.id]
    )
    assert sent.reply_to_message is not None
    assert sent.reply_to_message.text == "hello"
    assert telegram.inbox()[-1].content.markup == entities.ReplyKeyboard((("Search",),), resize=True)


async def test_video_by_file_id_is_the_very_file(telegram: Telegram, bot: Bot) -> None:
    telegram.say("/start")
    posted = telegram.upload()
    sent = await bot.send_video(telegram.user.id, await post_file_id(bot), caption="Enjoy")
    assert sent.video is not None
    assert (sent.video.width, sent.video.height, sent.video.duration) == (1920, 1080, 61)
    assert sent.caption == "Enjoy"
    assert telegram.inbox()[-1].content.document_id == posted.content.document_id


async def test_document_by_file_id_keeps_its_name(telegram: Telegram, bot: Bot) -> None:
    telegram.say("/start")
    telegram.upload(video=False)
    sent = await bot.send_document(telegram.user.id, await post_file_id(bot), protect_content=True)
    assert sent.document is not None
    assert sent.document.file_name == "film.mkv"
    assert sent.has_protected_content


@pytest.mark.parametrize("name", ["notes.txt", "no suffix", "od#d.na?me"])
async def test_uploaded_file_is_stored_and_can_be_fetched(telegram: Telegram, bot: Bot, name: str) -> None:
    telegram.say("/start")
    sent = await bot.send_document(telegram.user.id, BufferedInputFile(b"some text", name))
    assert sent.document is not None
    assert (sent.document.file_size, sent.document.file_name) == (9, name)
    content = await bot.download(sent.document)
    assert content is not None
    assert content.read() == b"some text"


async def test_file_that_is_too_big_is_not_fetched(telegram: Telegram, bot: Bot) -> None:
    telegram.upload(content=bytes(20 * 1024 * 1024 + 1))
    with pytest.raises(TelegramBadRequest, match="Bad Request: file is too big"):
        await bot.get_file(await post_file_id(bot))


async def test_uploaded_video_is_a_video(telegram: Telegram, bot: Bot) -> None:
    telegram.say("/start")
    sent = await bot.send_video(telegram.user.id, BufferedInputFile(b"mp4", "a.mp4"), duration=5, width=640, height=360)
    assert sent.video is not None
    assert (sent.video.width, sent.video.duration) == (640, 5)


async def test_album_shares_one_group(telegram: Telegram, bot: Bot) -> None:
    telegram.say("/start")
    telegram.upload("one")
    first = await post_file_id(bot)
    telegram.upload("two")
    second = await post_file_id(bot)
    sent = await bot.send_media_group(
        telegram.user.id,
        [InputMediaVideo(media=first, caption="Part 1"), InputMediaVideo(media=second)],
    )
    assert [message.caption for message in sent] == ["Part 1", None]
    assert sent[0].media_group_id == sent[1].media_group_id is not None
    assert len(telegram.inbox()) == 3


async def test_album_that_cannot_be_leaves_nothing(telegram: Telegram, bot: Bot) -> None:
    telegram.say("/start")
    telegram.upload()
    video = InputMediaVideo(media=await post_file_id(bot))
    telegram.upload(video=False)
    document = InputMediaDocument(media=await post_file_id(bot))
    albums: list[tuple[list[MediaUnion], str]] = [
        ([video], "too few messages to send as an album"),
        ([video] * 11, "too many messages to send as an album"),
        ([video, document], "document can't be mixed with other media types"),
        ([video, InputMediaVideo(media="BAACAgnonsense")], "wrong file identifier/HTTP URL specified"),
        ([video, InputMediaVideo(media=video.media, caption="x" * 1025)], "message caption is too long"),
    ]
    for media, text in albums:
        with pytest.raises(TelegramBadRequest, match=text):
            await bot.send_media_group(telegram.user.id, media)
    assert len(telegram.inbox()) == 1


async def test_file_id_of_another_bot_is_refused(telegram: Telegram, bot: Bot, other_bot: Bot) -> None:
    telegram.say("/start")
    telegram.world.messages.send(telegram.user.id, telegram.other_bot.id, entities.Content("/start"))
    telegram.upload()
    file_id = await post_file_id(bot)
    with pytest.raises(TelegramBadRequest, match="wrong file identifier/HTTP URL specified"):
        await other_bot.send_video(telegram.user.id, file_id)
    with pytest.raises(TelegramBadRequest, match="wrong file identifier"):
        await other_bot.get_file(file_id)


async def test_media_type_is_fixed(telegram: Telegram, bot: Bot) -> None:
    telegram.say("/start")
    telegram.upload(video=False)
    document = await post_file_id(bot)
    telegram.upload()
    video = await post_file_id(bot)
    with pytest.raises(TelegramBadRequest, match="type of file mismatch"):
        await bot.send_video(telegram.user.id, document)
    with pytest.raises(TelegramBadRequest, match="type of file mismatch"):
        await bot.send_document(telegram.user.id, video)


@pytest.mark.parametrize("file_id", ["", "AAAA", "not a file id", "http://example.com/film.mp4"])
async def test_what_is_no_file_id_is_refused(telegram: Telegram, bot: Bot, file_id: str) -> None:
    telegram.say("/start")
    with pytest.raises(TelegramBadRequest):
        await bot.send_video(telegram.user.id, file_id)
    assert len(telegram.inbox()) == 1


async def test_lengths_are_enforced(telegram: Telegram, bot: Bot) -> None:
    telegram.say("/start")
    telegram.upload()
    file_id = await post_file_id(bot)
    await bot.send_message(telegram.user.id, "x" * 4096)
    with pytest.raises(TelegramBadRequest, match="message is too long"):
        await bot.send_message(telegram.user.id, "x" * 4097)
    with pytest.raises(TelegramBadRequest, match="message text is empty"):
        await bot.send_message(telegram.user.id, "   ")
    await bot.send_video(telegram.user.id, file_id, caption="x" * 1024)
    with pytest.raises(TelegramBadRequest, match="message caption is too long"):
        await bot.send_video(telegram.user.id, file_id, caption="x" * 1025)


async def test_buttons_are_checked(telegram: Telegram, bot: Bot) -> None:
    telegram.say("/start")
    await bot.send_message(telegram.user.id, "ok", reply_markup=keyboard(*["x" * 64] * 100))
    for markup, text in (
        (keyboard("x" * 65), "BUTTON_DATA_INVALID"),
        (keyboard(""), "BUTTON_DATA_INVALID"),
        (keyboard(*["x"] * 101), "REPLY_MARKUP_TOO_LONG"),
        (
            InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text="plain")]]),
            "Text buttons are unallowed",
        ),
    ):
        with pytest.raises(TelegramBadRequest, match=text):
            await bot.send_message(telegram.user.id, "no", reply_markup=markup)


async def test_unknown_chats_are_not_found(telegram: Telegram, bot: Bot) -> None:
    for chat_id in (4242, -1009999999999, "@nobody", "²"):
        with pytest.raises(TelegramBadRequest, match="Bad Request: chat not found"):
            await bot.send_message(chat_id, "hello")


async def test_user_who_never_wrote_cannot_be_written_to(telegram: Telegram, bot: Bot) -> None:
    with pytest.raises(TelegramForbiddenError, match="Forbidden: bot can't initiate conversation with a user"):
        await bot.send_message(telegram.user.id, "hello")


async def test_user_who_blocked_the_bot_is_out_of_reach(telegram: Telegram, bot: Bot) -> None:
    telegram.say("/start")
    telegram.bot.blocked_by.add(telegram.user.id)
    with pytest.raises(TelegramForbiddenError, match="Forbidden: bot was blocked by the user"):
        await bot.send_message(telegram.user.id, "hello")


async def test_bots_do_not_write_to_bots_nor_to_strangers_channels(
    telegram: Telegram, bot: Bot, other_bot: Bot
) -> None:
    with pytest.raises(TelegramForbiddenError, match="bots can't send messages to bots"):
        await bot.send_message(telegram.other_bot.id, "hello")
    with pytest.raises(TelegramForbiddenError, match="bot is not a member of the channel chat"):
        await other_bot.send_message(telegram.channel.chat_id, "hello")


async def test_bot_posts_into_its_channel(telegram: Telegram, bot: Bot) -> None:
    sent = await bot.send_message(telegram.channel.chat_id, "note")
    assert (sent.chat.type, sent.chat.title) == ("channel", "Storage")
    assert telegram.world.messages.in_channel(telegram.channel)[0].content.text == "note"
    assert await bot.get_updates() == []


async def test_calls_come_by_query_form_and_json(telegram: Telegram) -> None:
    telegram.say("/start")
    url = f"{telegram.url}/bot{telegram.bot.token}/SENDMESSAGE"
    user_id = str(telegram.user.id)
    async with telegram.http.get(url, params={"chat_id": user_id, "text": "query"}) as response:
        assert response.status == 200
    async with telegram.http.post(url, data={"chat_id": user_id, "text": "form"}) as response:
        assert response.status == 200
    assert (await telegram.raw("sendMessage", chat_id=user_id, text="json"))[0] == 200
    assert [message.content.text for message in telegram.inbox()] == ["/start", "query", "form", "json"]
