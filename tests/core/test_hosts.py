"""Source hosts: one name for what is one server, and never more than the server."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telecine.core.hosts import HOST_CHARS_MAX, source_host

labels = st.text("abcxyz0129-", min_size=1, max_size=12)
names = st.lists(labels, min_size=1, max_size=4).map(".".join)
addresses = st.ip_addresses(v=6).map(lambda address: f"[{address.compressed}]")
authorities = names | addresses
schemes = st.sampled_from(["http", "https", "ftp", "rtmp"])
words = st.text("abcDEF123%:@/?#[]", max_size=12)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://media.example/a/b.mkv?token=x#t", "media.example"),
        ("HTTPS://Media.Example/a", "media.example"),
        ("http://media.example:80/a", "media.example"),
        ("https://media.example:443/a", "media.example"),
        ("https://media.example:80/a", "media.example:80"),
        ("http://media.example:8080", "media.example:8080"),
        ("http://media.example:/a", "media.example"),
        ("http://user:secret@media.example/a", "media.example"),
        ("http://user:se@cret@media.example:81/a", "media.example:81"),
        ("http://media.example?file=http://other.example/", "media.example"),
        ("http://192.0.2.7:8000/a", "192.0.2.7:8000"),
        ("http://[2001:DB8::1]/a", "[2001:db8::1]"),
        ("http://[2001:db8::1]:8080/a", "[2001:db8::1]:8080"),
        ("//media.example/a", "media.example"),
        ("file:///srv/media/a.mkv", "file:"),
        ("FILE:/srv/media/a.mkv", "file:"),
        ("/only/a/path.mkv", ""),
        ("media.example/a.mkv", ""),
        ("http://", ""),
        ("http:///a", ""),
        ("http://user:secret@/a", ""),
        ("http://media.example:port/a", ""),
        ("http://media.example:99999/a", ""),
        ("http://[2001:db8::1/a", ""),
        ("", ""),
    ],
)
def test_a_link_points_to_its_host(url: str, host: str) -> None:
    assert source_host(url) == host


@given(st.text() | words.map(lambda text: f"http://{text}"))
@example("http://[v1.x]/")
@example("http://\N{FULLWIDTH COMMERCIAL AT}/")
def test_every_text_has_a_host_of_bounded_length_in_lower_case(text: str) -> None:
    host = source_host(text)
    assert len(host) <= HOST_CHARS_MAX
    assert host == host.lower()
    assert not set(host) & set("/?#@")


@given(schemes, authorities, st.none() | st.integers(0, 65535))
def test_a_host_is_its_own_host(scheme: str, authority: str, port: int | None) -> None:
    host = source_host(f"{scheme}://{authority}" if port is None else f"{scheme}://{authority}:{port}")
    assert source_host(f"{scheme}://{host}") == host


@given(schemes, authorities, st.integers(0, 65535), st.text("abc123", max_size=8), st.text("abc:@123", max_size=8))
def test_who_logs_in_never_shows(scheme: str, authority: str, port: int, user: str, password: str) -> None:
    bare = source_host(f"{scheme}://{authority}:{port}/a")
    assert source_host(f"{scheme}://{user}:{password}@{authority}:{port}/a") == bare


@given(st.sampled_from([("http", 80), ("https", 443)]), authorities, words)
def test_the_port_of_the_scheme_is_not_another_server(known: tuple[str, int], authority: str, path: str) -> None:
    scheme, port = known
    assert source_host(f"{scheme}://{authority}:{port}/{path}") == source_host(f"{scheme}://{authority}/{path}")


@given(st.ip_addresses(v=6), st.integers(1, 65535).filter(lambda port: port != 80))
def test_an_ipv6_address_keeps_its_brackets(address: ipaddress.IPv6Address, port: int) -> None:
    assert source_host(f"http://[{address}]:{port}/") == f"[{address}]:{port}"


def test_a_name_longer_than_any_host_is_cut() -> None:
    assert source_host(f"http://{'a' * 300}/") == "a" * HOST_CHARS_MAX
