"""Questions at a terminal: answered in order, hidden where they must be, ended by Ctrl-C at once."""

import os
import pty
import select
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

WAIT_S = 20.0
SCRIPT = """
import asyncio, click
from telecine.cmd.asking import Person
from telecine.cmd.running import run
from telecine.core.errors import InputError
async def ask():
    person = Person()
    code = await person.answer("Code")
    password = await person.answer("Password", hidden=True)
    return f"<{code}|{password}>"
try:
    click.command()(lambda: click.echo(run(ask())))(standalone_mode=True)
except InputError as error:
    click.echo(f"{error}; {error.hint}")
    raise SystemExit(error.exit_status)
"""


class Terminal:
    """A process on a terminal of its own."""

    def __init__(self) -> None:
        self.pid, self.end = pty.fork()
        if self.pid == 0:
            os.execv(sys.executable, [sys.executable, "-c", SCRIPT])  # noqa: S606 - our own
        self.shown = ""

    def until(self, text: str) -> None:
        deadline_s = time.monotonic() + WAIT_S
        while text not in self.shown:
            assert time.monotonic() < deadline_s, self.shown
            if select.select([self.end], [], [], 1)[0]:
                self.shown += os.read(self.end, 4096).decode()

    @property
    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.end)[3] & termios.ECHO)

    def type(self, text: str) -> None:
        os.write(self.end, text.encode())

    def status(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


def test_answers_are_taken_in_order_and_a_hidden_one_is_not_shown(terminal: Terminal) -> None:
    terminal.until("Code: ")
    terminal.type("12345\n")
    terminal.until("Password: ")
    assert not terminal.echoes
    terminal.type("secret\n")
    terminal.until("<12345|secret>")
    assert terminal.shown.count("secret") == 1
    assert terminal.status() == 0


def test_ctrl_c_at_a_hidden_question_ends_the_command_and_leaves_the_terminal_as_it_was(terminal: Terminal) -> None:
    terminal.until("Code: ")
    terminal.type("1\n")
    terminal.until("Password: ")
    assert not terminal.echoes
    terminal.type("\x03")
    terminal.until("Aborted")
    assert terminal.echoes
    assert terminal.status() == 1


def test_the_end_of_the_input_ends_the_command(terminal: Terminal) -> None:
    terminal.until("Code: ")
    terminal.type("\x04")
    terminal.until("nobody answers: Code; run it on a terminal")
    assert terminal.status() == 2


def test_login_without_a_terminal_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "telecine.toml").write_text(
        '[telegram]\napi_id = 1\napi_hash = "h"\n[worker]\nname = "cm-ember"\n'
        'coordinator_url = "http://127.0.0.1:1"\ntoken = "t"\nsession = "ember.session"\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "telecine.cmd", "login"],
        cwd=tmp_path, stdin=subprocess.DEVNULL, check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    asked, refused, hint = done.stderr.splitlines()
    assert asked.strip() == "Phone number, with +:"
    assert refused == "telecine: nobody answers: Phone number, with +"
    assert all(way in hint for way in ("terminal", "--phone", "worker.phone"))


@pytest.mark.parametrize("typed", [b"1\n2\n", b""])
def test_answers_may_come_from_a_pipe_all_at_once(typed: bytes) -> None:
    reading, writing = os.pipe()
    os.write(writing, typed)
    os.close(writing)
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", SCRIPT],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0), (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    os.close(reading)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == (0 if typed else 2)
