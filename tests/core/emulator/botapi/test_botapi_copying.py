from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest, TelegramForbiddenError
from aiogram.types import MessageOriginChannel

if TYPE_CHECKING:
    from tests.core.emulator.botapi.conftest import Telegram


async def test_copy_delivers_without_a_file_id(telegram: Telegram, bot: Bot) -> None:
    telegram.say("/start")
    posted = telegram.upload("CM_M000001_1080P")
    copied = await bot.copy_message(telegram.user.id, telegram.channel.chat_id, posted.post_id)
    received = telegram.inbox()[-1]
    assert received.ids[telegram.bot.id] == copied.message_id
    assert received.content.document_id == posted.content.document_id
    assert received.content.text == "CM_M000001_1080P"
    assert received.forward is None


async def test_copy_takes_another_caption(telegram: Telegram, bot: Bot) -> None:
    telegram.say("/start")
    posted = telegram.upload("code")
    await bot.copy_message(
        telegram.user.id, telegram.channel.chat_id, posted.post_id, caption="Film", protect_content=True
    )
    assert telegram.inbox()[-1].content.text == "Film"
    assert telegram.inbox()[-1].content.protected


async def test_forward_answers_with_the_file_and_where_it_comes_from(telegram: Telegram, bot: Bot) -> None:
    telegram.say("/start")
    posted = telegram.upload("code")
    sent = await bot.forward_message(telegram.user.id, telegram.channel.chat_id, posted.post_id)
    assert isinstance(sent.forward_origin, MessageOriginChannel)
    assert sent.forward_origin.message_id == posted.post_id
    assert sent.forward_origin.chat.id == telegram.channel.chat_id
    assert sent.video is not None
    again = await bot.send_video(telegram.user.id, sent.video.file_id)
    assert again.video is not None
    assert again.video.file_unique_id == sent.video.file_unique_id


async def test_missing_message_has_its_own_words(telegram: Telegram, bot: Bot) -> None:
    telegram.say("/start")
    with pytest.raises(TelegramBadRequest, match="Bad Request: message to copy not found"):
        await bot.copy_message(telegram.user.id, telegram.channel.chat_id, 999)
    with pytest.raises(TelegramBadRequest, match="Bad Request: message to forward not found"):
        await bot.forward_message(telegram.user.id, telegram.channel.chat_id, 999)
    with pytest.raises(TelegramBadRequest, match="there are no messages to copy"):
        await bot.copy_messages(telegram.user.id, telegram.channel.chat_id, [998, 999])


async def test_several_messages_keep_their_order_and_their_album(telegram: Telegram, bot: Bot) -> None:
    telegram.say("/start")
    posts = [telegram.upload(f"part {n}", grouped_id=77) for n in range(3)] + [telegram.upload("single")]
    numbers = [post.post_id for post in posts]
    sent = await bot.copy_messages(telegram.user.id, telegram.channel.chat_id, [*numbers, 999])
    received = telegram.inbox()[1:]
    assert [message.ids[telegram.bot.id] for message in received] == [one.message_id for one in sent]
    assert [message.content.text for message in received] == ["part 0", "part 1", "part 2", "single"]
    groups = [message.grouped_id for message in received]
    assert groups[0] == groups[1] == groups[2] not in {None, 77}
    assert groups[3] is None


async def test_forwarded_messages_say_where_from(telegram: Telegram, bot: Bot) -> None:
    telegram.say("/start")
    posts = [telegram.upload(f"{n}") for n in range(2)]
    await bot.forward_messages(telegram.user.id, telegram.channel.chat_id, [post.post_id for post in posts])
    origins = [message.forward for message in telegram.inbox()[1:]]
    assert [origin and origin.message_id for origin in origins] == [post.post_id for post in posts]


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([3, 2], "strictly increasing order"),
        ([2, 2], "strictly increasing order"),
        (list(range(1, 102)), "too many message identifiers specified"),
    ],
)
async def test_numbers_have_to_increase_and_be_at_most_100(
    telegram: Telegram, bot: Bot, numbers: list[int], text: str
) -> None:
    telegram.say("/start")
    with pytest.raises(TelegramBadRequest, match=text):
        await bot.copy_messages(telegram.user.id, telegram.channel.chat_id, numbers)


async def test_channel_that_restricts_saving_cannot_be_copied_from(telegram: Telegram, bot: Bot) -> None:
    telegram.say("/start")
    posted = telegram.upload()
    telegram.channel.no_forwards = True
    with pytest.raises(TelegramBadRequest, match="message can't be copied"):
        await bot.copy_message(telegram.user.id, telegram.channel.chat_id, posted.post_id)
    with pytest.raises(TelegramBadRequest, match="message can't be forwarded"):
        await bot.forward_message(telegram.user.id, telegram.channel.chat_id, posted.post_id)


async def test_bot_outside_the_channel_copies_nothing(telegram: Telegram, other_bot: Bot) -> None:
    posted = telegram.upload()
    with pytest.raises(TelegramForbiddenError, match="bot is not a member of the channel chat"):
        await other_bot.copy_message(telegram.user.id, telegram.channel.chat_id, posted.post_id)
