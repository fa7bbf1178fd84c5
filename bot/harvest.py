"""Harvest: what workers post into the storage channels shows the bot its own `file_id`s, and they are kept."""

from __future__ import annotations

import logging

from aiogram import Router
from aiogram.types import Message

from telecine.bot.courier import channel_id_of
from telecine.core import captions
from telecine.core.delivery import BotFile, MediaKind, Shelf

logger = logging.getLogger(__name__)


def router() -> Router:
    harvest = Router(name="harvest")
    harvest.channel_post.register(keep_file)
    harvest.edited_channel_post.register(keep_file)
    return harvest


async def keep_file(post: Message, shelf: Shelf, bot_id: int) -> None:
    """Keep the `file_id` of a coded post. A post that is not ours is left alone."""
    file = bot_file_of(post, bot_id)
    if file is None:
        return
    await shelf.save_bot_file(file)
    code = captions.code_of(post.caption or "")
    logger.info("kept the file_id of %s, message %d of channel %d", code, file.message_id, file.channel_id)


def bot_file_of(post: Message, bot_id: int) -> BotFile | None:
    """What a channel post says about a stored file; None without a coded caption, or a video or document.

    An animation (a video without sound may be made one) is none: its `file_id` can be sent as neither kind, so that
    it is delivered by copy.
    """
    if captions.code_of(post.caption or "") is None or post.animation is not None:
        return None
    stored = post.video or post.document
    if stored is None:
        return None
    return BotFile(
        bot_id=bot_id,
        channel_id=channel_id_of(post.chat.id),
        message_id=post.message_id,
        kind=MediaKind.VIDEO if post.video else MediaKind.DOCUMENT,
        file_id=stored.file_id,
        file_unique_id=stored.file_unique_id,
    )
