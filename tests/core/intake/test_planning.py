from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from telecine.core.catalogue import ImportedLink
from telecine.core.intake.inference import Evidence
from telecine.core.intake.planning import plan
from telecine.core.quality import Quality, by_height


def link(cm_id: str, url: str = "https://cdn.example/a.mkv", *, evidence: str = Evidence.TOKEN) -> ImportedLink:
    return ImportedLink(cm_id, url, Quality.FULL_HD, evidence)


links = st.builds(
    ImportedLink,
    cm_id=st.integers(1, 60).map(str),
    url=st.sampled_from(
        ["https://a.example/x.mp4", "http://a.example/x.mp4?t=1", "https://a.example/x.mkv", "ftp://a/x"]
    ),
    quality=st.sampled_from(Quality),
    evidence=st.sampled_from(Evidence),
)


@given(st.lists(links, unique_by=lambda one: one.cm_id), st.randoms(use_true_random=False))
def test_every_link_is_in_exactly_one_variant_whatever_their_order(
    given: list[ImportedLink], seed: random.Random
) -> None:
    variants = plan(given)
    placed = [cm_id for variant in variants for cm_id in variant.link_cm_ids]
    assert sorted(placed) == sorted(one.cm_id for one in given)
    assert all(
        next(one for one in given if one.cm_id == cm_id).quality is variant.quality
        for variant in variants
        for cm_id in variant.link_cm_ids
    )
    shuffled = list(given)
    seed.shuffle(shuffled)
    assert plan(shuffled) == variants


@given(st.lists(links))
def test_qualities_come_once_each_tallest_first_and_unknown_last(given: list[ImportedLink]) -> None:
    qualities = [variant.quality for variant in plan(given)]
    assert len(set(qualities)) == len(qualities)
    assert qualities == sorted(qualities, key=by_height)
    assert Quality.AUTO not in qualities[:-1]


def test_last_of_two_links_with_one_id_counts() -> None:
    moved = ImportedLink("1", "https://cdn.example/b.mkv", Quality.HD, Evidence.TOKEN)
    assert [variant.quality for variant in plan([link("1"), moved])] == [Quality.HD]


def test_retry_order_prefers_what_cm_states_then_mp4_then_https_then_the_older_link() -> None:
    stated = link("90", "http://cdn.example/a.mkv", evidence=Evidence.FIELD)
    whole = link("80", "http://cdn.example/a.MP4?sig=x")
    secure = link("70", "https://cdn.example/a.mkv")
    older, newer = link("9", "http://cdn.example/a.mkv"), link("10", "http://cdn.example/a.mkv")
    [variant] = plan([newer, older, secure, whole, stated])
    assert variant.link_cm_ids == ("90", "80", "70", "9", "10")


def test_nothing_is_planned_for_nothing() -> None:
    assert plan([]) == ()
