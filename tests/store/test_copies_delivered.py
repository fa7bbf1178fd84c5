"""Second copies are delivered where the original is not there, and looked at as one with it."""

from __future__ import annotations

import pytest
from tests.store.conftest import Scene, film, link

from telecine.core.errors import NotFoundError
from telecine.core.leases import VariantState
from telecine.core.quality import Quality

CODE, COPY, AS_SD = "CM_M000001_720P", "CM_M000001_720P_C02", "CM_M000001_480P"


async def sent_from(scene: Scene, code: str = CODE) -> tuple[str, list[int]]:
    resolved = await scene.store.shelf.resolve(code, bot_id=9)
    return resolved.code, [part.message_id for part in resolved.parts]


async def seen(scene: Scene) -> tuple[int, list[tuple[str, VariantState]]]:
    """How much of the film can be had, whichever way it is looked for, and its page."""
    [found] = await scene.store.catalogue.search("a film")
    [listed] = await scene.store.catalogue.search("")
    assert found == listed
    detail = await scene.store.catalogue.title(1)
    return found.available, [(variant.code, variant.state) for variant in detail.variants]


# ---- delivery ------------------------------------------------------------------------------------


async def test_the_original_is_delivered_while_it_is_there(copied: Scene) -> None:
    assert await sent_from(copied) == (CODE, [11])


async def test_the_copy_is_delivered_while_the_original_is_not_there(copied: Scene) -> None:
    await copied.store.operations.requeue(CODE)
    assert await sent_from(copied) == (COPY, [21])


async def test_the_copy_is_delivered_where_the_channel_of_the_original_is_lost(copied: Scene) -> None:
    copied.sql("UPDATE channels SET retired_at_ms = 1, retired_because = 'operator'")
    assert await sent_from(copied) == (CODE, [11]), "what a retired channel holds is delivered still"
    copied.sql("UPDATE channels SET retired_because = 'lost' WHERE account_id = 1")
    assert await sent_from(copied) == (COPY, [21])
    await copied.store.operations.requeue(COPY)
    assert await sent_from(copied) == (CODE, [11]), "its file_ids may work still"


async def test_not_even_a_copy_is_delivered_of_what_was_taken_out(copied: Scene) -> None:
    await copied.store.operations.withdraw(CODE)
    for code in (CODE, COPY):
        resolved = await copied.store.shelf.resolve(code, bot_id=9)
        assert (resolved.state, resolved.parts) == (VariantState.WITHDRAWN, ())
    await copied.store.operations.requeue(CODE)
    await copied.store.operations.cancel(CODE)
    assert (await copied.store.shelf.resolve(COPY, bot_id=9)).state is VariantState.CANCELLED


async def test_the_copy_is_delivered_while_the_original_waits_for_a_link(copied: Scene) -> None:
    await copied.store.operations.requeue(CODE)
    await copied.imports(film("1", link("a", Quality.SD), link("b", Quality.SD)))
    assert (await copied.store.catalogue.variant(CODE)).state is VariantState.CANCELLED
    assert await sent_from(copied) == (COPY, [21])
    assert await seen(copied) == (1, [(CODE, VariantState.DONE), (AS_SD, VariantState.READY)])
    await copied.store.operations.cancel(CODE)  # for good
    assert await sent_from(copied) == (CODE, [])
    assert await seen(copied) == (0, [(CODE, VariantState.CANCELLED), (AS_SD, VariantState.READY)])


async def test_a_title_is_withdrawn_with_its_copies(copied: Scene) -> None:
    await copied.store.operations.withdraw_title(1)
    assert copied.sql("SELECT DISTINCT state FROM upload_variants") == [("withdrawn",)]


async def test_a_copy_answers_to_its_own_code(held: Scene) -> None:
    with pytest.raises(NotFoundError):
        await held.store.shelf.resolve(COPY, bot_id=9)
    await held.store.sweeper.sweep()
    assert await sent_from(held, COPY) == (CODE, [11]), "it is not there yet, the original is"
    await held.done("v", await held.lease("v"), 21)
    assert await sent_from(held, COPY) == (COPY, [21])
    await held.store.operations.withdraw(COPY)
    assert await sent_from(held, COPY) == (CODE, [11])


async def test_a_target_that_cannot_be_had_is_as_it_was_asked_for(held: Scene) -> None:
    await held.store.sweeper.sweep()
    held.sql("UPDATE channels SET retired_at_ms = 1, retired_because = 'lost' WHERE account_id = 1")
    await held.store.operations.requeue(CODE)
    for code in (CODE, COPY):
        assert await sent_from(held, code) == (code, [])


# ---- looking -------------------------------------------------------------------------------------


async def test_a_target_counts_once_however_many_copies_there_are(copied: Scene) -> None:
    assert await seen(copied) == (1, [(CODE, VariantState.DONE)])
    await copied.store.operations.requeue(CODE)
    assert await seen(copied) == (1, [(CODE, VariantState.DONE)]), "the copy can be had"
    await copied.store.operations.cancel(CODE)
    assert await seen(copied) == (0, [(CODE, VariantState.CANCELLED)])


async def test_counts_tell_of_copies_but_not_of_more_links(copied: Scene) -> None:
    counts = await copied.store.catalogue.counts()
    assert (counts.links, counts.links_planned, counts.variants, counts.objects) == (2, 2, 2, 2)
