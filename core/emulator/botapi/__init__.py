"""The HTTP Bot API for unmodified bot frameworks such as aiogram, over the emulator's world."""

from __future__ import annotations

from telecine.core.emulator.botapi.api import REQUEST_BYTES_MAX, BotApi

__all__ = ["REQUEST_BYTES_MAX", "BotApi"]
