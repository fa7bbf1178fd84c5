"""What CM answers, read within bounds."""

from __future__ import annotations

import json

import msgspec
from aiohttp import ClientResponse

from telecine.core.errors import CmError
from telecine.core.intake.mapping import FieldPath

PAGE_BYTES_MAX = 64 * 1024 * 1024
ERROR_BYTES_MAX = 64 * 1024
_ERROR_CODE_CHARS_MAX = 60


async def read_json(response: ClientResponse, bytes_max: int = PAGE_BYTES_MAX) -> object:
    """The document of an answer. Raises CmError for one that is too long or no JSON."""
    what = f"the answer to {response.method} {response.url.path}"
    body = await _read(response, bytes_max)
    if body is None:
        raise CmError(f"{what} is longer than {bytes_max} bytes", hint="lower cm.paging.size")
    try:
        return _decoded(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise CmError(f"{what} is not JSON: {error}", hint="is cm.base_url the API, not the web page?") from None


def _decoded(body: bytes) -> object:
    """Half a surrogate pair becomes U+FFFD: a CM writes one where it has cut a text in the middle of a character."""
    try:
        document: object = msgspec.json.decode(body)
    except msgspec.DecodeError:
        if b"\\ud" not in body and b"\\uD" not in body:
            raise
        text = json.dumps(json.loads(body), ensure_ascii=False)
        document = msgspec.json.decode(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return document


async def read_error_code(response: ClientResponse, path: FieldPath | None) -> str | None:
    """The error code in a refusal's body, where the settings say where it stands and it stands there."""
    body = await _read(response, ERROR_BYTES_MAX)
    response.release()
    if path is None or not body:
        return None
    try:
        code = path.one(msgspec.json.decode(body))
    except (CmError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return code[:_ERROR_CODE_CHARS_MAX] if isinstance(code, str) else None


async def _read(response: ClientResponse, bytes_max: int) -> bytes | None:
    if (response.content_length or 0) > bytes_max:
        response.close()
        return None
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > bytes_max:
            response.close()
            return None
    return bytes(body)
