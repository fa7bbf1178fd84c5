"""What the control API shows of the world."""

from __future__ import annotations

import hashlib

import msgspec

from telecine.core.emulator.control import messages
from telecine.core.emulator.telegram.entities import Bot, Channel, Document, Message, User
from telecine.core.emulator.telegram.world import World

DIGEST_CHUNK_BYTES = 4 * 1024 * 1024


def account(user: User) -> messages.Account:
    """An account as it is."""
    return messages.Account(
        id=user.id,
        phone=user.phone,
        name=user.name,
        first_name=user.first_name,
        username=user.username,
        premium=user.premium,
        has_password=user.password is not None,
    )


def bot_state(bot: Bot) -> messages.BotState:
    """A bot as it is."""
    return messages.BotState(
        id=bot.id,
        token=bot.token,
        username=bot.username,
        pending_updates=len(bot.updates),
        webhook_url=bot.webhook_url,
    )


def channels(world: World) -> tuple[messages.ChannelState, ...]:
    """All channels as they are."""
    return tuple(_channel(world, channel) for channel in world.channels.all())


def _channel(world: World, channel: Channel) -> messages.ChannelState:
    return messages.ChannelState(
        chat_id=channel.chat_id,
        title=channel.title,
        creator=world.directory.user(channel.creator_id).name,
        messages=len(world.messages.in_channel(channel)),
        bots=tuple(bot.username for bot in world.channels.admin_bots(channel)),
    )


def post(world: World, message: Message, *, with_digest: bool) -> messages.ChannelMessage:
    """A post of a channel, with the SHA-256 of its file if asked for."""
    shown = messages.ChannelMessage(
        id=message.post_id, date_s=message.date_s, text=message.content.text, grouped_id=message.grouped_id
    )
    document = world.documents.find(message.content.document_id or 0)
    if document is None:
        return shown
    return msgspec.structs.replace(
        shown,
        document_id=document.id,
        document_kind=document.kind.value,
        file_name=document.file_name,
        mime_type=document.mime_type,
        size_bytes=document.size_bytes,
        sha256=_digest(world, document) if with_digest else None,
    )


def _digest(world: World, document: Document) -> str:
    digest = hashlib.sha256()
    for offset in range(0, document.size_bytes, DIGEST_CHUNK_BYTES):
        digest.update(world.documents.read(document, offset, DIGEST_CHUNK_BYTES))
    return digest.hexdigest()
