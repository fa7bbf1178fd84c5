"""How fast a bot may send: about 30 messages a second overall and one a second to the same chat.

Source: core.telegram.org/bots/faq, "My bot is hitting limits". Enforced only while `Faults.bot_limits` asks.
"""

from __future__ import annotations

from collections import deque

from telecine.core.clock import Clock
from telecine.core.emulator.botapi.errors import too_many_requests
from telecine.core.emulator.faults import Faults

WINDOW_S = 1.0
RETRY_AFTER_S = 1


class SendRates:
    """What each bot sent within the last second."""

    def __init__(self, faults: Faults, clock: Clock) -> None:
        self._faults = faults
        self._clock = clock
        self._sent: dict[int, deque[tuple[float, int]]] = {}

    def spend(self, bot_id: int, chat_id: int, messages: int = 1) -> None:
        """Count messages about to be sent. Raises BotApiError 429 if that is too many; they do not count then."""
        limits = self._faults.bot_limits
        if limits is None:
            return
        now_s = self._clock.monotonic_s()
        sent = self._sent.setdefault(bot_id, deque())
        while sent and sent[0][0] <= now_s - WINDOW_S:
            sent.popleft()
        to_chat = sum(1 for _, sent_to in sent if sent_to == chat_id)
        if limits.overall_per_s is not None and len(sent) + messages > limits.overall_per_s:
            raise too_many_requests(RETRY_AFTER_S)
        if limits.chat_per_s is not None and to_chat >= limits.chat_per_s:
            raise too_many_requests(RETRY_AFTER_S)
        sent.extend((now_s, chat_id) for _ in range(messages))
