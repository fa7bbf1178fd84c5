from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from telecine.core.clock import SystemClock
from telecine.core.emulator.media.files import generate, truncate_copy
from telecine.core.emulator.media.specs import AudioCodec, Container, MediaSpec, VideoCodec
from telecine.core.emulator.sources.faults import SourceFault, SourceFaultKind
from telecine.core.emulator.sources.host import SourceHost, serve_sources

from .conftest import Said, run_program

MP4 = MediaSpec(name="film.mp4", width_px=426, height_px=240, seconds=1.0, seed=1)
MKV = MediaSpec(
    name="film.mkv",
    container=Container.MKV,
    audio_codec=AudioCodec.AC3,
    width_px=426,
    height_px=240,
    seconds=1.0,
    subtitles=True,
)
WEBM = MediaSpec(
    name="film.webm",
    container=Container.WEBM,
    video_codec=VideoCodec.VP8,
    audio_codec=AudioCodec.OPUS,
    width_px=426,
    height_px=240,
    seconds=1.0,
)
SETTINGS = """
[worker]
name = "w"
coordinator_url = "http://127.0.0.1:1"
token = "t"
session = "w.session"
allow_private_sources = {private}
{more}
"""


class Shelf:
    """A source host with films, and somebody at a terminal with the settings of a worker."""

    def __init__(self, folder: Path, host: SourceHost, url: str) -> None:
        self.folder = folder
        self.host = host
        self.url = url
        self.settings = folder / "telecine.toml"
        self.configure()

    def configure(self, *more: str, private: bool = True) -> None:
        self.settings.write_text(SETTINGS.format(private=str(private).lower(), more="\n".join(more)))

    async def put(self, spec: MediaSpec) -> str:
        await asyncio.to_thread(generate, spec, self.folder)
        return f"{self.url}/{spec.name}"

    async def plan(self, *words: str) -> Said:
        return await asyncio.to_thread(run_program, ["--config", str(self.settings), "plan", *words])


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Shelf]:
    async with serve_sources(tmp_path, SystemClock()) as (host, url):
        yield Shelf(tmp_path, host, url)


async def test_plan_tells_what_the_film_is_and_what_would_be_sent(shelf: Shelf) -> None:
    said = await shelf.plan(await shelf.put(MKV), "--quality", "240p", "--runtime", "1")
    assert said.status == 0
    assert ["container", "matroska,webm"] in said.lines
    assert ["video", "H.264", "426x240", "(240p),", "24", "frames/s,", "yuv420p", "copied"] in said.lines
    assert ["audio", "AC-3", "2", "channels,", "48", "kHz,", "96", "kbit/s", "AAC"] in said.lines
    assert ["subtitles", "subrip", "left", "behind"] in said.lines
    assert ["plan", "remux"] in said.lines
    assert "AC-3 sound does not play and becomes AAC." in said.out
    assert "CODE.mp4 of about" in said.out
    assert "read" in said.err


async def test_plan_of_what_is_sent_as_it_is_names_its_exact_size(shelf: Shelf) -> None:
    url = await shelf.put(MP4)
    found = (await shelf.plan(url, "--json")).document
    assert found["plan"]["kind"] == "direct"
    assert (found["file_count"], found["extension"]) == (1, ".mp4")
    assert found["file_bytes"] == (shelf.folder / MP4.name).stat().st_size
    assert 0 < found["bytes_read"] < 1_000_000


async def test_plan_of_what_does_not_play_is_a_document(shelf: Shelf) -> None:
    said = await shelf.plan(await shelf.put(WEBM))
    assert said.status == 0
    assert ["plan", "document"] in said.lines
    assert "CODE.webm" in said.out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--quality", "1080p"], "The picture is 426x240: that is 240p, not 1080p."),
        (["--runtime", "5400"], "It runs 1 s of the 5400 s"),
    ],
)
async def test_film_that_is_not_what_was_declared_ends_with_status_3(words: list[str], why: str, shelf: Shelf) -> None:
    said = await shelf.plan(await shelf.put(MP4), *words)
    assert said.status == 3
    assert ["plan", "reject"] in said.lines
    assert ["reason", "wrong_content"] in said.lines
    assert why in said.out
    assert "would send" not in said.out


async def test_film_of_unknown_size_is_planned_as_many_files_as_it_takes(shelf: Shelf) -> None:
    url = await shelf.put(MKV)
    shelf.host.set_faults(MKV.name, [SourceFault(kind=SourceFaultKind.NO_LENGTH)])
    said = await shelf.plan(url, "--free")
    assert said.status == 0, said.err
    assert ["plan", "split"] in said.lines
    assert "as many as it takes" in said.out


async def test_policy_of_the_settings_holds(shelf: Shelf) -> None:
    shelf.configure("[worker.plan]", "transcode_audio = false", "documents = false")
    said = await shelf.plan(await shelf.put(MKV))
    assert said.status == 3
    assert ["reason", "not_media"] in said.lines


async def test_file_of_this_machine_needs_neither_settings_nor_a_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.to_thread(generate, MP4, tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in (MP4.name, str(tmp_path / MP4.name), (tmp_path / MP4.name).as_uri()):
        said = await asyncio.to_thread(run_program, ["plan", name])
        assert said.status == 0, said.err
        assert ["plan", "direct"] in said.lines


async def test_what_cannot_be_read_ends_with_status_1_and_one_line(shelf: Shelf) -> None:
    await shelf.put(MP4)
    truncate_copy(shelf.folder / MP4.name, shelf.folder / "cut.mp4", 0.5)
    for source in (
        f"{shelf.url}/none.mp4",
        f"{shelf.url}/cut.mp4",
        str(shelf.folder / "none.mp4"),
        "ftp://x/y",
        "file://[x",
    ):
        said = await shelf.plan(source)
        assert said.status == 1, source
        assert said.out == ""
        assert said.err.startswith("telecine: ")
        assert "Traceback" not in said.err


async def test_private_addresses_are_for_those_who_allow_them(shelf: Shelf) -> None:
    url = await shelf.put(MP4)
    shelf.configure(private=False)
    said = await shelf.plan(url)
    assert (said.status, said.out) == (1, "")
    assert said.err.splitlines() == [
        f"telecine: {url}: leads to an address that is not public",
        "  `worker.allow_private_sources = true` allows it",
    ]


async def test_what_cannot_be_read_is_named_without_what_may_hold_a_key(shelf: Shelf) -> None:
    folder = str(shelf.folder)
    (shelf.folder / "circle.mp4").symlink_to("circle.mp4")
    for source, complaint in (
        (folder, f"telecine: {folder}: is no regular file"),
        (f"{folder}/none?.mp4", f"telecine: {folder}/none?.mp4: there is no such file"),
        (f"{folder}/circle.mp4", f"telecine: {folder}/circle.mp4: the file cannot be opened"),
        ("file:///a%00b", "telecine: file:///a%00b: a file: link needs an absolute path"),
        (f"{shelf.url}/none.mp4?key=secret", f"telecine: {shelf.url}/none.mp4: the host answers 404"),
    ):
        said = await shelf.plan(source)
        assert (said.status, said.err.splitlines()[0]) == (1, complaint)


async def test_something_must_be_named(shelf: Shelf) -> None:
    said = await shelf.plan("")
    assert said.status == 2
    assert "expected a URL or a path" in said.err


async def test_settings_that_were_named_must_be_there(tmp_path: Path) -> None:
    said = await asyncio.to_thread(run_program, ["--config", str(tmp_path / "none.toml"), "plan", "film.mp4"])
    assert said.status == 2
    assert "none.toml" in said.err
