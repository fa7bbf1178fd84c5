"""Telegram's numbers, with where they come from, and the checks that use Telegram's own error names.

Sources: core.telegram.org/api/files (parts), core.telegram.org/method/upload.saveBigFilePart (errors),
core.telegram.org/bots/api (bots), core.telegram.org/api/config (caption and message lengths), limits.tginfo.me.
A test may hand the world a copy with smaller numbers: `msgspec.structs.replace(TelegramLimits(), ...)`.
"""

from __future__ import annotations

import msgspec

from telecine.core.emulator.telegram.entities import InlineKeyboard
from telecine.core.emulator.telegram.refusals import bad_request

KIB = 1024
PART_GRAIN_BYTES = KIB  # every part but the last is a multiple of this
PART_BYTES_MAX = 512 * KIB  # and divides this


class TelegramLimits(msgspec.Struct, frozen=True):
    """One set of limits. Lengths of texts count characters, as the official clients do."""

    part_count_max: int = 4000
    part_count_premium_max: int = 8000
    small_file_bytes_max: int = 10 * KIB * KIB  # larger files must come by saveBigFilePart
    caption_chars_max: int = 1024
    caption_chars_premium_max: int = 4096
    message_chars_max: int = 4096
    callback_data_bytes_max: int = 64
    buttons_max: int = 100
    album_count_min: int = 2
    album_count_max: int = 10
    file_name_chars_max: int = 60
    thumb_bytes_max: int = 200 * KIB
    get_file_limit_bytes_max: int = KIB * KIB
    history_limit_max: int = 100
    channel_title_chars_max: int = 128
    channel_admins_max: int = 50
    bot_update_age_s_max: int = 24 * 3600
    box_events_max: int = 20_000  # older changes are only told as "difference too long"
    code_attempts_max: int = 5
    press_answer_s_max: float = 15.0

    def parts_max(self, premium: bool) -> int:
        return self.part_count_premium_max if premium else self.part_count_max

    def check_part_index(self, index: int, premium: bool) -> None:
        """Refuse a part that no file of this account can have."""
        if not 0 <= index < self.parts_max(premium):
            raise bad_request("FILE_PART_INVALID")

    def check_part_count(self, count: int, premium: bool) -> None:
        """Refuse a total; -1 (not known yet) is told apart by the caller."""
        if not 0 < count <= self.parts_max(premium):
            raise bad_request("FILE_PARTS_INVALID")

    def check_caption(self, text: str, premium: bool) -> None:
        if len(text) > (self.caption_chars_premium_max if premium else self.caption_chars_max):
            raise bad_request("MEDIA_CAPTION_TOO_LONG")

    def check_text(self, text: str) -> None:
        if not text.strip():
            raise bad_request("MESSAGE_EMPTY")
        if len(text) > self.message_chars_max:
            raise bad_request("MESSAGE_TOO_LONG")

    def check_keyboard(self, keyboard: InlineKeyboard) -> None:
        """Refuse what Telegram refuses of inline buttons: too many, without text, data empty or too long."""
        buttons = [button for row in keyboard.rows for button in row]
        if len(buttons) > self.buttons_max:
            raise bad_request("REPLY_MARKUP_TOO_LONG")
        for button in buttons:
            if not button.text.strip():
                raise bad_request("BUTTON_TEXT_INVALID")
            if button.data is not None and not 1 <= len(button.data) <= self.callback_data_bytes_max:
                raise bad_request("BUTTON_DATA_INVALID")

    def trim_file_name(self, name: str) -> str:
        """Telegram keeps the end of the extension and cuts the stem."""
        if len(name) <= self.file_name_chars_max:
            return name
        stem, dot, extension = name.rpartition(".")
        if not dot or len(extension) > 8:
            return name[: self.file_name_chars_max]
        return stem[: self.file_name_chars_max - len(extension) - 1] + dot + extension


def check_part_size(size_bytes: int) -> None:
    """Refuse the size of a part that is not the last one."""
    if size_bytes <= 0 or size_bytes % PART_GRAIN_BYTES or PART_BYTES_MAX % size_bytes:
        raise bad_request("FILE_PART_SIZE_INVALID")
