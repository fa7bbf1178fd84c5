"""`telecine plan`: what a worker would make of a file, and why."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import msgspec
from click.core import ParameterSource
from rich.console import RenderableType

from telecine.cmd import arguments, settings
from telecine.cmd.showing import display, document, facts, json_option, note, table
from telecine.cmd.wording import amount, duration, size
from telecine.core import codecs, plans, quality
from telecine.core.clock import SystemClock
from telecine.core.config import WorkerSettings
from telecine.core.errors import TelecineError
from telecine.core.links import shown
from telecine.core.plans import AudioTrack, Expectation, PlanKind, Probe, Recipe, VideoTrack
from telecine.core.quality import Quality
from telecine.core.worker.forecast import Forecast, foresee
from telecine.core.worker.sources.errors import OrderError, SourceError
from telecine.core.worker.sources.sources import Sources

REJECTED_STATUS = 3
QUALITIES = {one.label: one for one in Quality}


@click.command()
@click.argument("source", metavar="URL_OR_PATH")
@click.option(
    "--quality", "declared", type=click.Choice(list(QUALITIES)), help="What it is sold as. Default: anything."
)
@click.option(
    "--runtime", "runtime_s", type=arguments.Number(min=1), metavar="SECONDS", help="How long the title runs."
)
@click.option("--premium/--free", default=True, show_default=True, help="Whose limit of a file's size holds.")
@json_option
@click.pass_context
def plan(
    ctx: click.Context, source: str, declared: str | None, runtime_s: int | None, premium: bool, as_json: bool
) -> None:
    """Read the head of a film, print what it is, how a worker would send it, and why.

    Nothing is sent, and neither Telegram nor the coordinator is asked. [worker] of the settings holds, where there is
    one. The exit status is 0 if the film would be sent, 3 if its link would be rejected, 1 if it cannot be read.

    \b
    telecine plan https://files.example/film.mkv --quality 1080p --runtime 5400
    telecine plan /srv/films/film.mkv --free
    """
    if not source:
        raise click.BadParameter("expected a URL or a path", ctx, param_hint="URL_OR_PATH")
    worker = _settings(ctx, source)
    if declared is None:  # nothing to correct
        worker = msgspec.structs.replace(worker, plan=msgspec.structs.replace(worker.plan, correct_quality=False))
    expected = Expectation(
        QUALITIES[declared] if declared else Quality.AUTO, plans.file_bytes_max(premium=premium), runtime_s
    )
    found = asyncio.run(_foresee(source, expected, worker))
    if as_json:
        document(found)
    else:
        display(*_told(found))
        note(f"{size(found.bytes_read)} read")
    if found.plan.kind is PlanKind.REJECT:
        raise SystemExit(REJECTED_STATUS)


async def _foresee(source: str, expected: Expectation, worker: WorkerSettings) -> Forecast:
    async with Sources(worker, SystemClock()) as sources:
        try:
            return await foresee(sources, _url(source), expected, worker)
        except OrderError as error:
            raise TelecineError(
                f"{_named(source)}: its head does not tell: {error.message}",
                hint="a worker copies such a file to its disk first; try the plan on a copy of it",
            ) from error
        except SourceError as error:
            raise TelecineError(f"{_named(source)}: {error.message}", hint=error.hint) from error


def _settings(ctx: click.Context, source: str) -> WorkerSettings:
    """Those of the worker, where there are any; what the operator names on this machine may be read."""
    chosen = ctx.find_root().get_parameter_source("config") is not ParameterSource.DEFAULT
    worker = settings.load(ctx, "worker").worker if chosen or settings.path(ctx).exists() else None
    if worker is None:
        session = Path(tempfile.gettempdir(), "plan")  # never opened
        worker = WorkerSettings(name="plan", coordinator_url="http://localhost", token="", session=session)
    file = _file(source)
    if file is None:
        return worker
    return msgspec.structs.replace(worker, file_roots=(*worker.file_roots, _real(file).parent))


def _url(source: str) -> str:
    file = _file(source)
    return source if file is None else _real(file).as_uri()


def _real(file: Path) -> Path:
    """Where it really lies. Total, as `Path.resolve` is not where symbolic links lead in a circle."""
    return Path(os.path.realpath(file))


def _named(source: str) -> str:
    """As it was typed, without what may hold a key."""
    return shown(source) if _file(source) is None else source


def _file(source: str) -> Path | None:
    """The file of this machine that is meant; None for a URL of another kind."""
    if source.startswith("file:"):
        try:
            path = unquote(urlsplit(source).path)
        except ValueError:
            return None  # nor one at all, as the worker will say
        return None if "\0" in path else Path(path)
    return None if "://" in source else Path(source)


def _told(found: Forecast) -> tuple[RenderableType, ...]:
    probe, decided = found.probe, found.plan
    told: list[tuple[str, object]] = [("plan", decided.kind.value), ("why", decided.why)]
    if decided.reason is not None:
        told.append(("reason", decided.reason.value))
        if decided.quality is not None:
            told.append(("belongs to", decided.quality.label))
    else:
        told.append(("would send", _sent(found)))
    tracks = table(("track", "codec", "what", "language", "becomes"), _tracks(probe, decided.recipe, decided.kind))
    return facts(_file_facts(probe)), "", tracks, "", facts(told)


def _file_facts(probe: Probe) -> list[tuple[str, object]]:
    index = None
    if probe.moov_bytes is not None:
        index = f"{size(probe.moov_bytes)}, {'in front' if probe.moov_first else 'not in front'}"
    return [
        ("container", probe.container),
        ("size", "not told" if probe.size_bytes is None else size(probe.size_bytes)),
        ("runs", "not told" if probe.duration_s is None else duration(probe.duration_s)),
        ("bit rate", _rate(probe.bit_rate) or None),
        ("index", index),
    ]


def _tracks(probe: Probe, recipe: Recipe | None, kind: PlanKind) -> Iterator[tuple[object, ...]]:
    """What there is, and what becomes of it."""
    kept = {PlanKind.REJECT: "", PlanKind.DIRECT: "kept", PlanKind.DOCUMENT: "kept"}.get(kind)
    if probe.video is not None:
        yield "video", codecs.name(probe.video.codec), _picture(probe.video), "", "copied" if kept is None else kept
    for index, track in enumerate(probe.audio):
        becomes = "copied" if kept is None else kept
        if recipe is not None and index in (*recipe.transcode, *recipe.leave):
            becomes = "AAC" if index in recipe.transcode else "left behind"
        yield "audio", codecs.name(track.codec), _sound(track), track.language or "", becomes
    for line in probe.subtitles:
        becomes = "left behind" if kept is None else kept
        yield "subtitles", line.codec, line.title or "", line.language or "", becomes


def _sound(track: AudioTrack) -> str:
    said = (
        amount(track.channels, "channel") if track.channels else None,
        f"{track.sample_rate_hz / 1000:g} kHz" if track.sample_rate_hz else None,
        _rate(track.bit_rate),
        track.title,
    )
    return ", ".join(filter(None, said))


def _picture(video: VideoTrack) -> str:
    kind = quality.of_frame(video.width_px, video.height_px)
    said = (
        f"{video.width_px}x{video.height_px}" + ("" if kind is Quality.AUTO else f" ({kind.label})"),
        f"turned by {video.rotation_deg} degrees" if video.rotation_deg else None,
        f"{video.frames_per_s:g} frames/s" if video.frames_per_s else None,
        video.pixel_format,
        video.codec_tag,
        video.dynamic_range,
        _rate(video.bit_rate),
    )
    return ", ".join(filter(None, said))


def _rate(bits_per_s: int | None) -> str:
    return f"{bits_per_s / 1000:,.0f} kbit/s" if bits_per_s else ""


def _sent(found: Forecast) -> str:
    """`3 files of about 1.9 GB: CODE_P01OF03.mp4 ...`."""
    about = "" if found.file_bytes is None else f" of about {size(found.file_bytes)}"
    if found.file_count is None:
        return f"CODE{found.extension}, or CODE_P01OF..{found.extension} and so on: as many as it takes"
    if found.file_count == 1:
        exactly = about if found.plan.recipe else about.replace("about ", "")
        return f"CODE{found.extension}{exactly}"
    count = found.file_count
    return f"{count} files{about}: CODE_P01OF{count:02d}{found.extension} and so on"
