"""The embedded Telegram and CM: a server of its own that unmodified clients talk to over real sockets.

`world` holds one Telegram: people, bots, channels, messages, files. `mtproto` serves it to user clients such as
Telethon, `botapi` to bots such as aiogram, `cm` and `sources` stand in for the catalogue and its file hosts,
`control` lets a test or a demo break all of it on demand, and `server` composes them.
"""
