"""The emulated Telegram itself: people, channels, messages, files and what is told of them. No protocol."""
