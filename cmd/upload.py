"""One upload as `telecine variant show` shows it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType

from telecine.cmd.showing import facts, table
from telecine.cmd.wording import size
from telecine.core.catalogue import VariantDetail, VariantSource


def describe(upload: VariantDetail) -> Iterator[RenderableType]:
    """Where it is, its links in the order they are tried, and the messages that hold it."""
    by = f" by {upload.worker}" if upload.worker else ""
    yield facts(
        [
            ("upload", upload.code),
            ("state", f"{upload.state.value}{by}"),
            ("title", upload.title_id),
            ("priority", upload.priority),
            ("attempts", upload.attempts),
            ("expired", upload.expiries or None),
        ]
    )
    yield ""
    yield table(("link", "fate", "url", "why"), map(_source, upload.sources))
    if upload.objects:
        yield ""
        yield table(
            ("part", "message", "channel", "account", "size"),
            (
                (
                    f"{part.part_no} of {part.part_count}",
                    part.message_id,
                    part.channel_id,
                    part.account,
                    size(part.size_bytes),
                )
                for part in upload.objects
            ),
        )


def _source(source: VariantSource) -> tuple[object, ...]:
    fate = source.fate.value if source.listed else f"{source.fate.value}, not listed any more"
    why = ": ".join(word for word in (source.reason and source.reason.value, source.detail) if word)
    return source.link_id, fate, source.url.partition("?")[0], why
