"""A seed says what is done to whom."""

from __future__ import annotations

from itertools import islice

from tests.e2e.crash.schedule import Target, blows


def test_a_seed_deals_the_same_blows_each_time() -> None:
    assert list(islice(blows(7, workers=4), 50)) == list(islice(blows(7, workers=4), 50))
    assert list(islice(blows(7, workers=4), 50)) != list(islice(blows(8, workers=4), 50))


def test_even_a_short_run_sees_every_kind_of_blow() -> None:
    assert {blow.target for blow in islice(blows(7, workers=4), len(Target))} == set(Target)
