"""Files that a bot sends: by its own file id, or uploaded with the call."""

from __future__ import annotations

from pathlib import PurePath

from telecine.core.emulator.botapi.errors import WRONG_FILE_ID, bad_request
from telecine.core.emulator.botapi.registry import Call
from telecine.core.emulator.telegram.entities import Document, MediaKind, VideoTrait

MIME_TYPES = {
    ".avi": "video/x-msvideo",
    ".jpg": "image/jpeg",
    ".mkv": "video/x-matroska",
    ".mp4": "video/mp4",
    ".pdf": "application/pdf",
    ".txt": "text/plain",
    ".webm": "video/webm",
    ".zip": "application/zip",
}


def document(call: Call, kind: MediaKind, given: str | None, field: str, video: VideoTrait) -> Document:
    """The file meant by `given` (a file id or attach://name) or uploaded as `field`.

    Raises BotApiError 400: another bot's id, a file stored as another kind, an address to fetch from.
    """
    attached = (given or "").removeprefix("attach://") if (given or "").startswith("attach://") else field
    upload = call.uploads.get(attached)
    if upload is not None:
        mime_type = MIME_TYPES.get(PurePath(upload.file_name).suffix.lower(), "application/octet-stream")
        trait = video if kind is MediaKind.VIDEO else None
        if kind is MediaKind.VIDEO:
            mime_type = "video/mp4"  # what is sent as a video is taken for one
        return call.world.documents.store(upload.content, upload.file_name, mime_type, trait)
    if not given:
        raise bad_request(f"there is no {kind.value} in the request")
    if "://" in given:
        raise bad_request("failed to get HTTP URL content")  # the emulator fetches nothing
    return _stored(call, kind, given)


def _stored(call: Call, kind: MediaKind, file_id: str) -> Document:
    stored = call.world.documents.by_file_id(call.bot, file_id)
    if stored is None:
        raise bad_request(WRONG_FILE_ID)
    if stored.kind is not kind:
        raise bad_request("type of file mismatch")
    return stored
