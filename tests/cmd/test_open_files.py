"""How many clients the system lets a coordinator serve."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from telecine.cmd.open_files import FILES_BESIDE_CLIENTS
from telecine.core.coordinator.http.limits import Limits

CLIENTS = Limits().connections_max
WANTED = CLIENTS + FILES_BESIDE_CLIENTS
UNIT = Path(__file__).parents[2] / "systemd" / "telecine-serve.service"

ASK = """
import resource
from telecine.cmd.open_files import limits_of_clients
print(limits_of_clients().connections_max, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def _served(*, soft: int, hard: int) -> tuple[int, int, str]:
    """How many clients are served by a process that is started with these limits, its soft limit then, and what it
    logs."""
    limited = f'ulimit -Sn {soft} && ulimit -Hn {hard} && exec "$0" -c "$1"'
    ran = subprocess.run(["sh", "-c", limited, sys.executable, ASK], check=True, capture_output=True, text=True)
    clients, files = map(int, ran.stdout.split())
    return clients, files, ran.stderr


@pytest.mark.parametrize(("soft", "hard", "files"), [(256, WANTED + 1, WANTED), (WANTED, WANTED, WANTED)])
def test_soft_limit_is_raised_as_far_as_clients_need(soft: int, hard: int, files: int) -> None:
    assert _served(soft=soft, hard=hard) == (CLIENTS, files, "")


@pytest.mark.parametrize(("hard", "clients"), [(1024, 1024 - FILES_BESIDE_CLIENTS), (300, 150)])
def test_where_it_stays_low_fewer_clients_are_served_and_the_log_says_so(hard: int, clients: int) -> None:
    served, files, told = _served(soft=256, hard=hard)
    assert (served, files) == (clients, hard)
    assert f"{clients} clients are served at once, not {CLIENTS}" in told


def test_unit_of_the_coordinator_allows_as_many_as_it_wants() -> None:
    allowed = re.search(r"^LimitNOFILE=(\d+)$", UNIT.read_text(), re.MULTILINE)
    assert allowed is not None
    assert int(allowed[1]) >= WANTED
