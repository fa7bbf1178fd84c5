"""The bot that users talk to: search, browse, choose, receive.

One module a feature (`start`, `search`, `browse`, `deliver`, `harvest`), each with a `router()`; `screens` says what a
user sees, `presses` what a button carries, `courier` and `pacing` how messages go out, `polling` how updates come in.
`service.TelecineBot` puts them together.
"""
