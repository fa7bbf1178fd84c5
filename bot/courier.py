"""The `Courier` of `core.delivery` over the Bot API."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from aiogram import Bot
from aiogram.exceptions import AiogramError
from aiogram.types import InputMediaDocument, InputMediaVideo, MediaUnion

from telecine.bot.refusals import Aim, translate
from telecine.core.delivery import CaptionedFile, MediaKind

CHANNEL_MARK = 1_000_000_000_000  # the Bot API writes channel 123 as -1000000000123


def chat_id_of(channel_id: int) -> int:
    """How the Bot API calls a channel that MTProto knows by a positive id."""
    return -CHANNEL_MARK - channel_id


def channel_id_of(chat_id: int) -> int:
    """The positive id of a channel that the Bot API calls -100..."""
    return -chat_id - CHANNEL_MARK


class BotCourier:
    """Sends by `file_id` and by copy. Captions are plain text."""

    def __init__(self, bot: Bot, *, protect_content: bool) -> None:
        self._bot = bot
        self._protect_content = protect_content

    async def send_files(self, user_id: int, files: Sequence[CaptionedFile]) -> None:
        with _translated(Aim.FILE):
            if len(files) > 1:
                media = [_album_item(item) for item in files]
                await self._bot.send_media_group(user_id, media, protect_content=self._protect_content)
                return
            await self._send_one(user_id, files[0])

    async def copy_post(self, user_id: int, channel_id: int, message_id: int, caption: str) -> None:
        with _translated(Aim.POST):
            await self._bot.copy_message(
                user_id,
                chat_id_of(channel_id),
                message_id,
                caption=caption,
                parse_mode=None,
                protect_content=self._protect_content,
            )

    async def _send_one(self, user_id: int, item: CaptionedFile) -> None:
        send = self._bot.send_video if item.file.kind is MediaKind.VIDEO else self._bot.send_document
        await send(
            user_id,
            item.file.file_id,
            caption=item.caption,
            parse_mode=None,
            protect_content=self._protect_content,
        )


def _album_item(item: CaptionedFile) -> MediaUnion:
    kind = InputMediaVideo if item.file.kind is MediaKind.VIDEO else InputMediaDocument
    return kind(media=item.file.file_id, caption=item.caption, parse_mode=None)


@contextmanager
def _translated(aim: Aim) -> Iterator[None]:
    try:
        yield
    except AiogramError as error:
        raise translate(error, aim) from error
