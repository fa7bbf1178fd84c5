from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from telecine.core.errors import ConfigError
from telecine.core.worker.telegram.sessions import locked_session, session_file


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_suffix_that_telethon_adds_is_part_of_the_name(tmp_path: Path) -> None:
    assert session_file(tmp_path / "ember") == tmp_path / "ember.session"
    assert session_file(tmp_path / "ember.session") == tmp_path / "ember.session"
    assert session_file(tmp_path / "cm.ember") == tmp_path / "cm.ember.session"


def test_a_new_session_is_secret_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with locked_session(tmp_path / "keys" / "ember") as file:
            assert mode(file) == 0o600
            assert mode(file.with_name("ember.session.lock")) == 0o600
    finally:
        os.umask(before)


def test_a_session_that_others_could_read_is_narrowed_and_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "ember.session"
    file.touch(mode=0o644)
    with caplog.at_level(logging.WARNING), locked_session(tmp_path / "ember"):
        assert mode(file) == 0o600
    assert "0600" in caplog.text


def test_a_second_user_in_the_same_process_is_refused(tmp_path: Path) -> None:
    with (
        locked_session(tmp_path / "ember"),
        pytest.raises(ConfigError, match=r"ember\.session: another process"),
        locked_session(tmp_path / "ember"),
    ):
        pass


def test_a_second_process_is_refused_by_the_name_of_the_file(tmp_path: Path) -> None:
    with locked_session(tmp_path / "ember"):
        other = subprocess.run(
            [sys.executable, "-c", _LOCK, str(tmp_path / "ember")],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    assert other.returncode == 1
    assert "ember.session: another process is using this session" in other.stderr


def test_a_session_is_free_again_after_its_user(tmp_path: Path) -> None:
    with locked_session(tmp_path / "ember"):
        pass
    with locked_session(tmp_path / "ember"):
        pass


def test_a_folder_in_place_of_the_session_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ember.session").mkdir()
    with pytest.raises(ConfigError, match=r"ember\.session"), locked_session(tmp_path / "ember"):
        pass


_LOCK = """
import sys
from pathlib import Path
from telecine.core.worker.telegram.sessions import locked_session
with locked_session(Path(sys.argv[1])): pass
"""
