"""Segments that are encrypted with AES-128, decrypted as they come."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from telecine.core.reasons import Reason
from telecine.core.worker.sources.errors import SourceError

KEY_BYTES = 16
BLOCK_BITS = 128


class Decipher:
    """AES-128-CBC with PKCS #7 padding (RFC 8216, 4.3.2.4)."""

    def __init__(self, key: bytes, iv: bytes) -> None:
        self._decryptor = Cipher(algorithms.AES128(key), modes.CBC(iv)).decryptor()
        self._unpadder = PKCS7(BLOCK_BITS).unpadder()

    def update(self, data: bytes) -> bytes:
        """What can be said already of the plain text."""
        return self._unpadder.update(self._decryptor.update(data))

    def finish(self) -> bytes:
        """The rest. Raises SourceError where the padding is not there: another key, or the end is missing."""
        try:
            return self._unpadder.update(self._decryptor.finalize()) + self._unpadder.finalize()
        except ValueError as error:
            raise SourceError(Reason.TRUNCATED, "a segment that cannot be decrypted to its end") from error
