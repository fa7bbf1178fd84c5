"""Where a source may lie: links come from outside, and must not make a worker reach into its own network."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver

IPV4_WITHIN_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052, 2.1

AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[Any, ...]]
"""What `socket.getaddrinfo` says of one address."""


class AddressForbiddenError(OSError):
    """A source leads to an address of a private network, of this machine, or of no use to a client."""

    def __init__(self) -> None:
        super().__init__("leads to an address that is not public")


def is_address(host: str) -> bool:
    """Whether a URL's host is an IP address, rather than a name that resolves to some."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_public(address: str) -> bool:
    """Whether an IP address, of either version, belongs to the public internet. False for what is no address.

    An IPv6 address that carries an IPv4 one (mapped, 6to4, Teredo, NAT64) is judged by both.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    carried = _carried(parsed) if isinstance(parsed, ipaddress.IPv6Address) else ()
    return all(_is_public(one) for one in carried or (parsed,))


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address.is_site_local:
        return False  # what came before fc00::/7, and is no longer listed as private
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _carried(address: ipaddress.IPv6Address) -> tuple[ipaddress.IPv4Address, ...]:
    if address.ipv4_mapped:
        return (address.ipv4_mapped,)
    if address.sixtofour:
        return (address.sixtofour,)
    if address.teredo:
        return address.teredo
    if address in IPV4_WITHIN_NAT64:
        return (ipaddress.IPv4Address(address.packed[-4:]),)
    return ()


def public_socket(info: AddressInfo) -> socket.socket:
    """A socket to connect to `info`. Raises AddressForbiddenError where that address is not public.

    This is asked for every address that is really connected to, after names are resolved, so that neither an IP
    literal, nor a redirect, nor a name that resolves differently the second time (DNS rebinding) slips by.
    """
    family, kind, protocol, _, address = info
    if not is_public(address[0]):
        raise AddressForbiddenError
    return socket.socket(family, kind, protocol)


def source_session(
    *, allow_private: bool = False, connect_timeout_s: float = 15.0, resolver: AbstractResolver | None = None
) -> aiohttp.ClientSession:
    """A client for sources: connects to public addresses only (unless allowed), keeps no cookies, takes no proxy
    from the environment, unpacks nothing. Needs a running event loop; close it when done."""
    connector = aiohttp.TCPConnector(
        resolver=resolver or aiohttp.ThreadedResolver(),
        socket_factory=None if allow_private else public_socket,
        limit=0,
    )
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"User-Agent": "Telecine", "Accept": "*/*", "Accept-Encoding": "identity"},
    )
