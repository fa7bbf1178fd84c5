"""What is built holds what is in git: no module forgotten, none invented."""

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("cmd", "core", "store", "bot")
PACKAGED = {".py", ".sql", ".toml", ".typed"}


def in_git() -> set[str]:
    """Files of the rooms, tracked or about to be, as paths within the package `telecine`."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *ROOMS],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    return {f"telecine/{path}" for path in listing if Path(path).suffix in PACKAGED and (ROOT / path).exists()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist, built without touching the network or the checkout."""
    out = tmp_path_factory.mktemp("dist")
    source = tmp_path_factory.mktemp("source")
    export = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True,
    ).stdout  # fmt: skip
    for name in export.decode().split("\0"):
        if name and (ROOT / name).is_file() and not (ROOT / name).is_symlink():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)],
        check=True, capture_output=True,
    )  # fmt: skip
    return out


def test_the_wheel_holds_exactly_the_files_in_git(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packaged = {name for name in archive.namelist() if name.startswith("telecine/")}
    assert packaged == in_git()


def test_the_sdist_holds_every_file_in_git(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {path.removeprefix("telecine/") for path in in_git()} <= names


def test_the_wheel_runs_without_the_checkout(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")  # noqa: S202 - we built it
    script = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); import telecine.cmd.main as m;"
        "assert m.__file__.startswith(sys.path[0]), m.__file__; m.main()"
    )
    # -S leaves the editable install's hook out; the dependencies are named by hand instead
    dependencies = next(path for path in sys.path if path.endswith("site-packages"))
    env = os.environ | {"PYTHONPATH": dependencies, "TELECINE_CONFIG": str(tmp_path / "telecine.toml")}
    done = subprocess.run(
        [sys.executable, "-S", "-c", script, str(tmp_path / "site"), "init"],
        cwd=tmp_path, env=env, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "telecine.toml").exists()


def test_pyproject_lists_every_package() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {str(Path(path).parent).replace("/", ".") for path in in_git() if path.endswith(".py")}
    assert set(listed) == folders


def test_cmd_never_hides_the_standard_librarys(tmp_path: Path) -> None:
    assert not (ROOT / "cmd" / "__init__.py").exists()
    (tmp_path / "script.py").write_text("print('ran under pdb')")
    for command in (["pdb", "-c", "continue", str(tmp_path / "script.py")], ["pytest", "--version"]):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=ROOT, input="quit\n", check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stdout + done.stderr


def test_the_locks_name_no_index() -> None:
    for lock in ROOT.glob("requirements*.lock"):
        text = lock.read_text()
        assert "://" not in text
        assert "--index" not in text
        assert "--hash=sha256:" in text
