from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

import aiohttp
import msgspec
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from telecine.core.clock import SystemClock
from telecine.core.config import WorkerSettings
from telecine.core.reasons import Reason
from telecine.core.worker.sources.addresses import AddressForbiddenError, is_public, public_socket, source_session
from telecine.core.worker.sources.source import SourceError
from telecine.core.worker.sources.sources import Sources

from .conftest import QUICK, Hosted

Refused = Callable[..., Awaitable[Reason]]


class Names(AbstractResolver):
    """Resolves each name to the next of its addresses, as a rebinding attacker's server does."""

    def __init__(self, **addresses: list[str]) -> None:
        self.addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if host not in self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        answers = self.addresses[host]
        address = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)
        ]

    async def close(self) -> None:
        pass


@pytest.fixture
def refused(settings: WorkerSettings) -> Refused:
    """Why a link is refused by a worker that reads public addresses only."""

    async def ask(url: str, resolver: AbstractResolver | None = None) -> Reason:
        public = msgspec.structs.replace(settings, allow_private_sources=False)
        async with Sources(public, SystemClock(), limits=QUICK, resolver=resolver) as sources:
            with pytest.raises(SourceError) as refusal:
                async with sources.open(url):
                    pass
        return refusal.value.reason

    return ask


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "2002:808:808::1", "64:ff9b::808:808"]
)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",  # noqa: S104 - an address to refuse, not to bind
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::1",
        "2002:a00:1::",
        "2001:0:7f00:1::",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "fc00::1",
        "fd12:3456::1",
        "ff02::1",
        "2001:db8::1",
        "localhost",
        "",
        "1.2.3",
    ],
)
def test_other_addresses_are_not(address: str) -> None:
    assert not is_public(address)


def test_socket_is_made_for_public_addresses_only() -> None:
    public_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("8.8.8.8", 80))).close()
    with pytest.raises(AddressForbiddenError):
        public_socket((socket.AF_INET6, socket.SOCK_STREAM, 0, "", ("::1", 80, 0, 0)))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/media/a.mkv",
        "http://[::1]:{port}/media/a.mkv",
        "http://[::ffff:127.0.0.1]:{port}/media/a.mkv",
        "http://localhost:{port}/media/a.mkv",
        "http://169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/a.mkv",
        "gopher://127.0.0.1/",
    ],
)
async def test_link_into_the_own_network_is_refused_and_nothing_is_asked(
    url: str, sources: Hosted, refused: Refused
) -> None:
    sources.add("a.mkv", b"secret")
    port = sources.url.split(":")[2].split("/", maxsplit=1)[0]
    assert await refused(url.format(port=port)) is Reason.FORBIDDEN
    assert not sources.host.counts()


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "0", "127.1", "0177.0.0.1"])
async def test_odd_spelling_of_this_machine_leads_nowhere(host: str, sources: Hosted, refused: Refused) -> None:
    sources.add("a.mkv", b"secret")
    port = sources.url.split(":")[2].split("/", maxsplit=1)[0]
    assert await refused(f"http://{host}:{port}/media/a.mkv") in (Reason.FORBIDDEN, Reason.GONE, Reason.NETWORK)
    assert not sources.host.counts()


async def test_name_that_resolves_to_a_private_address_is_refused(sources: Hosted, refused: Refused) -> None:
    port = sources.url.split(":")[2]
    names = Names(**{"films.example": ["127.0.0.1"]})
    assert await refused(f"http://films.example:{port}/a.mkv", names) is Reason.FORBIDDEN
    assert not sources.host.counts()


async def test_name_that_resolves_differently_the_second_time_is_refused_then(sources: Hosted) -> None:
    """The address that is connected to is the one that is checked: there is no second look-up to slip through."""
    port = sources.url.split(":")[2].split("/", maxsplit=1)[0]
    names = Names(**{"films.example": ["192.0.2.7", "127.0.0.1"]})
    async with source_session(resolver=names) as session:
        for _ in range(2):
            with pytest.raises(aiohttp.ClientConnectorError) as refusal:
                await session.get(f"http://films.example:{port}/media/a.mkv")
            assert isinstance(refusal.value.os_error, AddressForbiddenError)
    assert not sources.host.counts()


async def test_unknown_host_is_gone(refused: Refused) -> None:
    assert await refused("http://films.example/a.mkv", Names()) is Reason.GONE


async def test_session_keeps_no_cookies_and_asks_for_plain_bytes() -> None:
    async with source_session() as session:
        assert isinstance(session.cookie_jar, aiohttp.DummyCookieJar)
        assert session.headers["Accept-Encoding"] == "identity"
        assert not session.trust_env
