"""One upload as `telecine variant show` shows it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType

from telecine.cmd.showing import facts, table
from telecine.cmd.wording import duration, size
from telecine.core.catalogue import PROBED, VariantDetail, VariantSource
from telecine.core.leases import VariantState
from telecine.core.links import shown

WAITING = frozenset({VariantState.READY, VariantState.LEASED, VariantState.DELAYED})  # a link of it is yet to be read


def describe(upload: VariantDetail) -> Iterator[RenderableType]:
    """Where it is, its links in the order they are tried, and the messages that hold it."""
    yield facts(_facts(upload))
    yield ""
    yield table(("link", "quality", "fate", "url", "why"), map(_source, upload.sources))
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
    quality = f"{source.quality.label} measured" if source.evidence == PROBED else source.quality.label
    return source.link_id, quality, fate, shown(source.url), why


def _facts(upload: VariantDetail) -> list[tuple[str, object]]:
    """What is said only where there is something to say is None otherwise."""
    return [
        ("upload", upload.code),
        ("state", _state(upload)),
        ("title", upload.title_id),
        ("priority", upload.priority),
        ("pinned to", upload.account),
        ("reads from", upload.host if upload.state in WAITING else None),
        ("channel", upload.channel),
        ("needs", _needs(upload)),
        ("attempts", upload.attempts),
        ("rounds", upload.rounds or None),
        ("expired", upload.expiries or None),
    ]


def _state(upload: VariantDetail) -> str:
    by = f" by {upload.worker}" if upload.worker else ""
    if upload.waits_for_link:
        return f"{upload.state.value}, waits for a link of its quality to be listed"
    if upload.due_in_s is None:
        return f"{upload.state.value}{by}"
    due = "again in" if upload.state is VariantState.DELAYED else "expires in"
    return f"{upload.state.value}{by}, {due} {duration(upload.due_in_s)}"


def _needs(upload: VariantDetail) -> str | None:
    """What not every account or worker has."""
    needs = []
    if upload.file_bytes:
        needs.append(f"an account that may send {size(upload.file_bytes)}")
    if upload.disk_bytes:
        needs.append(f"a worker with {size(upload.disk_bytes)} of disk free")
    return ", ".join(needs) or None
