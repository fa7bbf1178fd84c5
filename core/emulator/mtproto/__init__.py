"""MTProto 2.0 for unmodified user clients, such as Telethon.

From the socket upwards: `transport` frames packets, `handshake` agrees on keys, `crypto` seals and opens,
`session` numbers and remembers, `connection` reads, `rpc` carries out one call under the fault plan, and the
`methods_*` modules hold the calls, one group of Telegram's a file, over the shared `World`.
"""
