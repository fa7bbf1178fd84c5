"""Broadcast channels: who is in them and who may do what."""

from __future__ import annotations

import random
from collections.abc import Callable

from telecine.core.clock import Clock
from telecine.core.emulator.telegram.directory import ACCESS_HASH_BITS
from telecine.core.emulator.telegram.entities import (
    ALL_RIGHTS,
    AdminRights,
    Bot,
    Channel,
    MemberChange,
    UpdateKind,
    WorldState,
)
from telecine.core.emulator.telegram.feeds import Feeds
from telecine.core.emulator.telegram.limits import TelegramLimits
from telecine.core.emulator.telegram.refusals import bad_request, forbidden


class Channels:
    """All channels of one world. Users and bots are members alike, by id."""

    def __init__(
        self,
        state: WorldState,
        feeds: Feeds,
        clock: Clock,
        rng: random.Random,
        limits: TelegramLimits,
        changed: Callable[[], None],
    ) -> None:
        self._state = state
        self._feeds = feeds
        self._clock = clock
        self._rng = rng
        self._limits = limits
        self._changed = changed

    def create(self, creator_id: int, title: str, about: str = "") -> Channel:
        """A new private channel. Refusals: CHAT_TITLE_EMPTY."""
        if not title.strip():
            raise bad_request("CHAT_TITLE_EMPTY")
        channel = Channel(
            id=self._state.next_channel_id,
            access_hash=self._rng.getrandbits(ACCESS_HASH_BITS) | 1,
            title=title[: self._limits.channel_title_chars_max],
            creator_id=creator_id,
            date_s=self._clock.now_ms() // 1000,
            about=about,
            members={creator_id},
        )
        self._state.next_channel_id += 1
        self._state.channels[channel.id] = channel
        self._changed()
        return channel

    def find(self, channel_id: int) -> Channel | None:
        return self._state.channels.get(channel_id)

    def all(self) -> list[Channel]:
        return list(self._state.channels.values())

    def of(self, member_id: int) -> list[Channel]:
        """The channels that a user or bot is in."""
        return [channel for channel in self._state.channels.values() if member_id in channel.members]

    def by_username(self, username: str) -> Channel | None:
        wanted = username.removeprefix("@").casefold()
        return next((c for c in self._state.channels.values() if (c.username or "").casefold() == wanted), None)

    def rights(self, channel: Channel, member_id: int) -> AdminRights:
        """What somebody may do; all False for a plain member or a stranger."""
        if member_id == channel.creator_id:
            return ALL_RIGHTS
        return channel.admins.get(member_id, AdminRights())

    def status(self, channel: Channel, member_id: int) -> str:
        """`creator`, `administrator`, `member` or `left`."""
        if member_id == channel.creator_id:
            return "creator"
        if member_id in channel.admins:
            return "administrator"
        return "member" if member_id in channel.members else "left"

    def check_seen(self, channel: Channel, member_id: int) -> None:
        """Refuse a private channel to those who are not in it: CHANNEL_PRIVATE."""
        if member_id not in channel.members and channel.username is None:
            raise bad_request("CHANNEL_PRIVATE")

    def check_may_post(self, channel: Channel, member_id: int) -> None:
        self.check_seen(channel, member_id)
        if not self.rights(channel, member_id).post_messages:
            raise forbidden("CHAT_WRITE_FORBIDDEN")

    def check_may(self, channel: Channel, member_id: int, right: str) -> None:
        """Refuse whoever lacks the named field of `AdminRights`: CHAT_ADMIN_REQUIRED."""
        self.check_seen(channel, member_id)
        if not getattr(self.rights(channel, member_id), right):
            raise bad_request("CHAT_ADMIN_REQUIRED")

    def invite(self, channel: Channel, inviter_id: int, user_id: int) -> None:
        """Make somebody a plain member. Bots can only come as administrators: USER_BOT."""
        self.check_may(channel, inviter_id, "invite_users")
        if user_id in self._state.bots:
            raise bad_request("USER_BOT")
        if user_id in channel.members:
            return
        channel.members.add(user_id)
        self._changed()

    def invite_hash(self, channel: Channel, by_id: int) -> str:
        """The secret part of the channel's invite link, made when first asked for."""
        self.check_may(channel, by_id, "invite_users")
        if channel.invite_hash is None:
            channel.invite_hash = f"{self._rng.getrandbits(96):024x}"
            self._changed()
        return channel.invite_hash

    def by_invite(self, invite_hash: str) -> Channel:
        """The channel behind an invite link; INVITE_HASH_EXPIRED if there is none."""
        for channel in self._state.channels.values():
            if channel.invite_hash is not None and channel.invite_hash == invite_hash:
                return channel
        raise bad_request("INVITE_HASH_EXPIRED")

    def join(self, channel: Channel, user_id: int) -> None:
        """Enter a channel whose invite link one has: USER_ALREADY_PARTICIPANT."""
        if user_id in channel.members:
            raise bad_request("USER_ALREADY_PARTICIPANT")
        channel.members.add(user_id)
        self._changed()

    def set_admin(self, channel: Channel, by_id: int, user_id: int, rights: AdminRights) -> None:
        """Give or take rights; no right at all makes a user a member and sends a bot away."""
        self.check_may(channel, by_id, "add_admins")
        if user_id == channel.creator_id:
            raise bad_request("USER_CREATOR")
        old_status = self.status(channel, user_id)
        if rights.any:
            self._admit_admin(channel, user_id, rights)
        else:
            channel.admins.pop(user_id, None)
            if user_id in self._state.bots:
                channel.members.discard(user_id)
        self._tell_bot(channel, by_id, user_id, old_status)
        self._changed()

    def remove(self, channel: Channel, by_id: int, user_id: int) -> None:
        """Take somebody out of the channel; everybody may remove themselves."""
        if by_id != user_id:
            self.check_may(channel, by_id, "invite_users")
        if user_id == channel.creator_id:
            raise bad_request("USER_CREATOR")
        old_status = self.status(channel, user_id)
        channel.admins.pop(user_id, None)
        channel.members.discard(user_id)
        self._tell_bot(channel, by_id, user_id, old_status)
        self._changed()

    def retitle(self, channel: Channel, by_id: int, title: str) -> None:
        self.check_may(channel, by_id, "change_info")
        if title == channel.title:
            raise bad_request("CHAT_NOT_MODIFIED")
        if not title.strip():
            raise bad_request("CHAT_TITLE_EMPTY")
        channel.title = title[: self._limits.channel_title_chars_max]
        self._changed()

    def delete(self, channel: Channel, by_id: int) -> None:
        """Delete a channel with all its messages. Only the creator may: CHAT_ADMIN_REQUIRED."""
        if by_id != channel.creator_id:
            raise bad_request("CHAT_ADMIN_REQUIRED")
        box = self._state.boxes.pop(channel.chat_id, None)
        for key in box.keys.values() if box else ():
            self._state.messages.pop(key, None)
        del self._state.channels[channel.id]
        self._changed()

    def ban(self, channel: Channel, user_id: int) -> None:
        """Keep somebody out, the creator too, as Telegram itself does: CHANNEL_PRIVATE is all that they hear."""
        channel.members.discard(user_id)
        self._changed()

    def readmit(self, channel: Channel, user_id: int) -> None:
        """End a ban."""
        channel.members.add(user_id)
        self._changed()

    def admin_bots(self, channel: Channel) -> list[Bot]:
        """The bots that are told of every post."""
        return [self._state.bots[member_id] for member_id in channel.admins if member_id in self._state.bots]

    def _admit_admin(self, channel: Channel, user_id: int, rights: AdminRights) -> None:
        if user_id not in channel.admins and len(channel.admins) + 1 >= self._limits.channel_admins_max:
            raise bad_request("ADMINS_TOO_MUCH")
        channel.admins[user_id] = rights
        channel.members.add(user_id)

    def _tell_bot(self, channel: Channel, by_id: int, user_id: int, old_status: str) -> None:
        bot = self._state.bots.get(user_id)
        new_status = self.status(channel, user_id)
        if bot is not None and new_status != old_status:
            change = MemberChange(channel.id, by_id, old_status, new_status)
            self._feeds.push(bot, UpdateKind.MY_CHAT_MEMBER, member=change)
