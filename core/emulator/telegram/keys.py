"""The server's RSA key: what a client must know to trust this Telegram instead of the real one."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import secrets
import struct
import tempfile
from pathlib import Path

import rsa
import rsa.prime

from telecine.core.errors import StoreError

KEY_BITS = 2048
PUBLIC_EXPONENT = 65537
# One gcd with this tells at once what most random numbers are: divisible by a small prime.
_SMALL_PRIMES = math.prod(n for n in range(3, 2000, 2) if all(n % d for d in range(3, math.isqrt(n) + 1, 2)))


class ServerKey:
    """A 2048-bit key pair. A client registers `public_pem`, with Telethon by
    `telethon.crypto.rsa.add_key(public_pem, old=False)`."""

    def __init__(self, private: rsa.PrivateKey) -> None:
        self._private = private
        self.public_pem: str = rsa.PublicKey(private.n, private.e).save_pkcs1().decode("ascii")
        self.fingerprint: int = _fingerprint(private.n, private.e)

    @classmethod
    def generate(cls) -> ServerKey:
        """A new key; takes a third of a second. `rsa.newkeys` takes ten times that: it tries every odd number."""
        p = _prime(KEY_BITS // 2)
        q = _prime(KEY_BITS // 2)
        return cls(rsa.PrivateKey(p * q, PUBLIC_EXPONENT, pow(PUBLIC_EXPONENT, -1, (p - 1) * (q - 1)), p, q))

    @classmethod
    def open(cls, path: Path | None) -> ServerKey:
        """The key kept in a file, which is made (0600) if it is not there. Without a path a passing key."""
        if path is None:
            return cls.generate()
        if not path.exists():
            _keep(path, cls.generate().private_pem())
        try:
            return cls(rsa.PrivateKey.load_pkcs1(path.read_bytes()))
        except (ValueError, OSError) as error:
            raise StoreError(f"{path} is not an RSA private key in PKCS#1 PEM: {error}") from error

    def private_pem(self) -> bytes:
        """The secret half, PKCS#1."""
        return bytes(self._private.save_pkcs1())

    def decrypt(self, block: bytes) -> bytes:
        """Raw RSA, as the key exchange uses it: 256 bytes in, 256 bytes out."""
        number = self._private.blinded_decrypt(int.from_bytes(block, "big"))
        return int(number).to_bytes(KEY_BITS // 8, "big")


def _prime(bits: int) -> int:
    """A random prime with both upper bits set, so that two of them make a product of exactly twice as many bits."""
    while True:
        candidate = secrets.randbits(bits) | 0b11 << (bits - 2) | 1
        coprime = math.gcd(candidate, _SMALL_PRIMES) == 1 and candidate % PUBLIC_EXPONENT != 1
        if coprime and rsa.prime.is_prime(candidate):
            return candidate


def _keep(path: Path, pem: bytes) -> None:
    """Put a new key in place whole; if another process was quicker, its key stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, scratch = tempfile.mkstemp(dir=path.parent)  # made with mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
        with contextlib.suppress(FileExistsError):
            os.link(scratch, path)
    finally:
        Path(scratch).unlink()


def _fingerprint(n: int, e: int) -> int:
    """The lower 64 bits of the SHA-1 of the bare `rsa_public_key` (core.telegram.org/mtproto/auth_key)."""
    digest = hashlib.sha1(_tl_bytes(n) + _tl_bytes(e), usedforsecurity=False).digest()
    return int(struct.unpack("<q", digest[-8:])[0])


def _tl_bytes(number: int) -> bytes:
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    head = bytes((len(raw),)) if len(raw) < 254 else b"\xfe" + len(raw).to_bytes(3, "little")
    return head + raw + bytes(-(len(head) + len(raw)) % 4)
