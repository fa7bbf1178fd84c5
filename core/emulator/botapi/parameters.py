"""The parameters of a call, however they come: query, form, multipart or JSON, as typed structs.

In a form everything is text, and what is structured (a keyboard, a list of media) is JSON within that text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from telecine.core.emulator.botapi.errors import BotApiError, bad_request

UPLOAD_BYTES_MAX = 50 * 1024 * 1024
"""What a bot may upload to the public Bot API server (core.telegram.org/bots/api#sending-files)."""

STRUCTURED = frozenset(
    {
        "allowed_updates",
        "caption_entities",
        "commands",
        "entities",
        "link_preview_options",
        "media",
        "message_ids",
        "reply_markup",
        "reply_parameters",
        "scope",
    }
)
"""Parameters whose text is JSON."""


class Upload(msgspec.Struct, frozen=True):
    """A file that came with a call."""

    file_name: str
    content: bytes


class ReplyParameters(msgspec.Struct, frozen=True):
    """What a message replies to."""

    message_id: int
    allow_sending_without_reply: bool = False


class Entity(msgspec.Struct, frozen=True):
    """A styled stretch of a text."""

    type: str
    offset: int
    length: int
    url: str | None = None
    language: str | None = None


class ButtonParameters(msgspec.Struct, frozen=True):
    """A button of an inline keyboard."""

    text: str
    callback_data: str | None = None
    url: str | None = None
    switch_inline_query: str | None = None
    switch_inline_query_current_chat: str | None = None


class KeyParameters(msgspec.Struct, frozen=True):
    """A key of a reply keyboard."""

    text: str


class MarkupParameters(msgspec.Struct, frozen=True):
    """Any of the four kinds of `reply_markup`."""

    inline_keyboard: tuple[tuple[ButtonParameters, ...], ...] | None = None
    keyboard: tuple[tuple[KeyParameters | str, ...], ...] | None = None
    remove_keyboard: bool = False
    force_reply: bool = False
    resize_keyboard: bool = False
    one_time_keyboard: bool = False
    input_field_placeholder: str | None = None


ParametersT = TypeVar("ParametersT", bound=msgspec.Struct)


class Arguments(msgspec.Struct, frozen=True):
    """What a call brought, not typed yet."""

    values: Mapping[str, Any]
    uploads: Mapping[str, Upload]

    def typed(self, kind: type[ParametersT]) -> ParametersT:
        """The parameters as this struct. Raises BotApiError 400 naming the one that does not fit."""
        try:
            return msgspec.convert(self.values, kind, strict=False)
        except msgspec.ValidationError as error:
            raise bad_request(f"can't parse parameters: {error}") from error


async def read_arguments(request: web.Request) -> Arguments:
    """Everything that a request brought; the body wins over the query."""
    values: dict[str, Any] = dict(request.query)
    uploads: dict[str, Upload] = {}
    if request.content_type == "application/json" and request.can_read_body:
        values |= _json_body(await request.read())
    elif request.can_read_body:
        for name, field in (await request.post()).items():
            if isinstance(field, web.FileField):
                uploads[name] = _upload(name, field)
            else:
                values[name] = field if isinstance(field, str) else bytes(field).decode()
    return Arguments(structured(values), uploads)


def structured(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with the JSON within them read. An empty text means that nothing is given."""
    return {name: _value(name, value) for name, value in values.items() if value is not None and value != ""}


def _value(name: str, value: Any) -> Any:
    if name not in STRUCTURED or not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError as error:
        raise bad_request(f"can't parse {name.replace('_', ' ')} JSON object") from error


def _json_body(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise bad_request("can't parse JSON object") from error


def _upload(name: str, field: web.FileField) -> Upload:
    content = field.file.read(UPLOAD_BYTES_MAX + 1)
    if len(content) > UPLOAD_BYTES_MAX:
        raise BotApiError(413)
    return Upload(field.filename or name, content)
