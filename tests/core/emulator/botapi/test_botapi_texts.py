from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecine.core.emulator.botapi.errors import BotApiError
from telecine.core.emulator.botapi.parameters import Entity
from telecine.core.emulator.botapi.texts import styled, utf16_length
from telecine.core.emulator.telegram.entities import TextEntity


@pytest.mark.parametrize(
    ("source", "text", "entities"),
    [
        ("plain", "plain", ()),
        ("<b>bold</b> &lt;3", "bold <3", (TextEntity("bold", 0, 4),)),
        (
            "<b>a<i>b</i></b>",
            "ab",
            (TextEntity("bold", 0, 2), TextEntity("italic", 1, 1)),
        ),
        (
            '<a href="http://x/?a=1&amp;b=2">link</a>',
            "link",
            (TextEntity("text_link", 0, 4, "http://x/?a=1&b=2"),),
        ),
        ('<span class="tg-spoiler">x</span>', "x", (TextEntity("spoiler", 0, 1),)),
        ("🎬 <code>CM</code>", "🎬 CM", (TextEntity("code", 3, 2),)),
        ("  <u>x</u>  ", "x", (TextEntity("underline", 0, 1),)),
        ("<b> </b>x", "x", ()),
    ],
)
def test_html_becomes_text_and_entities(source: str, text: str, entities: tuple[TextEntity, ...]) -> None:
    assert styled(source, "HTML") == (text, entities)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("<b>open", "Can't find end tag corresponding to start tag"),
        ("<b><i>x</b></i>", "Unexpected end tag at byte offset 7"),
        ("<h1>x</h1>", 'Unsupported start tag "h1"'),
        ("1 < 2", "Unsupported start tag"),
        ("x</b>", "Unexpected end tag"),
    ],
)
def test_html_is_strict(source: str, complaint: str) -> None:
    with pytest.raises(BotApiError, match=f"can't parse entities: .*{complaint}"):
        styled(source, "html")


@pytest.mark.parametrize(
    ("source", "text", "entities"),
    [
        (r"*bold* _it_\!", "bold it!", (TextEntity("bold", 0, 4), TextEntity("italic", 5, 2))),
        (
            "__u__ ||s|| ~d~",
            "u s d",
            tuple(
                TextEntity(kind, offset, 1) for kind, offset in (("underline", 0), ("spoiler", 2), ("strikethrough", 4))
            ),
        ),
        ("[a\\.b](http://x)", "a.b", (TextEntity("text_link", 0, 3, "http://x"),)),
        ("`c*d`", "c*d", (TextEntity("code", 0, 3),)),
        ("```py\nx=1```", "x=1", (TextEntity("pre", 0, 3, None, "py"),)),
    ],
)
def test_markdown_becomes_text_and_entities(source: str, text: str, entities: tuple[TextEntity, ...]) -> None:
    assert styled(source, "MarkdownV2") == (text, entities)


@pytest.mark.parametrize("source", ["*open", "a.b", "x - y", "(x)"])
def test_markdown_is_strict(source: str) -> None:
    with pytest.raises(BotApiError, match="can't parse entities"):
        styled(source, "MarkdownV2")


def test_given_entities_are_kept() -> None:
    assert styled(" ab", None, [Entity("bold", 1, 2)]) == ("ab", (TextEntity("bold", 0, 2),))


@given(st.text())
def test_escaped_html_comes_back_as_it_was(text: str) -> None:
    import html

    plain, entities = styled(html.escape(text, quote=False), "HTML")
    assert not entities
    assert plain == html.unescape(html.escape(text, quote=False)).strip()


@given(st.text(alphabet="ab🎬 ", min_size=1), st.text(alphabet="ab🎬 ", min_size=1))
def test_entities_never_leave_the_text(before: str, styled_text: str) -> None:
    plain, entities = styled(f"{before}<b>{styled_text}</b>", "HTML")
    for entity in entities:
        assert entity.offset >= 0
        assert entity.offset + entity.length <= utf16_length(plain)
