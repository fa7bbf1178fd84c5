"""MTProto 2.0 encryption, the server's side (core.telegram.org/mtproto/description)."""

from __future__ import annotations

import hashlib
import os

import cryptg

# The prime that Telegram itself uses; clients know it to be safe, so they do not test it anew.
DH_PRIME = int(
    "C71CAEB9C6B1C9048E6C522F70F13F73980D40238E3E21C14934D037563D930F48198A0AA7C14058229493D22530F4DB"
    "FA336F6E0AC925139543AED44CCE7C3720FD51F69458705AC68CD4FE6B6B13ABDC9746512969328454F18FAF8C595F64"
    "2477FE96BB2A941D5BCD1D4AC8CC49880708FA9B378E3C4F3A9060BEE67CF9A4A4A695811051907E162753B56B0F6B41"
    "0DBA74D8A84B2A14B3144E0EF1284754FD17ED950D5965B4B9DD46582DB1178D169C6BC465B0D6FF9CA3928FEF5B9AE4"
    "E418FC15E83EBEA0F87FA9FF5EED70050DED2849F47BF959D956850CE929851F0D8115F635B105EE2E4E15D04B2454BF"
    "6F4FADF034B10403119CD8E3B92FCC5B",
    16,
)
DH_GENERATOR = 3
DH_BYTES = 256

_FROM_CLIENT = 0
_FROM_SERVER = 8


class SealBrokenError(Exception):
    """A packet does not open with its key: forged, damaged, or not MTProto."""


def sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


def seal(auth_key: bytes, plain: bytes) -> bytes:
    """Encrypt a message to the client: msg_key and cipher text, with random padding of 12 to 27 bytes."""
    padded = plain + os.urandom(-(len(plain) + 12) % 16 + 12)
    message_key = _message_key(auth_key, padded, _FROM_SERVER)
    key, iv = _key_and_iv(auth_key, message_key, _FROM_SERVER)
    return message_key + bytes(cryptg.encrypt_ige(padded, key, iv))


def unseal(auth_key: bytes, message_key: bytes, cipher: bytes) -> bytes:
    """Decrypt a message from the client, padding included. Raises SealBrokenError."""
    if not cipher or len(cipher) % 16:
        raise SealBrokenError("cipher text is not whole blocks")
    key, iv = _key_and_iv(auth_key, message_key, _FROM_CLIENT)
    padded = bytes(cryptg.decrypt_ige(cipher, key, iv))
    if _message_key(auth_key, padded, _FROM_CLIENT) != message_key:
        raise SealBrokenError("msg_key does not match")
    return padded


def ige_encrypt(plain: bytes, key: bytes, iv: bytes) -> bytes:
    return bytes(cryptg.encrypt_ige(plain + os.urandom(-len(plain) % 16), key, iv))


def ige_decrypt(cipher: bytes, key: bytes, iv: bytes) -> bytes:
    """Raises SealBrokenError for what is not whole blocks."""
    if not cipher or len(cipher) % 16:
        raise SealBrokenError("cipher text is not whole blocks")
    return bytes(cryptg.decrypt_ige(cipher, key, iv))


def _message_key(auth_key: bytes, padded: bytes, side: int) -> bytes:
    digest = hashlib.sha256(auth_key[88 + side : 120 + side])
    digest.update(padded)
    return digest.digest()[8:24]


def _key_and_iv(auth_key: bytes, message_key: bytes, side: int) -> tuple[bytes, bytes]:
    a = hashlib.sha256(message_key + auth_key[side : side + 36]).digest()
    b = hashlib.sha256(auth_key[side + 40 : side + 76] + message_key).digest()
    return a[:8] + b[8:24] + a[24:], b[:8] + a[8:24] + b[24:]
