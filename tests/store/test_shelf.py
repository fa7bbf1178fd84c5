from __future__ import annotations

import msgspec
import pytest
from tests.store.conftest import Scene, episode, film, link, series

from telecine.core.coordinator.tokens import IssuedToken, Scope
from telecine.core.delivery import BotFile, DeliveryOutcome, MediaKind
from telecine.core.errors import ConflictError, InputError, NotFoundError
from telecine.core.leases import VariantState

CODE = "CM_M000001_720P"
FILE = BotFile(9, 501, 11, MediaKind.VIDEO, "file-1", "unique-1")


@pytest.fixture
async def stocked(scene: Scene) -> Scene:
    """One film, sent in two parts."""
    await scene.enrol("w")
    await scene.imports(film("1", link("a"), name="Łódź", year=2001))
    await scene.done("w", await scene.lease("w"), 11, 12)
    return scene


async def test_a_code_resolves_to_its_parts_in_order(stocked: Scene) -> None:
    resolved = await stocked.store.shelf.resolve(CODE, bot_id=9)
    assert resolved.name == "Łódź (2001) · 720p"
    assert [(p.part_no, p.part_count, p.channel_id, p.message_id, p.file) for p in resolved.parts] == [
        (1, 2, 501, 11, None),
        (2, 2, 501, 12, None),
    ]


async def test_an_episode_resolves_under_the_numbers_it_has_now(scene: Scene) -> None:
    await scene.imports(series("1", episode("e", 1, 1, link("a"))))
    await scene.imports(series("1", episode("e", 1, 2, link("a"))))
    resolved = await scene.store.shelf.resolve("CM_S000001_S01E01_720P", bot_id=9)
    assert (resolved.season, resolved.episode) == (1, 2)


async def test_each_bot_has_files_of_its_own(stocked: Scene) -> None:
    await stocked.store.shelf.save_bot_file(FILE)
    await stocked.store.shelf.save_bot_file(BotFile(8, 501, 11, MediaKind.VIDEO, "other", "other"))
    first, second = (await stocked.store.shelf.resolve(CODE, bot_id=9)).parts
    assert (first.file, second.file) == (FILE, None)


async def test_a_file_may_be_known_before_its_upload_is_settled(scene: Scene) -> None:
    await scene.store.shelf.save_bot_file(FILE)
    await scene.enrol("w")
    await scene.imports(film("1", link("a")))
    await scene.done("w", await scene.lease("w"), 11)
    assert (await scene.store.shelf.resolve(CODE, bot_id=9)).parts[0].file == FILE


async def test_a_newer_file_replaces_the_older(stocked: Scene) -> None:
    await stocked.store.shelf.save_bot_file(FILE)
    newer = msgspec.structs.replace(FILE, file_id="file-2", kind=MediaKind.DOCUMENT)
    await stocked.store.shelf.save_bot_file(newer)
    assert (await stocked.store.shelf.resolve(CODE, bot_id=9)).parts[0].file == newer


async def test_a_refused_file_is_forgotten(stocked: Scene) -> None:
    await stocked.store.shelf.save_bot_file(FILE)
    for _ in range(2):
        await stocked.store.shelf.forget_bot_file(9, 501, 11)
    assert (await stocked.store.shelf.resolve(CODE, bot_id=9)).parts[0].file is None


async def test_only_what_is_done_has_parts_to_send(stocked: Scene) -> None:
    await stocked.store.operations.requeue(CODE)
    resolved = await stocked.store.shelf.resolve(CODE, bot_id=9)
    assert (resolved.state, resolved.parts, resolved.is_deliverable) == (VariantState.READY, (), False)


async def test_a_code_of_nothing_does_not_resolve(scene: Scene) -> None:
    with pytest.raises(NotFoundError):
        await scene.store.shelf.resolve(CODE, bot_id=9)
    with pytest.raises(InputError):
        await scene.store.shelf.resolve("nonsense", bot_id=9)


async def test_deliveries_are_kept_and_counted(stocked: Scene) -> None:
    await stocked.store.shelf.record_delivery(CODE, 70, DeliveryOutcome.SENT)
    await stocked.store.shelf.record_delivery(CODE, 70, DeliveryOutcome.MISSING)
    assert stocked.sql("SELECT user_id, outcome FROM deliveries ORDER BY id") == [(70, "sent"), (70, "missing")]
    assert (await stocked.store.catalogue.counts()).deliveries == 1, "what was missing was not delivered"
    with pytest.raises(NotFoundError):
        await stocked.store.shelf.record_delivery("CM_M000009_720P", 70, DeliveryOutcome.SENT)


async def test_a_user_is_remembered_with_the_last_known_language(scene: Scene) -> None:
    await scene.store.shelf.note_user(70, "pl")
    scene.clock.advance(5)
    await scene.store.shelf.note_user(70, None)
    now_ms = scene.clock.ms
    assert scene.sql("SELECT * FROM users") == [(70, "pl", now_ms - 5000, now_ms)]


async def test_tokens_are_registered_once_and_revoked_for_good(scene: Scene) -> None:
    now_ms = scene.clock.ms
    token = IssuedToken("jti-1", "cm-ember", Scope.WORKER, now_ms, now_ms + 10_000)
    other = IssuedToken("jti-2", "operator", Scope.OPERATOR, now_ms + 1, now_ms + 10_000)
    for one in (token, other):
        await scene.store.tokens.add(one)
    with pytest.raises(ConflictError):
        await scene.store.tokens.add(token)
    assert await scene.store.tokens.issued() == (other, token)
    assert await scene.store.tokens.revoked() == frozenset()
    revoked = await scene.store.tokens.revoke("jti-1")
    scene.clock.advance(1)
    assert await scene.store.tokens.revoke("jti-1") == revoked, "the first time counts"
    assert revoked.revoked_at_ms == now_ms
    assert await scene.store.tokens.revoked() == {"jti-1"}
    scene.clock.advance(10)
    assert await scene.store.tokens.revoked() == frozenset(), "what has expired need not be remembered"
    with pytest.raises(NotFoundError):
        await scene.store.tokens.revoke("jti-3")
