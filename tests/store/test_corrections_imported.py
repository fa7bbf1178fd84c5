"""What a worker has measured, when the link is imported again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.store.conftest import film, link
from tests.store.correcting import HD, SD, corrects, links

from telecine.core.catalogue import PROBED
from telecine.core.quality import Quality

if TYPE_CHECKING:
    from tests.store.conftest import Scene


@pytest.mark.parametrize("declared", [Quality.HD, Quality.UHD, Quality.AUTO, Quality.SD])
async def test_what_was_measured_goes_before_whatever_is_declared(queued: Scene, declared: Quality) -> None:
    await corrects(queued, "w")
    again = film("1", link("a", declared), link("b"), link("c"))
    await queued.imports(again)
    assert [cm_id for cm_id, *_ in await links(queued, SD)] == ["a"]
    assert [cm_id for cm_id, *_ in await links(queued, HD)] == ["b", "c"]
    assert queued.sql("SELECT quality, evidence FROM source_links WHERE cm_id = 'a'") == [("480P", PROBED)]
    assert len((await queued.store.catalogue.title(1)).variants) == 2
    rows = queued.sql("SELECT * FROM source_links")
    queued.clock.advance(10)
    await queued.imports(again)
    assert queued.sql("SELECT * FROM source_links") == rows, "an import of what is there changes nothing"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://a.example/a.mkv?key=2", SD),
        ("http://a.example/a.mkv#t=1", SD),
        ("https://a.example/a.mkv", SD),
        ("http://reader:secret@A.example:80/a.mkv", SD),
        ("http://a.example/other.mkv", HD),
        ("http://a.example/a.mkv/http://a.example/a.mkv", HD),
        ("http://b.example/a.mkv", HD),
    ],
)
async def test_another_file_is_taken_for_what_it_is_declared(scene: Scene, url: str, code: str) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a", url="http://a.example/a.mkv?key=1")))
    await corrects(scene, "w")
    await scene.imports(film("1", link("a", url=url)))
    assert [cm_id for cm_id, *_ in await links(scene, code)] == ["a"]
    assert (await scene.lease("w")).sources[0].url == url
    assert await scene.claim("w") is None, "the other one has no link"


async def test_a_measured_link_that_was_unlisted_comes_back_as_measured(queued: Scene) -> None:
    await corrects(queued, "w")
    await queued.imports(film("1", link("b")))
    await queued.imports(film("1", link("a"), link("b")))
    listed = {source.cm_id: source.listed for source in (await queued.store.catalogue.variant(SD)).sources}
    assert listed == {"a": True}
