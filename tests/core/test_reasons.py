"""The table of consequences is whole, and does not contradict itself."""

from __future__ import annotations

from typing import Any

import pytest

from telecine.core.reasons import CONSEQUENCES, ForAccount, ForHost, ForLink, ForUpload, Reason

each_reason = pytest.mark.parametrize("reason", Reason)


def test_every_reason_has_its_consequences() -> None:
    assert list(CONSEQUENCES) == list(Reason)


def test_nobody_changes_the_table() -> None:
    table: Any = CONSEQUENCES
    with pytest.raises(TypeError):
        table[Reason.GONE] = CONSEQUENCES[Reason.NETWORK]


@each_reason
def test_what_becomes_of_an_upload_follows_from_what_becomes_of_its_last_link(reason: Reason) -> None:
    follows = {
        ForLink.EXHAUSTED: ForUpload.DEAD,
        ForLink.NEXT_ROUND: ForUpload.DELAYED,
        ForLink.LARGER_ACCOUNT: ForUpload.READY,
    }
    assert CONSEQUENCES[reason].upload is follows[CONSEQUENCES[reason].link]


def test_only_what_is_too_large_waits_for_a_larger_account() -> None:
    waiting = [reason for reason, consequence in CONSEQUENCES.items() if consequence.link is ForLink.LARGER_ACCOUNT]
    assert waiting == [Reason.TOO_LARGE]


@each_reason
def test_what_may_pass_is_one_partys_trouble_and_what_lasts_is_nobodys(reason: Reason) -> None:
    consequence = CONSEQUENCES[reason]
    climbing = (consequence.host is ForHost.CLIMBS) + (consequence.account is ForAccount.CLIMBS)
    assert climbing == (1 if consequence.link is ForLink.NEXT_ROUND else 0)


@each_reason
def test_a_failure_is_passing_if_the_link_is_tried_again(reason: Reason) -> None:
    assert reason.is_passing == (CONSEQUENCES[reason].link is ForLink.NEXT_ROUND)


@pytest.mark.parametrize("reason", [Reason.RATE_LIMITED, Reason.STALLED, Reason.NETWORK])
def test_a_host_in_trouble_is_left_alone_and_the_account_goes_on(reason: Reason) -> None:
    assert (CONSEQUENCES[reason].host, CONSEQUENCES[reason].account) == (ForHost.CLIMBS, ForAccount.NOTHING)


@pytest.mark.parametrize("reason", [Reason.TELEGRAM, Reason.INTERNAL])
def test_trouble_of_our_own_is_no_fault_of_the_host(reason: Reason) -> None:
    assert (CONSEQUENCES[reason].host, CONSEQUENCES[reason].account) == (ForHost.NOTHING, ForAccount.CLIMBS)
