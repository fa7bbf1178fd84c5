"""`auth.*` and `account.getPassword`: signing in with code and password, signing out."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

from telethon.tl import functions, types

from telecine.core.emulator.mtproto import srp
from telecine.core.emulator.mtproto.render import Renderer
from telecine.core.emulator.mtproto.rpc import Call, MethodTable
from telecine.core.emulator.telegram.entities import AuthKey, User
from telecine.core.emulator.telegram.refusals import RefusalError, bad_request

METHODS = MethodTable()
CODE_LENGTH = 5


@METHODS.answers(functions.auth.SendCodeRequest)
def send_code(call: Call, query: Any) -> Any:
    """The code is read with `World.login_code` or from the control API."""
    if not query.api_id or not query.api_hash:
        raise bad_request("API_ID_INVALID")
    _, code_hash = call.world.directory.send_code(query.phone_number)
    return types.auth.SentCode(type=types.auth.SentCodeTypeApp(CODE_LENGTH), phone_code_hash=code_hash)


@METHODS.answers(functions.auth.ResendCodeRequest)
def resend_code(call: Call, query: Any) -> Any:
    _, code_hash = call.world.directory.send_code(query.phone_number)
    return types.auth.SentCode(type=types.auth.SentCodeTypeSms(CODE_LENGTH), phone_code_hash=code_hash)


@METHODS.answers(functions.auth.SignInRequest)
def sign_in(call: Call, query: Any) -> Any:
    directory = call.world.directory
    user = directory.take_code(query.phone_number, query.phone_code_hash, query.phone_code or "")
    if user.password is not None:
        directory.sign(call.key, None, pending_user_id=user.id)
        raise RefusalError(401, "SESSION_PASSWORD_NEEDED")
    return _welcome(call, user)


@METHODS.answers(functions.account.GetPasswordRequest)
def get_password(call: Call, _query: Any) -> Any:
    user = _claimant(call)
    algorithm = srp.algorithm(user)
    srp_id = call.world.rng.getrandbits(62) | 1
    has_password = user.password is not None
    return types.account.Password(
        new_algo=algorithm,
        new_secure_algo=types.SecurePasswordKdfAlgoUnknown(),
        secure_random=call.world.rng.getrandbits(256).to_bytes(32, "big"),
        has_password=has_password,
        current_algo=algorithm if has_password else None,
        srp_B=srp.challenge(user, call.key, srp_id) if has_password else None,
        srp_id=srp_id if has_password else None,
    )


@METHODS.answers(functions.auth.CheckPasswordRequest)
def check_password(call: Call, query: Any) -> Any:
    user = _claimant(call)
    given = query.password
    if not isinstance(given, types.InputCheckPasswordSRP) or user.password is None:
        raise bad_request("PASSWORD_HASH_INVALID")
    if not srp.proves(user, call.key, given.srp_id, given.A, given.M1):
        raise bad_request("PASSWORD_HASH_INVALID")
    return _welcome(call, user)


@METHODS.answers(functions.auth.LogOutRequest)
def log_out(call: Call, _query: Any) -> Any:
    if call.user is not None:
        call.world.directory.sign(call.key, None)
    return types.auth.LoggedOut()


@METHODS.answers(functions.auth.ExportAuthorizationRequest)
def export_authorization(call: Call, _query: Any) -> Any:
    """For a client that opens a second key, as it does towards another data centre."""
    return types.auth.ExportedAuthorization(call.user.id, _export(call.key))


@METHODS.answers(functions.auth.ImportAuthorizationRequest)
def import_authorization(call: Call, query: Any) -> Any:
    (key_id,) = struct.unpack_from("<Q", query.bytes) if len(query.bytes) > 8 else (0,)
    exporter = call.world.directory.auth_key(key_id)
    if exporter is None or exporter.user_id != query.id or _export(exporter) != query.bytes:
        raise bad_request("AUTH_BYTES_INVALID")
    return _welcome(call, call.world.directory.user(query.id))


def _export(key: AuthKey) -> bytes:
    proof = hashlib.blake2b(b"export", key=key.key[:64], digest_size=32).digest()
    return struct.pack("<Q", key.id) + proof


def _claimant(call: Call) -> User:
    """Whoever is signed in, or gave the right code and owes the password."""
    pending = call.key.pending_user_id
    return call.user if pending is None else call.world.directory.user(pending)


def _welcome(call: Call, user: User) -> Any:
    call.world.directory.sign(call.key, user.id)
    return types.auth.Authorization(user=Renderer(call.viewer).person(user))
