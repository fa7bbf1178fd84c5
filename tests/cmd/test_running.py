"""How a daemon is asked to end, and how it ends when it is asked again."""

from __future__ import annotations

import signal
import subprocess
import sys
from itertools import product

import pytest

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

DAEMON = """
import signal, sys
from telecine.cmd.running import run, stop_requested

async def serve():
    stop = stop_requested()
    signal.raise_signal(int(sys.argv[1]))
    await stop.wait()
    print("closing", flush=True)
    try:
        signal.raise_signal(int(sys.argv[2]))
    finally:
        print("still closing", flush=True)

run(serve())
"""


@pytest.mark.parametrize(("first", "second"), list(product(STOP_SIGNALS, repeat=2)))
def test_a_second_signal_ends_a_daemon_at_once(first: signal.Signals, second: signal.Signals) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DAEMON, str(int(first)), str(int(second))],
        stdin=subprocess.DEVNULL, capture_output=True, check=False, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (-second, "closing\n", "")
