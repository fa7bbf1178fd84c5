"""Work that stands still while it is paused."""

from __future__ import annotations

import asyncio

from telecine.core.worker.gate import Gate


async def _turns() -> None:
    """Let every task that can run do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_an_open_gate_lets_work_pass_without_a_turn_of_the_loop() -> None:
    passing = Gate().passed()
    try:
        passing.send(None)
    except StopIteration:
        return
    raise AssertionError("it waited")


async def test_a_closed_gate_holds_everyone_until_it_is_opened() -> None:
    gate = Gate()
    gate.close()
    waiting = [asyncio.create_task(gate.passed()) for _ in range(3)]
    await _turns()
    assert not gate.is_open
    assert not any(task.done() for task in waiting)
    gate.open()
    await asyncio.gather(*waiting)
    assert gate.is_open


async def test_who_wakes_to_a_gate_that_is_closed_again_waits_on() -> None:
    gate = Gate()
    gate.close()
    waiting = asyncio.create_task(gate.passed())
    await _turns()
    gate.open()
    gate.close()
    await _turns()
    assert not waiting.done()
    gate.open()
    await waiting


async def test_waiting_at_a_gate_can_be_cancelled() -> None:
    gate = Gate()
    gate.close()
    waiting = asyncio.create_task(gate.passed())
    await _turns()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
