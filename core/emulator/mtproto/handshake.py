"""Agreeing on an auth key with a client (core.telegram.org/mtproto/auth_key)."""

from __future__ import annotations

import os
from typing import Any

from telethon.tl import functions, types

from telecine.core.clock import Clock
from telecine.core.emulator.mtproto.crypto import (
    DH_BYTES,
    DH_GENERATOR,
    DH_PRIME,
    ige_decrypt,
    ige_encrypt,
    sha1,
)
from telecine.core.emulator.mtproto.wire import read_object, read_object_and_length
from telecine.core.emulator.telegram.entities import AuthKey
from telecine.core.emulator.telegram.keys import ServerKey

# Any product of two primes will do: the client proves that it spent the effort, and the server knows nothing new.
_P, _Q = 0x494C553B, 0x53911073
_INNER_TYPES = (types.PQInnerData, types.PQInnerDataDc, types.PQInnerDataTemp, types.PQInnerDataTempDc)


class HandshakeError(Exception):
    """The client does not keep to the protocol."""


class KeyExchange:
    """One exchange on one connection: three questions of the client, then `finished` holds the key."""

    def __init__(self, server_key: ServerKey, clock: Clock) -> None:
        self._server_key = server_key
        self._clock = clock
        self._server_nonce = int.from_bytes(os.urandom(16), "little", signed=True)
        self._secret = int.from_bytes(os.urandom(DH_BYTES), "big")
        self._new_nonce = b""
        self._key = b""
        self._iv = b""
        self.finished: AuthKey | None = None

    def answer(self, question: Any) -> Any:
        """The TL object that answers a question. HandshakeError if it is out of place or does not add up."""
        if isinstance(question, (functions.ReqPqMultiRequest, functions.ReqPqRequest)):
            pq = (_P * _Q).to_bytes(8, "big")
            return types.ResPQ(question.nonce, self._server_nonce, pq, [self._server_key.fingerprint])
        if getattr(question, "server_nonce", None) != self._server_nonce:
            raise HandshakeError("server nonce does not match")
        if isinstance(question, functions.ReqDHParamsRequest):
            return self._offer(question)
        if isinstance(question, functions.SetClientDHParamsRequest) and self._new_nonce:
            return self._agree(question)
        raise HandshakeError(f"unexpected {type(question).__name__}")

    def _offer(self, question: Any) -> Any:
        if len(question.encrypted_data) != DH_BYTES:
            raise HandshakeError("encrypted_data is not one RSA block")
        inner = self._open_inner(self._server_key.decrypt(question.encrypted_data))
        if inner.server_nonce != self._server_nonce or inner.nonce != question.nonce:
            raise HandshakeError("nonces do not match")
        self._derive_temporary_key(inner.new_nonce)
        g_a = pow(DH_GENERATOR, self._secret, DH_PRIME)
        answer = bytes(
            types.ServerDHInnerData(
                nonce=question.nonce,
                server_nonce=self._server_nonce,
                g=DH_GENERATOR,
                dh_prime=DH_PRIME.to_bytes(DH_BYTES, "big"),
                g_a=g_a.to_bytes(DH_BYTES, "big"),
                server_time=self._clock.now_ms() // 1000,
            )
        )
        sealed = ige_encrypt(sha1(answer) + answer, self._key, self._iv)
        return types.ServerDHParamsOk(question.nonce, self._server_nonce, sealed)

    def _open_inner(self, block: bytes) -> Any:
        """SHA-1 of the data, the data, random bytes: RSA of 255 bytes, so the first of 256 is zero."""
        inner, length = read_object_and_length(block[21:])
        if sha1(block[21 : 21 + length]) != block[1:21] or not isinstance(inner, _INNER_TYPES):
            raise HandshakeError("p_q_inner_data does not open")
        return inner

    def _derive_temporary_key(self, new_nonce: int) -> None:
        self._new_nonce = new_nonce.to_bytes(32, "little", signed=True)
        server_nonce = self._server_nonce.to_bytes(16, "little", signed=True)
        first = sha1(self._new_nonce + server_nonce)
        second = sha1(server_nonce + self._new_nonce)
        third = sha1(self._new_nonce + self._new_nonce)
        self._key = first + second[:12]
        self._iv = second[12:] + third + self._new_nonce[:4]

    def _agree(self, question: Any) -> Any:
        plain = ige_decrypt(question.encrypted_data, self._key, self._iv)
        inner = read_object(plain[20:])
        if not isinstance(inner, types.ClientDHInnerData) or inner.nonce != question.nonce:
            raise HandshakeError("client_DH_inner_data does not open")
        g_b = int.from_bytes(inner.g_b, "big")
        if not 1 < g_b < DH_PRIME - 1:
            raise HandshakeError("g_b is out of range")
        key = pow(g_b, self._secret, DH_PRIME).to_bytes(DH_BYTES, "big")
        outcome = types.DhGenOk
        if key[0] == 0:
            # Telethon strips leading zeros of what it computed and would hold another key: have the client try again
            # with another number of its own. No choice of ours avoids it, because g_b comes after g_a.
            outcome, number = types.DhGenRetry, b"\x02"
        else:
            number = b"\x01"
            self.finished = AuthKey(int.from_bytes(sha1(key)[-8:], "little"), key)
        proof = sha1(self._new_nonce + number + sha1(key)[:8])[4:20]
        return outcome(question.nonce, self._server_nonce, int.from_bytes(proof, "little", signed=True))
