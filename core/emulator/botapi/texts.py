"""Styled text: `parse_mode` HTML and MarkdownV2 as plain text with entities.

The HTML of the Bot API is strict: unknown, unclosed and crossed tags are errors, and errors name the place.
Offsets and lengths count UTF-16 code units.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from telecine.core.emulator.botapi.errors import bad_request
from telecine.core.emulator.botapi.parameters import Entity
from telecine.core.emulator.telegram.entities import TextEntity

_TAGS = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "code": "code",
    "pre": "pre",
    "blockquote": "blockquote",
    "tg-spoiler": "spoiler",
    "a": "text_link",
}
_TAG = re.compile(r"<(?P<close>/?)(?P<name>[a-zA-Z][a-zA-Z0-9-]*)(?P<rest>[^<>]*)>")
_ATTRIBUTE = re.compile(r"""([a-zA-Z-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|(\S+))""")
_MARKDOWN = re.compile(
    r"\\(?P<escaped>.)|(?P<pre>```(?:(?P<language>\w+)\n)?(?P<preformatted>.*?)```)|(?P<code>`(?P<monospace>[^`]*)`)"
    r"|\[(?P<label>(?:\\.|[^\]])*)\]\((?P<url>(?:\\.|[^)])*)\)|(?P<mark>\*|__|_|~|\|\|)"
    r"|(?P<reserved>[\[\]()>#+\-=|{}.!`])",
    re.DOTALL,
)
_MARKS = {"*": "bold", "_": "italic", "__": "underline", "~": "strikethrough", "||": "spoiler"}

Styled = tuple[str, tuple[TextEntity, ...]]


def styled(text: str, parse_mode: str | None, entities: Sequence[Entity] = ()) -> Styled:
    """The plain text and its entities. Raises BotApiError 400 for text that its parse mode does not allow."""
    mode = (parse_mode or "").lower()
    if mode == "html":
        return _trimmed(*_Html().parse(text))
    if mode == "markdownv2":
        return _trimmed(*_Markdown().parse(text))
    if mode:
        raise bad_request("unsupported parse_mode")
    given = tuple(
        TextEntity(entity.type, entity.offset, entity.length, entity.url, entity.language) for entity in entities
    )
    return _trimmed(text, given)


def utf16_length(text: str) -> int:
    """How long Telegram holds a text to be."""
    return len(text.encode("utf-16-le")) // 2


class _Builder:
    """Plain text in the making, with the stretches that are open."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.length = 0
        self.open: list[tuple[str, str, int, str | None]] = []  # tag, kind, offset, URL
        self.entities: list[TextEntity] = []

    def add(self, text: str) -> None:
        self.text.append(text)
        self.length += utf16_length(text)

    def begin(self, tag: str, kind: str, url: str | None = None) -> None:
        self.open.append((tag, kind, self.length, url))

    def end(self) -> None:
        _, kind, offset, url = self.open.pop()
        self.style(kind, offset, url=url)

    def style(self, kind: str, offset: int, *, url: str | None = None, language: str | None = None) -> None:
        if self.length > offset:
            self.entities.append(TextEntity(kind, offset, self.length - offset, url, language))

    def finish(self) -> Styled:
        ordered = sorted(self.entities, key=lambda entity: (entity.offset, -entity.length))
        return "".join(self.text), tuple(ordered)


class _Html(_Builder):
    def parse(self, source: str) -> Styled:
        position = 0
        for tag in _TAG.finditer(source):
            self._plain(source, position, tag.start())
            self._tag(tag)
            position = tag.end()
        self._plain(source, position, len(source))
        if self.open:
            raise bad_request(
                f"can't parse entities: Can't find end tag corresponding to start tag \"{self.open[-1][0]}\""
            )
        return self.finish()

    def _plain(self, source: str, start: int, stop: int) -> None:
        stray = source.find("<", start, stop)
        if stray >= 0:
            raise bad_request(f'can\'t parse entities: Unsupported start tag "" at byte offset {stray}')
        self.add(html.unescape(source[start:stop]))

    def _tag(self, tag: re.Match[str]) -> None:
        name = tag["name"].lower()
        if tag["close"]:
            self._close(name, tag.start())
            return
        attributes = {key.lower(): next(filter(None, values), "") for key, *values in _ATTRIBUTE.findall(tag["rest"])}
        kind = _TAGS.get(name)
        if name == "span" and attributes.get("class") == "tg-spoiler":
            kind = "spoiler"
        if kind is None:
            raise bad_request(f'can\'t parse entities: Unsupported start tag "{name}" at byte offset {tag.start()}')
        self.begin(name, kind, html.unescape(attributes.get("href", "")) or None)

    def _close(self, name: str, offset: int) -> None:
        if not self.open or self.open[-1][0] != name:
            raise bad_request(f"can't parse entities: Unexpected end tag at byte offset {offset}")
        self.end()


class _Markdown(_Builder):
    def parse(self, source: str) -> Styled:
        position = 0
        for token in _MARKDOWN.finditer(source):
            self.add(source[position : token.start()])
            self._token(token)
            position = token.end()
        self.add(source[position:])
        if self.open:
            kind = self.open[-1][1].capitalize()
            raise bad_request(f"can't parse entities: Can't find end of {kind} entity")
        return self.finish()

    def _token(self, token: re.Match[str]) -> None:
        offset = self.length
        if token["escaped"]:
            self.add(token["escaped"])
        elif token["pre"]:
            self.add(token["preformatted"])
            self.style("pre", offset, language=token["language"])
        elif token["code"]:
            self.add(token["monospace"])
            self.style("code", offset)
        elif token["url"] is not None:
            self.add(re.sub(r"\\(.)", r"\1", token["label"]))
            self.style("text_link", offset, url=re.sub(r"\\(.)", r"\1", token["url"]))
        elif token["mark"]:
            self._mark(token["mark"])
        else:
            raise bad_request(
                f"can't parse entities: Character '{token['reserved']}' is reserved and must be escaped "
                "with the preceding '\\'"
            )

    def _mark(self, mark: str) -> None:
        if self.open and self.open[-1][0] == mark:
            self.end()
        else:
            self.begin(mark, _MARKS[mark])


def _trimmed(text: str, entities: tuple[TextEntity, ...]) -> Styled:
    """Without the white space around it, as Telegram keeps texts; entities move along."""
    lead = utf16_length(text) - utf16_length(text.lstrip())
    plain = text.strip()
    end = utf16_length(plain)
    kept: list[TextEntity] = []
    for entity in entities:
        start = max(0, entity.offset - lead)
        stop = min(end, entity.offset - lead + entity.length)
        if stop > start:
            kept.append(TextEntity(entity.kind, start, stop - start, entity.url, entity.language))
    return plain, tuple(kept)
