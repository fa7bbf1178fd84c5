from __future__ import annotations

import msgspec
import pytest

from telecine.core.emulator.faults import (
    BotFlood,
    CmFailure,
    CmSlow,
    Disconnect,
    Faults,
    Flood,
    FloodName,
    Line,
    LostReply,
    MissingPart,
    PlannedFault,
    RpcFailure,
)


def test_fault_strikes_as_often_as_planned() -> None:
    faults = Faults()
    faults.plan(Flood(method="messages.sendMedia", seconds=7, count=2))
    taken = [faults.take_flood("messages.sendMedia", "cm-ember") for _ in range(3)]
    assert taken == ["FLOOD_WAIT_7", "FLOOD_WAIT_7", None]
    assert faults.taken == {"flood": 2}


def test_fault_meets_only_its_account_and_method() -> None:
    faults = Faults()
    faults.plan(Flood(account="cm-ember", method="upload.*", seconds=3, name=FloodName.FLOOD_PREMIUM_WAIT))
    assert faults.take_flood("upload.saveBigFilePart", "cm-rora") is None
    assert faults.take_flood("messages.sendMedia", "cm-ember") is None
    assert faults.take_flood("upload.saveBigFilePart", None) is None
    assert faults.take_flood("upload.saveBigFilePart", "cm-ember") == "FLOOD_PREMIUM_WAIT_3"


def test_fault_lets_the_first_calls_pass() -> None:
    faults = Faults()
    faults.plan(Disconnect(method="upload.saveBigFilePart", after=2))
    assert [faults.take_disconnect("upload.saveBigFilePart", "a") for _ in range(4)] == [
        False,
        False,
        True,
        False,
    ]


def test_fault_without_count_strikes_until_cleared() -> None:
    faults = Faults()
    faults.plan(LostReply(count=None))
    assert all(faults.take_lost_reply("messages.sendMedia", "a") for _ in range(5))
    faults.clear()
    assert not faults.take_lost_reply("messages.sendMedia", "a")


def test_plans_of_one_kind_come_in_their_order() -> None:
    faults = Faults()
    faults.plan(RpcFailure(code=500, name="FIRST"))
    faults.plan(RpcFailure(code=400, name="SECOND"))
    assert faults.take_error("help.getConfig", None) == (500, "FIRST")
    assert faults.planned() == [RpcFailure(code=400, name="SECOND")]


def test_kinds_do_not_take_each_others_plans() -> None:
    faults = Faults()
    faults.plan(BotFlood(method="sendVideo", seconds=4))
    faults.plan(MissingPart(account="cm-rora", part=12))
    faults.plan(CmFailure(method="/items/*", status=429, retry_after_s=3))
    faults.plan(CmSlow(method="/auth/*", delay_s=0.5))
    assert faults.take_flood("sendVideo", None) is None
    assert faults.take_bot_flood("sendvideo") == 4
    assert faults.take_missing_part("cm-ember") is None
    assert faults.take_missing_part("cm-rora") == 12
    assert faults.take_cm_error("/auth/login") is None
    assert faults.take_cm_error("/items/titles") == CmFailure(method="/items/*", status=429, retry_after_s=3)
    assert faults.take_cm_delay_s("/auth/login") == 0.5
    assert faults.take_cm_delay_s("/auth/login") == 0.0


def test_account_has_its_own_line_or_the_common_one() -> None:
    faults = Faults()
    assert (faults.latency_s("a"), faults.bandwidth_bytes_per_s("a")) == (0.0, None)
    faults.set_line(None, Line(latency_s=0.05))
    faults.set_line("a", Line(bandwidth_bytes_per_s=1e6))
    assert (faults.latency_s("b"), faults.bandwidth_bytes_per_s("b")) == (0.05, None)
    assert (faults.latency_s("a"), faults.bandwidth_bytes_per_s("a")) == (0.0, 1e6)


@pytest.mark.parametrize(
    "fault",
    [
        Flood(seconds=7),
        RpcFailure(),
        LostReply(after=3),
        Disconnect(count=None),
        MissingPart(part=2),
        BotFlood(seconds=1),
        CmFailure(status=429, retry_after_s=1),
        CmSlow(delay_s=1.5),
    ],
)
def test_plan_survives_json(fault: PlannedFault) -> None:
    assert msgspec.json.decode(msgspec.json.encode(fault), type=PlannedFault) == fault


@pytest.mark.parametrize(
    "text", [b'{"kind":"flod","seconds":1}', b'{"kind":"flood"}', b'{"kind":"flood","seconds":1,"count":0}']
)
def test_wrong_plan_is_refused(text: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=PlannedFault)
