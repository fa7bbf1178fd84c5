"""Two-factor passwords: the server's half of Telegram's SRP (core.telegram.org/api/srp).

Nothing is kept between question and proof: the server's secret follows from the client's auth key and the id of the
exchange.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from typing import Any

from telethon.tl import types

from telecine.core.emulator.mtproto.crypto import DH_BYTES, DH_GENERATOR, DH_PRIME
from telecine.core.emulator.telegram.entities import AuthKey, User

_ROUNDS = 100_000
_PRIME = DH_PRIME.to_bytes(DH_BYTES, "big")
_GENERATOR = DH_GENERATOR.to_bytes(DH_BYTES, "big")
_K = int.from_bytes(hashlib.sha256(_PRIME + _GENERATOR).digest(), "big")


def algorithm(user: User) -> Any:
    """How this user's password is hashed."""
    salt1, salt2 = _salts(user.access_hash)
    return types.PasswordKdfAlgoSHA256SHA256PBKDF2HMACSHA512iter100000SHA256ModPow(salt1, salt2, DH_GENERATOR, _PRIME)


def challenge(user: User, key: AuthKey, srp_id: int) -> bytes:
    """The server's public number for one exchange."""
    return _public(user, key, srp_id).to_bytes(DH_BYTES, "big")


def proves(user: User, key: AuthKey, srp_id: int, client_public: bytes, proof: bytes) -> bool:
    """Whether the client knows the password."""
    a = int.from_bytes(client_public, "big")
    if not 0 < a < DH_PRIME:
        return False
    public_a = a.to_bytes(DH_BYTES, "big")
    public_b = challenge(user, key, srp_id)
    u = int.from_bytes(_sha256(public_a, public_b), "big")
    shared = pow(a * pow(_verifier(user), u, DH_PRIME), _secret(key, srp_id), DH_PRIME)
    salt1, salt2 = _salts(user.access_hash)
    mixed = bytes(x ^ y for x, y in zip(_sha256(_PRIME), _sha256(_GENERATOR), strict=True))
    session_key = _sha256(shared.to_bytes(DH_BYTES, "big"))
    expected = _sha256(mixed, _sha256(salt1), _sha256(salt2), public_a, public_b, session_key)
    return hmac.compare_digest(expected, proof)


def _public(user: User, key: AuthKey, srp_id: int) -> int:
    return (_K * _verifier(user) + pow(DH_GENERATOR, _secret(key, srp_id), DH_PRIME)) % DH_PRIME


def _secret(key: AuthKey, srp_id: int) -> int:
    seed = key.key + srp_id.to_bytes(8, "little", signed=True)
    return int.from_bytes(hashlib.shake_256(seed).digest(DH_BYTES), "big")


def _verifier(user: User) -> int:
    return _verifier_of(user.password or "", user.access_hash)


@lru_cache(maxsize=64)  # a hundred thousand rounds: once an account is enough
def _verifier_of(password: str, access_hash: int) -> int:
    salt1, salt2 = _salts(access_hash)
    once = _sha256(salt2, _sha256(salt1, password.encode(), salt1), salt2)
    stretched = hashlib.pbkdf2_hmac("sha512", once, salt1, _ROUNDS)
    return pow(DH_GENERATOR, int.from_bytes(_sha256(salt2, stretched, salt2), "big"), DH_PRIME)


def _salts(access_hash: int) -> tuple[bytes, bytes]:
    seed = access_hash.to_bytes(8, "little")
    return _sha256(b"1", seed), _sha256(b"2", seed)


def _sha256(*pieces: bytes) -> bytes:
    return hashlib.sha256(b"".join(pieces)).digest()
