"""What tests of several rooms share."""

from __future__ import annotations

import pytest
from telethon.crypto import rsa as telethon_rsa

from telecine.core.emulator.telegram.keys import ServerKey


@pytest.fixture(scope="session")
def server_key() -> ServerKey:
    """One key of the emulated Telegram for all tests of a process, known to Telethon."""
    key = ServerKey.generate()
    telethon_rsa.add_key(key.public_pem, old=False)
    return key
