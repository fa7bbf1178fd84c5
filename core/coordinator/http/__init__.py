"""HTTP/1.1 as the coordinator serves it: requests parsed by llhttp, bounded in every dimension, answered in order.

`parser` reads requests, `answers` writes what goes back, `connection` is one client, `server` all of them. Nothing here
knows of leases: the API is reached through the Protocol `connection.Service`.
"""
