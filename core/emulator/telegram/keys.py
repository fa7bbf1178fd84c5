"""The server's RSA key: what a client must know to trust this Telegram instead of the real one."""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import tempfile
from pathlib import Path

import rsa

from telecine.core.errors import StoreError

KEY_BITS = 2048


class ServerKey:
    """A 2048-bit key pair. A client registers `public_pem`, with Telethon by
    `telethon.crypto.rsa.add_key(public_pem, old=False)`."""

    def __init__(self, private: rsa.PrivateKey) -> None:
        self._private = private
        self.public_pem: str = rsa.PublicKey(private.n, private.e).save_pkcs1().decode("ascii")
        self.fingerprint: int = _fingerprint(private.n, private.e)

    @classmethod
    def generate(cls) -> ServerKey:
        """A new key; takes about a second."""
        return cls(rsa.newkeys(KEY_BITS)[1])

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
        number = pow(int.from_bytes(block, "big"), self._private.d, self._private.n)
        return number.to_bytes(KEY_BITS // 8, "big")


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
