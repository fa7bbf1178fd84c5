"""Sources on the worker's own disks."""

from __future__ import annotations

import contextlib
import os
import random
from pathlib import Path

import msgspec
import pytest

from telecine.core.clock import SystemClock
from telecine.core.config import WorkerSettings
from telecine.core.reasons import Reason
from telecine.core.worker.sources import files
from telecine.core.worker.sources.source import SourceError
from telecine.core.worker.sources.sources import Sources

from .conftest import QUICK, whole

CONTENT = random.Random(2).randbytes(2_500_000)


class Disk:
    """Two folders, of which one may be read from."""

    def __init__(self, root: Path, settings: WorkerSettings) -> None:
        self.allowed, self.other = root / "films", root / "private"
        self.allowed.mkdir()
        self.other.mkdir()
        self.film = self.allowed / "a film #1 ä?.mkv"
        self.film.write_bytes(CONTENT)
        (self.other / "secret.mkv").write_bytes(CONTENT)
        self._settings = msgspec.structs.replace(settings, file_roots=(self.allowed,))

    def boot(self, **settings: object) -> Sources:
        return Sources(msgspec.structs.replace(self._settings, **settings), SystemClock(), limits=QUICK)

    async def refusal(self, url: str, **settings: object) -> SourceError:
        """Why a link is refused."""
        with pytest.raises(SourceError) as raised:
            async with self.boot(**settings) as boot, boot.open(url) as source:
                await whole(source)
        return raised.value


@pytest.fixture
def disk(tmp_path: Path, settings: WorkerSettings) -> Disk:
    return Disk(tmp_path, settings)


async def test_file_under_an_allowed_folder_is_read_anywhere_and_whole(disk: Disk) -> None:
    async with disk.boot() as boot, boot.open(disk.film.as_uri()) as source:
        assert (source.size_bytes, source.supports_ranges, source.duration_s) == (len(CONTENT), True, None)
        assert await source.read(2_499_990, 100) == CONTENT[-10:]
        assert await source.read(5, 7) == CONTENT[5:12]
        assert await source.read(3_000_000, 7) == b""
        assert await whole(source) == CONTENT
        assert await whole(source, 2_000_001) == CONTENT[2_000_001:]


async def test_stamp_of_a_file_changes_with_it(disk: Disk) -> None:
    stamps = []
    for size in (len(CONTENT), len(CONTENT), 1000):
        os.truncate(disk.film, size)
        async with disk.boot() as boot, boot.open(disk.film.as_uri()) as source:
            stamps.append((source.stamp, disk.film.stat().st_mtime_ns))
    assert None not in dict(stamps)
    assert stamps[2][0] != stamps[1][0]


async def test_file_link_without_allowed_folders_is_forbidden_and_names_the_setting(disk: Disk) -> None:
    refusal = await disk.refusal(disk.film.as_uri(), file_roots=())
    assert refusal.reason is Reason.FORBIDDEN
    assert "worker.file_roots" in str(refusal)


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("{other}/secret.mkv", Reason.FORBIDDEN),
        ("{allowed}/../private/secret.mkv", Reason.FORBIDDEN),
        ("{allowed}/%2e%2e/private/secret.mkv", Reason.FORBIDDEN),
        ("/etc/passwd", Reason.FORBIDDEN),
        ("/etc/no such file", Reason.FORBIDDEN),
        ("{allowed}", Reason.FORBIDDEN),
        ("{allowed}/missing.mkv", Reason.GONE),
        ("{allowed}/a%00b.mkv", Reason.GONE),
        ("", Reason.GONE),
    ],
)
async def test_file_that_is_elsewhere_or_nowhere_is_refused(link: str, reason: Reason, disk: Disk) -> None:
    refusal = await disk.refusal("file://" + link.format(allowed=disk.allowed, other=disk.other))
    assert refusal.reason is reason
    assert str(disk.allowed) not in str(refusal)


async def test_file_of_another_machine_is_refused(disk: Disk) -> None:
    assert (await disk.refusal(f"file://nas{disk.film}")).reason is Reason.FORBIDDEN


async def test_symbolic_link_leads_only_where_one_may_read(disk: Disk) -> None:
    (disk.allowed / "inside.mkv").symlink_to(disk.film)
    (disk.allowed / "outside.mkv").symlink_to(disk.other / "secret.mkv")
    (disk.allowed / "folder").symlink_to(disk.other, target_is_directory=True)
    (disk.allowed / "circle.mkv").symlink_to(disk.allowed / "circle.mkv")
    async with disk.boot() as boot, boot.open((disk.allowed / "inside.mkv").as_uri()) as source:
        assert await whole(source) == CONTENT
    for name in ("outside.mkv", "folder/secret.mkv"):
        assert (await disk.refusal(f"file://{disk.allowed}/{name}")).reason is Reason.FORBIDDEN
    assert (await disk.refusal(f"file://{disk.allowed}/circle.mkv")).reason is Reason.GONE


async def test_allowed_folder_may_itself_be_behind_a_link(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(disk.allowed, target_is_directory=True)
    url = (tmp_path / "link" / disk.film.name).as_uri()
    async with disk.boot(file_roots=(tmp_path / "link",)) as boot, boot.open(url) as source:
        assert await whole(source) == CONTENT


@pytest.mark.parametrize("name", ["film.mkv", "season/film.mkv"])
def test_link_that_takes_the_place_of_a_checked_name_is_not_followed(name: str, disk: Disk) -> None:
    parts = Path(name).parts
    (disk.allowed / parts[0]).symlink_to(disk.other / "secret.mkv" if len(parts) == 1 else disk.other)
    with pytest.raises(OSError, match=r"symbolic|directory"):
        files._descend(disk.allowed, parts)


async def test_what_is_no_regular_file_is_no_media(disk: Disk) -> None:
    (disk.allowed / "folder").mkdir()
    os.mkfifo(disk.allowed / "pipe")
    for name in ("folder", "pipe"):
        assert (await disk.refusal(f"file://{disk.allowed}/{name}")).reason is Reason.NOT_MEDIA


@pytest.mark.parametrize("content", [b"", b"<html>sorry</html>", b"#EXTM3U\n#EXT-X-ENDLIST\n"])
async def test_file_that_holds_no_film_is_no_media(content: bytes, disk: Disk) -> None:
    disk.film.write_bytes(content)
    assert (await disk.refusal(disk.film.as_uri())).reason is Reason.NOT_MEDIA


@pytest.mark.parametrize("size", [len(CONTENT) + 1, 2_000_000])
async def test_file_that_changes_while_it_is_read_is_refused(size: int, disk: Disk) -> None:
    async with disk.boot() as boot, boot.open(disk.film.as_uri()) as source:
        await source.read(0, 1000)
        os.truncate(disk.film, size)
        with pytest.raises(SourceError) as raised:
            await whole(source)
    assert raised.value.reason is Reason.WRONG_CONTENT


async def test_files_leave_no_descriptor_open(disk: Disk) -> None:
    (disk.allowed / "folder").mkdir()
    for name in ("missing.mkv", disk.film.name, "folder", "empty.mkv"):
        (disk.allowed / "empty.mkv").touch()
        async with disk.boot() as boot:
            with contextlib.suppress(SourceError):
                async with boot.open((disk.allowed / name).as_uri()) as source:
                    await whole(source)
                    assert open_below(disk.allowed)
    assert not open_below(disk.allowed)


def open_below(folder: Path) -> list[str]:
    """Files of a folder that this process has open."""
    targets = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            targets.append(str(descriptor.readlink()))
    return [target for target in targets if target.startswith(f"{folder}")]
