"""Links: what of one is shown, and what never."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecine.core import links


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://h.example/f.mkv", "https://h.example/f.mkv"),
        ("http://user:pw1@h.example:8080/f.mkv?key=S#t=5", "http://h.example:8080/f.mkv"),
        ("http://us@er:p@w@h.example/@channel/f.mkv", "http://h.example/@channel/f.mkv"),
        ("http://user:pw1@[2001:db8::1]:81/f.mkv", "http://[2001:db8::1]:81/f.mkv"),
        ("ftp://user:pw1@h.example", "ftp://h.example"),
        ("file:///srv/film.mkv", "file:///srv/film.mkv"),
        ("http://user:pw1/2@h.example/f.mkv", "http:..."),  # a password with a slash, as it should not be written
        ("http:user:pw1@h.example/f.mkv", "http:..."),
        ("http://[user:pw1@h.example/f.mkv", "http:..."),
    ],
)
def test_a_link_is_said_without_what_may_hold_a_key(url: str, said: str) -> None:
    assert links.shown(url) == said


@given(st.text())
def test_any_text_can_be_shown(text: str) -> None:
    assert isinstance(links.shown(text), str)
