"""The program in a folder of its own, as a person runs it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

from tests.cmd.conftest import Said, run_program


def telecine(*arguments: str, cwd: Path, environ: dict[str, str] | None = None) -> Said:
    """What the program says in a folder."""
    with contextlib.chdir(cwd), patch.dict(os.environ, _clean(environ), clear=True):
        return run_program(arguments)


def process(*arguments: str, cwd: Path) -> Said:
    """The same by the real program, as a process."""
    done = subprocess.run(
        [sys.executable, "-m", "telecine.cmd", *arguments],
        cwd=cwd, env=_clean(), input="", check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return Said(done.returncode, done.stdout, done.stderr)


def _clean(more: dict[str, str] | None = None) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("TELECINE")} | (more or {})
