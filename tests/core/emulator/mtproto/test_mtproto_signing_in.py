"""Signing in and staying signed in, with unmodified Telethon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from telethon import errors
from telethon.sessions import MemorySession, SQLiteSession
from tests.core.emulator.conftest import Connect, new_client, sign_in

from telecine.core.emulator.faults import Faults
from telecine.core.emulator.mtproto.server import MtprotoServer
from telecine.core.emulator.telegram.keys import ServerKey
from telecine.core.emulator.telegram.world import World


async def test_code_signs_in_and_get_me_tells_premium(connect: Connect) -> None:
    ember, rora = await connect("cm-ember"), await connect("cm-rora")
    me = await ember.get_me()
    assert (me.phone, me.premium) == ("15550001", True)
    assert (await rora.get_me()).premium is False


async def test_wrong_code_is_refused_and_the_right_one_still_works(server: MtprotoServer, world: World) -> None:
    async with _connected(server) as client:
        await client.send_code_request("15550001")
        right = world.login_code("15550001")
        wrong = "00000" if right != "00000" else "11111"
        with pytest.raises(errors.PhoneCodeInvalidError):
            await client.sign_in("15550001", wrong)
        assert (await client.sign_in("15550001", right)).phone == "15550001"
        assert world.login_code("15550001") is None


async def test_too_many_wrong_codes_use_the_code_up(server: MtprotoServer, world: World) -> None:
    async with _connected(server) as client:
        await client.send_code_request("15550001")
        right = world.login_code("15550001")
        wrong = "00000" if right != "00000" else "11111"
        for _ in range(world.limits.code_attempts_max):
            with pytest.raises(errors.PhoneCodeInvalidError):
                await client.sign_in("15550001", wrong)
        with pytest.raises(errors.PhoneCodeExpiredError):
            await client.sign_in("15550001", right)


async def test_unknown_phone_is_refused(server: MtprotoServer) -> None:
    async with _connected(server) as client:
        with pytest.raises(errors.PhoneNumberInvalidError):
            await client.send_code_request("19990000")


async def test_password_is_proven_by_srp(server: MtprotoServer, world: World) -> None:
    world.add_user("15550042", "cm-lukas", password="correct horse")
    async with _connected(server) as client:
        with pytest.raises(errors.SessionPasswordNeededError):
            await sign_in(client, world, "15550042")
        assert not await client.is_user_authorized()
        with pytest.raises(errors.PasswordHashInvalidError):
            await client.sign_in(password="wrong horse")
        assert (await client.sign_in(password="correct horse")).phone == "15550042"


async def test_signing_out_ends_the_session(server: MtprotoServer, world: World) -> None:
    async with _connected(server) as client:
        await sign_in(client, world, "15550001")
        copied = MemorySession()
        copied.auth_key = client.session.auth_key
        assert await client.log_out()
    async with _connected(server, copied) as client:
        assert not await client.is_user_authorized()


async def test_nobody_does_anything_without_signing_in(server: MtprotoServer) -> None:
    async with _connected(server) as client:
        with pytest.raises(errors.AuthKeyUnregisteredError):
            await client.get_dialogs()


async def test_session_file_survives_reconnect_and_restart_of_the_emulator(
    faults: Faults, server_key: ServerKey, tmp_path: Path
) -> None:
    session = SQLiteSession(str(tmp_path / "ember"))
    world = World.open(tmp_path / "emulator")
    world.add_user("15550001", "cm-ember")
    server = MtprotoServer(world, faults, server_key)
    await server.start()
    async with _connected(server, session) as client:
        await sign_in(client, world, "15550001")
    async with _connected(server, SQLiteSession(str(tmp_path / "ember"))) as client:
        assert await client.is_user_authorized()
    await server.stop()
    world.close()

    reopened = World.open(tmp_path / "emulator")
    restarted = MtprotoServer(reopened, faults, server_key)
    await restarted.start(port=server.port)
    async with _connected(restarted, SQLiteSession(str(tmp_path / "ember"))) as client:
        assert (await client.get_me()).phone == "15550001"
    await restarted.stop()


class _connected:  # noqa: N801  reads as a verb where it is used
    """A connected client that is not signed in. Telethon's own context manager would ask for a phone."""

    def __init__(self, server: MtprotoServer, session: Any = None) -> None:
        self._client = new_client(server, session)

    async def __aenter__(self) -> Any:
        await self._client.connect()
        return self._client

    async def __aexit__(self, *_: object) -> None:
        await self._client.disconnect()
