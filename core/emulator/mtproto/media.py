"""From what a client calls media to a stored document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from telethon.tl import types

from telecine.core.emulator.mtproto.rpc import Call
from telecine.core.emulator.telegram.entities import Document, VideoTrait
from telecine.core.emulator.telegram.refusals import bad_request
from telecine.core.emulator.telegram.uploads import FinishedUpload

THUMB_SIDE_PX_MAX = 320


def take_media(call: Call, given: Any) -> Document:
    """The document that a message is to carry: a fresh upload, or one already stored."""
    if isinstance(given, types.InputMediaUploadedDocument):
        return _store_upload(call, given)
    if isinstance(given, types.InputMediaDocument):
        return call.viewer.document(given.id)
    if given is None or isinstance(given, types.InputMediaEmpty):
        raise bad_request("MEDIA_EMPTY")
    raise bad_request("MEDIA_INVALID")  # photos, polls and the like are not part of this Telegram


def take_stored(call: Call, given: Any) -> Document:
    """The document of an album's item: albums take only what `messages.uploadMedia` has stored (MEDIA_INVALID)."""
    if isinstance(given, types.InputMediaUploadedDocument):
        raise bad_request("MEDIA_INVALID")
    return take_media(call, given)


def _store_upload(call: Call, given: Any) -> Document:
    lost_part = call.faults.take_missing_part(call.account)
    if lost_part is not None:
        call.world.uploads.lose_part(call.user, getattr(given.file, "id", 0), lost_part)
    if given.thumb is not None:
        _uploaded(call, given.thumb, call.world.uploads.check)  # before the parts of the file are used up
    finished = _uploaded(call, given.file, call.world.uploads.finish)
    name = next((a.file_name for a in given.attributes if isinstance(a, types.DocumentAttributeFilename)), None)
    document = call.world.documents.register(
        finished.blob,
        finished.size_bytes,
        finished.part_bytes,
        file_name=name or given.file.name or "file",
        mime_type=given.mime_type,
        video=None if given.force_file else _video(given.attributes),
    )
    if given.thumb is not None:
        document = _with_thumb(call, document, given.thumb)
    return document


def _uploaded(call: Call, file: Any, ask: Callable[..., FinishedUpload]) -> FinishedUpload:
    """Ask `Uploads` to check or to finish what a client calls a file."""
    if isinstance(file, types.InputFileBig):
        return ask(call.user, file.id, file.parts, big=True)
    if isinstance(file, types.InputFile):
        return ask(call.user, file.id, file.parts, big=False, md5_checksum=file.md5_checksum)
    raise bad_request("FILE_ID_INVALID")


def _video(attributes: list[Any]) -> VideoTrait | None:
    declared = next((a for a in attributes if isinstance(a, types.DocumentAttributeVideo)), None)
    if declared is None:
        return None
    return VideoTrait(
        duration_s=float(declared.duration),
        width_px=declared.w,
        height_px=declared.h,
        supports_streaming=bool(declared.supports_streaming),
    )


def _with_thumb(call: Call, document: Document, given: Any) -> Document:
    """Telegram ignores a thumbnail that is too large, and so do we."""
    finished = _uploaded(call, given, call.world.uploads.finish)
    if finished.size_bytes > call.world.limits.thumb_bytes_max:
        return document
    video = document.video
    width, height = (video.width_px, video.height_px) if video is not None else (0, 0)
    scale = THUMB_SIDE_PX_MAX / max(width, height, THUMB_SIDE_PX_MAX)
    document = msgspec.structs.replace(
        document,
        thumb_blob=finished.blob,
        thumb_size_bytes=finished.size_bytes,
        thumb_width_px=round(width * scale),
        thumb_height_px=round(height * scale),
    )
    call.world.documents.replace(document)
    return document
