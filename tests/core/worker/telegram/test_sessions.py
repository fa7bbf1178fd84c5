from __future__ import annotations

import logging
import multiprocessing
import os
import stat
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
    with locked_session(tmp_path / "ember"), multiprocessing.get_context("spawn").Pool(1) as pool:
        said = pool.apply(_try_to_lock, (str(tmp_path / "ember"),))
    assert "ember.session: another process is using this session" in said


def test_a_session_is_free_again_after_its_user(tmp_path: Path) -> None:
    with locked_session(tmp_path / "ember"):
        pass
    with locked_session(tmp_path / "ember"):
        pass


def test_a_folder_in_place_of_the_session_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ember.session").mkdir()
    with pytest.raises(ConfigError, match=r"ember\.session"), locked_session(tmp_path / "ember"):
        pass


def _try_to_lock(path: str) -> str:
    try:
        with locked_session(Path(path)):
            return "locked"
    except ConfigError as error:
        return str(error)
