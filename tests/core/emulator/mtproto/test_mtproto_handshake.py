"""The server's half of the key exchange, asked step by step."""

from __future__ import annotations

import os
from typing import Any

import pytest
import rsa
from telethon.tl import functions, types

from telecine.core.clock import SystemClock
from telecine.core.emulator.mtproto.crypto import DH_BYTES, ige_encrypt, sha1
from telecine.core.emulator.mtproto.handshake import HandshakeError, KeyExchange
from telecine.core.emulator.telegram.keys import ServerKey

NONCE, NEW_NONCE = 7, 8


@pytest.fixture
def exchange(server_key: ServerKey) -> KeyExchange:
    exchange = KeyExchange(server_key, SystemClock())
    exchange._secret = 1  # the shared key is what the client sends
    return exchange


def begin(exchange: KeyExchange, server_key: ServerKey) -> Any:
    """The first two questions; the answer to the first."""
    offer = exchange.answer(functions.ReqPqMultiRequest(NONCE))
    inner = bytes(types.PQInnerData(offer.pq, b"p", b"q", NONCE, offer.server_nonce, NEW_NONCE))
    block = (sha1(inner) + inner).ljust(255, b"x")
    public = rsa.PublicKey.load_pkcs1(server_key.public_pem.encode())
    sealed = pow(int.from_bytes(block, "big"), public.e, public.n).to_bytes(256, "big")
    exchange.answer(functions.ReqDHParamsRequest(NONCE, offer.server_nonce, b"p", b"q", server_key.fingerprint, sealed))
    return offer


def propose(exchange: KeyExchange, offer: Any, g_b: bytes) -> Any:
    """The third question."""
    inner = bytes(types.ClientDHInnerData(NONCE, offer.server_nonce, retry_id=0, g_b=g_b))
    new, server = NEW_NONCE.to_bytes(32, "little"), offer.server_nonce.to_bytes(16, "little", signed=True)
    first, second, third = sha1(new + server), sha1(server + new), sha1(new + new)
    sealed = ige_encrypt(sha1(inner) + inner, first + second[:12], second[12:] + third + new[:4])
    return exchange.answer(functions.SetClientDHParamsRequest(NONCE, offer.server_nonce, sealed))


def test_key_that_begins_with_zero_is_tried_again_in_the_same_exchange(
    exchange: KeyExchange, server_key: ServerKey
) -> None:
    offer = begin(exchange, server_key)
    assert isinstance(propose(exchange, offer, b"\0" + os.urandom(DH_BYTES - 1)), types.DhGenRetry)
    assert exchange.finished is None
    key = b"\1" + os.urandom(DH_BYTES - 1)
    agreed = propose(exchange, offer, key)
    assert isinstance(agreed, types.DhGenOk)
    proof = sha1(NEW_NONCE.to_bytes(32, "little") + b"\1" + sha1(key)[:8])[4:20]
    assert agreed.new_nonce_hash1.to_bytes(16, "little", signed=True) == proof
    assert exchange.finished is not None
    assert (exchange.finished.key, exchange.finished.user_id) == (key, None)


@pytest.mark.parametrize("g_b", [b"", b"\1", b"\xff" * DH_BYTES], ids=["none", "one", "beyond"])
def test_number_that_gives_the_key_away_is_refused(exchange: KeyExchange, server_key: ServerKey, g_b: bytes) -> None:
    offer = begin(exchange, server_key)
    with pytest.raises(HandshakeError, match="g_b is out of range"):
        propose(exchange, offer, g_b)
    assert exchange.finished is None


def test_questions_out_of_turn_are_refused(exchange: KeyExchange) -> None:
    offer = exchange.answer(functions.ReqPqMultiRequest(NONCE))
    with pytest.raises(HandshakeError, match="unexpected SetClientDHParamsRequest"):
        propose(exchange, offer, b"\2")
    with pytest.raises(HandshakeError, match="server nonce does not match"):
        exchange.answer(functions.SetClientDHParamsRequest(NONCE, 99, b""))
