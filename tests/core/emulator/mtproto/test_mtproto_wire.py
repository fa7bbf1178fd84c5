"""What is read off the wire: hostile bytes are refused, never anything worse; results are written as TL wants."""

from __future__ import annotations

import struct

import pytest
import rsa
from hypothesis import given
from hypothesis import strategies as st
from telethon.tl import functions
from telethon.tl.alltlobjects import tlobjects

from telecine.core.emulator.mtproto.crypto import SealBrokenError, ige_decrypt, unseal
from telecine.core.emulator.mtproto.wire import (
    UnknownConstructorError,
    method_name,
    read_big_part,
    read_object,
    write_value,
)
from telecine.core.emulator.telegram.keys import ServerKey


@given(constructor=st.sampled_from(sorted(tlobjects)) | st.integers(0, 2**32 - 1), rest=st.binary(max_size=200))
def test_any_bytes_are_an_object_or_refused(constructor: int, rest: bytes) -> None:
    try:
        read_object(struct.pack("<I", constructor) + rest)
    except UnknownConstructorError:
        return


@given(st.binary(max_size=40))
def test_any_bytes_are_a_big_part_or_refused(body: bytes) -> None:
    try:
        read_big_part(memoryview(body))
    except UnknownConstructorError:
        return


@given(
    file_id=st.integers(-(2**63), 2**63 - 1), index=st.integers(0, 8000), size=st.sampled_from([0, 1, 253, 254, 4096])
)
def test_big_part_is_read_as_telethon_writes_it(file_id: int, index: int, size: int) -> None:
    content = bytes(range(256)) * 16
    request = functions.upload.SaveBigFilePartRequest(file_id, index, -1, content[:size])
    part = read_big_part(memoryview(bytes(request)))
    assert (part.file_id, part.index, part.total, part.content) == (file_id, index, -1, content[:size])


@pytest.mark.parametrize(
    ("request_type", "name"),
    [
        (functions.messages.SendMediaRequest, "messages.sendMedia"),
        (functions.upload.SaveBigFilePartRequest, "upload.saveBigFilePart"),
        (functions.PingRequest, "ping"),
    ],
)
def test_methods_have_telegrams_names(request_type: object, name: str) -> None:
    assert method_name(request_type) == name


def test_results_are_written_as_telethon_reads_them() -> None:
    assert read_object(write_value(True)) is True
    assert read_object(write_value(False)) is False
    assert write_value([1, 2]) == struct.pack("<Iiii", 0x1CB5C415, 2, 1, 2)


@pytest.mark.parametrize("cipher", [b"", b"x" * 15, b"x" * 17])
def test_cipher_text_of_odd_length_does_not_open(cipher: bytes) -> None:
    with pytest.raises(SealBrokenError):
        unseal(bytes(256), bytes(16), cipher)
    with pytest.raises(SealBrokenError):
        ige_decrypt(cipher, bytes(32), bytes(32))


def test_new_server_key_opens_what_is_sealed_for_it() -> None:
    key = ServerKey.generate()
    public = rsa.PublicKey.load_pkcs1(key.public_pem.encode())
    assert public.n.bit_length() == 2048
    block = bytes(range(255))
    sealed = pow(int.from_bytes(block, "big"), public.e, public.n).to_bytes(256, "big")
    assert key.decrypt(sealed) == b"\0" + block


def test_server_key_file_is_private_and_read_back(
    server_key: ServerKey, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("key")
    path = folder / "server.pem"
    path.write_bytes(server_key.private_pem())
    assert ServerKey.open(path).fingerprint == server_key.fingerprint
    assert ServerKey.open(path).public_pem == server_key.public_pem
