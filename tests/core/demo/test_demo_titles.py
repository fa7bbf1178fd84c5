"""The demonstration imports what it promises to."""

from collections import Counter

from telecine.core.demo import content
from telecine.core.demo.titles import SERIES, TITLES, Codec, Packing, Trouble, links_of
from telecine.core.intake.inference import infer
from telecine.core.quality import Quality

LINKS = [link for title in TITLES for link in links_of(title)]


def test_there_are_enough_titles_and_links() -> None:
    assert len(TITLES) >= 12
    assert len(SERIES) == 2
    assert len(LINKS) >= 40


def test_every_kind_of_file_and_of_trouble_is_among_them() -> None:
    assert {link.packing for link in LINKS} == set(Packing)
    assert {link.trouble for link in LINKS} == set(Trouble)
    assert {link.clip.codec for link in LINKS} == set(Codec)
    assert any(not link.clip.has_audio for link in LINKS)


def test_no_two_links_share_a_path_and_no_two_clips_a_picture() -> None:
    assert max(Counter(link.path for link in LINKS).values()) == 1
    clips = {link.clip for link in LINKS}
    assert len({clip.seed for clip in clips}) == len(clips)


def test_the_viewers_words_are_not_just_the_name() -> None:
    assert all(title.search != title.name for title in TITLES)


def test_cm_is_given_every_link_once() -> None:
    made = content.content(TITLES)
    listed = [link.id for title in made.cm.titles for link in title.links]
    listed += [link.id for title in made.cm.titles for episode in title.episodes for link in episode.links]
    assert sorted(listed) == sorted(made.links) == list(range(1, len(LINKS) + 1))


def test_some_qualities_are_declared_and_some_must_be_inferred() -> None:
    inferred = {infer(link.path).quality for link in LINKS if link.quality is None}
    assert Quality.AUTO in inferred
    assert len(inferred) > 3
    assert any(link.quality for link in LINKS)
