"""What is said to one host is not said to another."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
from aiohttp import web

from telecine.core.clock import SystemClock
from telecine.core.config import SourceHostSettings, WorkerSettings
from telecine.core.emulator.sources.faults import SourceFaultKind as Fault
from telecine.core.errors import ConfigError
from telecine.core.reasons import Reason
from telecine.core.worker.sources.hosts import Hosts
from telecine.core.worker.sources.source import SourceError

from .conftest import Hosted, Names, Proxy, running, whole

CONTENT = b"\x1aE\xdf\xa3" + bytes(300_000)
SECRET = SourceHostSettings(headers={"Referer": "https://films.example/"}, cookies={"session": "abc", "tier": "2"})


class Witness:
    """A host that notes what it was told, at `127.0.0.1` and at `localhost`."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str | None, str | None]] = []
        self.leads_to = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.told.append((request.url.host or "", request.headers.get("Referer"), request.headers.get("Cookie")))
        if self.leads_to and request.path == "/start":
            return web.Response(status=302, headers={"Location": self.leads_to, "Set-Cookie": "new=1"})
        return web.Response(body=CONTENT)


@pytest.fixture
async def witness() -> AsyncIterator[tuple[Witness, int]]:
    host = Witness()
    app = web.Application()
    app.add_routes([web.get("/{path:.*}", host.answer)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "localhost", 0).start()
    yield host, runner.addresses[0][1]
    await runner.cleanup()


async def test_headers_and_cookies_go_to_their_host(sources: Hosted, witness: tuple[Witness, int]) -> None:
    host, port = witness
    async with sources.open(f"http://LOCALHOST:{port}/film", hosts={"Localhost": SECRET}) as source:
        assert await whole(source) == CONTENT
    assert set(host.told) == {("localhost", "https://films.example/", "session=abc; tier=2")}


async def test_neither_goes_to_another_host(sources: Hosted, witness: tuple[Witness, int]) -> None:
    host, port = witness
    async with sources.open(f"http://127.0.0.1:{port}/film", hosts={"localhost": SECRET}):
        pass
    assert set(host.told) == {("127.0.0.1", None, None)}


async def test_neither_follows_a_redirect_to_another_host(sources: Hosted, witness: tuple[Witness, int]) -> None:
    host, port = witness
    host.leads_to = f"http://127.0.0.1:{port}/film"
    async with sources.open(f"http://localhost:{port}/start", hosts={"localhost": SECRET}) as source:
        assert await whole(source) == CONTENT
    assert host.told[0] == ("localhost", "https://films.example/", "session=abc; tier=2")
    assert set(host.told[1:]) == {("127.0.0.1", None, None)}  # nor does a cookie that a host sets itself


async def test_line_break_in_a_header_is_refused_before_anything_is_asked(settings: WorkerSettings) -> None:
    wrong = {"films.example": SourceHostSettings(cookies={"a": "b\r\nX-Other: c"})}
    with pytest.raises(ConfigError, match=r"films\.example"):
        Hosts(msgspec.structs.replace(settings, hosts=wrong), SystemClock())


# ---- proxies ----


async def test_source_is_read_through_the_proxy_though_that_is_in_a_private_network(sources: Hosted) -> None:
    sources.add("a.mkv", CONTENT)
    url = f"http://films.example:{sources.port}/media/a.mkv"
    async with running(proxy := Proxy()) as address:
        read = await sources.read(url, Names("8.8.8.8"), proxy=address, allow_private_sources=False)
    assert read == CONTENT
    assert set(proxy.asked) == {url}


async def test_proxy_of_a_host_is_for_that_host(sources: Hosted) -> None:
    sources.add("a.mkv", CONTENT)
    async with running(proxy := Proxy()) as address:
        hosts = {"localhost": SourceHostSettings(proxy=address)}
        assert await sources.read(sources.of("a.mkv"), hosts=hosts) == CONTENT
        assert not proxy.asked
        assert await sources.read(f"http://localhost:{sources.port}/media/a.mkv", hosts=hosts) == CONTENT
        assert proxy.asked


@pytest.mark.parametrize("host", ["films.example", "127.0.0.1", "169.254.169.254", "[::1]", "2130706433", "localhost"])
async def test_proxy_is_not_talked_into_a_private_network(host: str, sources: Hosted) -> None:
    async with running(proxy := Proxy()) as address:
        with pytest.raises(SourceError) as refusal:
            await sources.read(f"http://{host}/a", Names("10.0.0.7"), proxy=address, allow_private_sources=False)
    assert refusal.value.reason in (Reason.FORBIDDEN, Reason.GONE)
    assert not proxy.asked


async def test_redirect_behind_a_proxy_is_checked_as_well(sources: Hosted) -> None:
    sources.break_link("a.mkv", Fault.REDIRECT)
    url = f"http://films.example:{sources.port}/media/a.mkv"
    async with running(proxy := Proxy()) as address:
        with pytest.raises(SourceError) as refusal:
            await sources.read(url, Names("8.8.8.8"), proxy=address, allow_private_sources=False)
    assert refusal.value.reason is Reason.FORBIDDEN
    assert proxy.asked == [url]


async def test_proxy_that_is_down_or_wants_a_login_is_our_own_trouble(sources: Hosted, unused_tcp_port: int) -> None:
    sources.add("a.mkv", CONTENT)
    with pytest.raises(SourceError) as down:
        await sources.read(sources.of("a.mkv"), proxy=f"http://127.0.0.1:{unused_tcp_port}")
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    async with running(Proxy(refusal)) as address:
        with pytest.raises(SourceError) as login:
            await sources.read(sources.of("a.mkv"), proxy=address)
    assert down.value.reason is login.value.reason is Reason.INTERNAL
