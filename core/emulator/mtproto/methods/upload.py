"""`upload.*`: small parts in, file content out. Big parts go a shorter way, see `rpc`."""

from __future__ import annotations

from typing import Any

from telethon.tl import functions, types

from telecine.core.emulator.mtproto.render import THUMB_TYPE
from telecine.core.emulator.mtproto.rpc import Call, MethodTable
from telecine.core.emulator.telegram.refusals import bad_request

METHODS = MethodTable()
_MIB = 1024 * 1024
_GRAIN_BYTES, _PRECISE_GRAIN_BYTES = 4096, 1024


@METHODS.answers(functions.upload.SaveFilePartRequest)
def save_file_part(call: Call, query: Any) -> Any:
    outcome = call.world.uploads.save_small_part(call.user, query.file_id, query.file_part, query.bytes)
    call.world.stats.part_bytes += len(query.bytes)
    call.world.stats.part_duplicates += outcome.duplicate
    return True


@METHODS.answers(functions.upload.GetFileRequest)
def get_file(call: Call, query: Any) -> Any:
    """Content of a file or of its thumbnail; empty bytes behind the end."""
    _check_range(query.offset, query.limit, precise=bool(query.precise))
    if not isinstance(query.location, types.InputDocumentFileLocation):
        raise bad_request("LOCATION_INVALID")
    document = call.viewer.document(query.location)
    read = call.world.documents.read
    if query.location.thumb_size == THUMB_TYPE:
        read = call.world.documents.read_thumb
    content = read(document, query.offset, query.limit)
    return types.upload.File(types.storage.FilePartial(), document.date_s, content)


def _check_range(offset: int, limit: int, *, precise: bool) -> None:
    """core.telegram.org/api/files#downloading-files"""
    grain = _PRECISE_GRAIN_BYTES if precise else _GRAIN_BYTES
    if offset < 0 or offset % grain:
        raise bad_request("OFFSET_INVALID")
    if not 0 < limit <= _MIB or limit % grain or (not precise and _MIB % limit):
        raise bad_request("LIMIT_INVALID")
    if offset // _MIB != (offset + limit - 1) // _MIB:
        raise bad_request("LIMIT_INVALID")
