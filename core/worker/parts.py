"""Files on their way into Telegram, as the numbered upload parts that it takes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable

import msgspec

from telecine.core.plans import PART_BYTES


class Block(msgspec.Struct, frozen=True):
    """Upload part `index` of a file. All are `PART_BYTES` long but the one that ends the file."""

    index: int
    data: bytes


async def blocks_of(chunks: AsyncIterable[bytes]) -> AsyncGenerator[Block]:
    """Cut a file that comes in any pieces into its blocks, in order. An empty file has none.

    Closed early, it closes `chunks` too, where that is a generator.
    """
    held, index = bytearray(), 0
    try:
        async for chunk in chunks:
            held += chunk
            while len(held) >= PART_BYTES:
                yield Block(index, bytes(memoryview(held)[:PART_BYTES]))
                del held[:PART_BYTES]
                index += 1
        if held:
            yield Block(index, bytes(held))
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()
