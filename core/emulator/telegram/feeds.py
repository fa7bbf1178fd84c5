"""Who is told what: pushed changes to connected users, queued updates to bots."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from telecine.core.clock import Clock
from telecine.core.emulator.telegram.entities import (
    Bot,
    BotUpdate,
    BoxEvent,
    MemberChange,
    Message,
    Press,
    UpdateKind,
    WorldState,
)
from telecine.core.emulator.telegram.limits import TelegramLimits


class Notice(msgspec.Struct, frozen=True):
    """A box changed: the push that a connected session turns into Telegram's updates."""

    box_id: int
    event: BoxEvent


Listener = Callable[[Notice], None]


class Feeds:
    """Fan-out of one world. Listeners are called at once and must not block."""

    def __init__(self, state: WorldState, clock: Clock, limits: TelegramLimits, changed: Callable[[], None]) -> None:
        self._state = state
        self._clock = clock
        self._limits = limits
        self._changed = changed
        self._listeners: dict[int, list[Listener]] = {}
        self._arrivals: dict[int, asyncio.Event] = {}

    def subscribe(self, user_id: int, listener: Listener) -> Callable[[], None]:
        """Tell `listener` every change that this user sees, until the returned function is called."""
        listeners = self._listeners.setdefault(user_id, [])
        listeners.append(listener)

        def unsubscribe() -> None:
            if listener in listeners:
                listeners.remove(listener)

        return unsubscribe

    def publish(self, user_ids: Iterable[int], notice: Notice, origin: Listener | None = None) -> None:
        """Tell the sessions of these users, except the one whose request caused the change."""
        for user_id in user_ids:
            for listener in tuple(self._listeners.get(user_id, ())):
                if listener != origin:
                    listener(notice)

    def push(
        self,
        bot: Bot,
        kind: UpdateKind,
        *,
        message: Message | None = None,
        press: Press | None = None,
        member: MemberChange | None = None,
    ) -> None:
        """Queue an update for a bot, whether or not it polls; a kind it does not want is dropped."""
        if bot.allowed_updates and kind.value not in bot.allowed_updates:
            return
        copied = None if message is None else snapshot(message)
        now_s = self._clock.now_ms() // 1000
        bot.updates.append(BotUpdate(bot.next_update_id, kind, now_s, copied, press, member))
        bot.next_update_id += 1
        self.arrival(bot.id).set()
        self._changed()

    def pending(self, bot: Bot, count_max: int = 100) -> list[BotUpdate]:
        """The oldest unconfirmed updates. What waited longer than 24 hours is gone."""
        oldest_s = self._clock.now_ms() // 1000 - self._limits.bot_update_age_s_max
        while bot.updates and bot.updates[0].date_s < oldest_s:
            bot.updates.pop(0)
        if not bot.updates:
            self.arrival(bot.id).clear()
        return bot.updates[:count_max]

    def confirm(self, bot: Bot, before_id: int) -> None:
        """Forget the updates below `before_id`; a negative number keeps only that many of the newest."""
        if before_id < 0:
            bot.updates = bot.updates[before_id:]
        else:
            bot.updates = [update for update in bot.updates if update.id >= before_id]
        self._changed()

    def arrival(self, bot_id: int) -> asyncio.Event:
        """Set while updates wait; `pending` clears it when the queue is empty."""
        return self._arrivals.setdefault(bot_id, asyncio.Event())


def snapshot(message: Message) -> Message:
    """The message as it stands now, out of reach of later edits."""
    return msgspec.structs.replace(message, ids=dict(message.ids))
