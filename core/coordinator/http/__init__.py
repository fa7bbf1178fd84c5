"""HTTP/1.1 as the coordinator serves it: by aiohttp's low-level server, bounded in every dimension.

`requests` is what the API reads of a request and `answers` what it gives back, `connection` is one client and `server`
all of them. Nothing here knows of leases: the API is reached through the Protocol `connection.Service`. Nothing outside
knows of aiohttp's server.
"""
