"""The calls that the emulated Telegram answers, a group a file."""
