"""The storage channels of one account, as a file: what Telegram would keep, whichever of its clients dies."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from telecine.core.worker.telegram.channels import StoredMessage


class Posted(msgspec.Struct, frozen=True, tag="posted"):
    channel_id: int
    message_id: int
    caption: str
    size_bytes: int


class Deleted(msgspec.Struct, frozen=True, tag="deleted"):
    channel_id: int
    message_id: int


Address = tuple[int, int]  # channel and message


class ChannelsOnDisk:
    """The part of a worker's `Channels` that recovery uses, and `post`. One process at a time."""

    def __init__(self, path: Path) -> None:
        self._messages = messages(path)
        self._newest_id = max((event.message_id for event in _events(path)), default=0)
        self._descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def newest_message_id(self) -> int:
        """Ids grow over all channels of the account: those of one channel do, then."""
        return self._newest_id

    def post(self, channel_id: int, caption: str, size_bytes: int) -> int:
        """Put a message into a channel; its id."""
        self._newest_id += 1
        posted = Posted(channel_id, self._newest_id, caption, size_bytes)
        self._append(posted)
        self._messages[channel_id, posted.message_id] = posted
        return posted.message_id

    async def find(self, channel_id: int, caption: str, *, after: int) -> StoredMessage | None:
        found = (m for m in self._messages.values() if (m.channel_id, m.caption) == (channel_id, caption))
        newest = max((m for m in found if m.message_id > after), key=lambda m: m.message_id, default=None)
        if newest is None:
            return None
        return StoredMessage(
            newest.message_id, caption, newest.size_bytes, file_name=None, mime_type="video/mp4", is_video=True
        )

    async def find_settled(self, channel_id: int, caption: str, *, after: int) -> StoredMessage | None:
        """Nothing is under way: whoever was sending is dead."""
        return await self.find(channel_id, caption, after=after)

    async def delete(self, channel_id: int, message_id: int) -> None:
        if self._messages.pop((channel_id, message_id), None) is not None:
            self._append(Deleted(channel_id, message_id))

    def _append(self, event: Posted | Deleted) -> None:
        os.write(self._descriptor, msgspec.json.encode(event) + b"\n")


def messages(path: Path) -> dict[Address, Posted]:
    """What is in the channels now."""
    there: dict[Address, Posted] = {}
    for event in _events(path):
        match event:
            case Posted():
                there[event.channel_id, event.message_id] = event
            case Deleted():
                del there[event.channel_id, event.message_id]
    return there


_decoder = msgspec.json.Decoder(Posted | Deleted)


def _events(path: Path) -> list[Posted | Deleted]:
    return [_decoder.decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []
