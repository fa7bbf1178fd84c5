"""What the schema itself refuses, whoever writes."""

from __future__ import annotations

import pytest
from pysqlite3 import dbapi2
from tests.store.conftest import Scene, film, link

from telecine.core.errors import ConflictError
from telecine.core.leases import AttemptOutcome, Event, LinkFate, VariantState, transition

REST = (
    "account_id, fence, size_bytes, sha256, duration_s, width_px, height_px, stored_at_ms, retired_at_ms, blake3"
    " FROM telegram_objects"
)


@pytest.fixture
async def stocked(scene: Scene) -> Scene:
    """A variant that is ready, one that is leased, one that is done."""
    await scene.enrol("w")
    await scene.imports(film("1", link("a")), film("2", link("b")), film("3", link("c")))
    scene.sql("UPDATE upload_variants SET priority = 9 WHERE id = 1")
    leased, done = await scene.lease("w"), await scene.lease("w")
    assert (leased.code, done.code) == ("CM_M000002_720P", "CM_M000003_720P")
    await scene.done("w", done, 11)
    return scene


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE upload_variants SET state = 'sleeping' WHERE id = 1",
        "UPDATE upload_variants SET state = 'leased' WHERE id = 1",
        "UPDATE upload_variants SET state = 'leased', worker_id = 1, due_at_ms = 1, leased_at_ms = 1 WHERE id = 1",
        "UPDATE upload_variants SET state = 'delayed' WHERE id = 1",
        "UPDATE upload_variants SET state = 'dead' WHERE id = 1",
        "UPDATE upload_variants SET state = 'cancelled', finished_at_ms = 1, due_at_ms = 1 WHERE id = 1",
        "UPDATE upload_variants SET worker_id = 1 WHERE id = 1",
        "UPDATE upload_variants SET finished_at_ms = 1 WHERE id = 1",
        "UPDATE upload_variants SET bytes_done = 1 WHERE id = 1",
        "UPDATE upload_variants SET attempts = -1 WHERE id = 1",
        "UPDATE upload_variants SET waits_for_link = 1 WHERE id = 1",
        "UPDATE upload_variants SET priority = 10 WHERE id = 1",
        "UPDATE upload_variants SET title_id = 99 WHERE id = 1",
        "UPDATE upload_variants SET fence = 'x' WHERE id = 1",
        "UPDATE upload_variants SET code = 'CM_M000002_720P' WHERE id = 1",
        "UPDATE upload_variants SET state = 'done', finished_at_ms = 1, channel_id = 1 WHERE id = 1",
        "UPDATE upload_variants SET worker_id = NULL WHERE id = 2",
        "UPDATE upload_variants SET due_at_ms = NULL WHERE id = 2",
        "UPDATE upload_variants SET channel_id = NULL WHERE id = 2",
        "UPDATE upload_variants SET channel_id = NULL WHERE id = 3",
        "UPDATE upload_variants SET finished_at_ms = NULL WHERE id = 3",
        "UPDATE variant_sources SET fate = 'lost' WHERE variant_id = 1",
        "UPDATE variant_sources SET fate = 'failed', failed_round = 0, tried_at_ms = 1 WHERE variant_id = 1",
        "UPDATE variant_sources SET fate = 'used' WHERE variant_id = 1",
        "UPDATE variant_sources SET reason = 'gone' WHERE variant_id = 1",
        "UPDATE variant_sources SET passing = 1 WHERE variant_id = 1",
        "INSERT INTO variant_sources (variant_id, link_id, position) VALUES (1, 1, 2)",
        "INSERT INTO variant_sources (variant_id, link_id, position) VALUES (1, 2, 1)",
        "INSERT INTO variant_sources (variant_id, link_id, position) VALUES (1, 99, 2)",
        "UPDATE telegram_objects SET part_no = 2",
        "UPDATE telegram_objects SET part_count = 0",
        f"INSERT INTO telegram_objects SELECT 9, variant_id, part_no, part_count, channel_id, 12, {REST}",  # a part
        f"INSERT INTO telegram_objects SELECT 9, 1, part_no, part_count, channel_id, message_id, {REST}",  # a message
        "UPDATE upload_attempts SET outcome = 'odd'",
        "UPDATE upload_attempts SET outcome = 'failed'",
        "UPDATE upload_attempts SET finished_at_ms = 0",
        "DELETE FROM source_links",
        "DELETE FROM titles",
        "DELETE FROM channels",
        "UPDATE channels SET telegram_id = NULL",
        "UPDATE channels SET telegram_id = -1",
        "UPDATE titles SET kind = 'opera'",
        "UPDATE titles SET cm_id = '1'",
        "UPDATE workers SET mode = 'asleep'",
        "UPDATE imports SET state = 'done'",
        "UPDATE imports SET state = 'failed', finished_at_ms = 1",
        "INSERT INTO tokens VALUES ('j', 's', 'root', 1, 2, NULL)",
        "INSERT INTO users VALUES ('x', NULL, 1, 1)",
        "INSERT INTO requests (user_id, wish, asked_at_ms) VALUES (99, 'x', 1)",
        "INSERT INTO bot_files VALUES (1, 2, 3, 'photo', 'f', 'u', 1)",
    ],
)
async def test_the_schema_refuses_what_must_not_be(stocked: Scene, statement: str) -> None:
    with pytest.raises(dbapi2.IntegrityError):
        stocked.sql(statement)


def reachable(state: VariantState) -> set[VariantState]:
    targets = set()
    for event in Event:
        try:
            targets.add(transition(state, event))
        except ConflictError:
            continue
    return targets


async def test_the_schema_knows_every_state_and_outcome_of_the_domain(scene: Scene) -> None:
    [(variants,)] = scene.sql("SELECT sql FROM sqlite_master WHERE name = 'upload_variants'")
    [(sources,)] = scene.sql("SELECT sql FROM sqlite_master WHERE name = 'variant_sources'")
    [(attempts,)] = scene.sql("SELECT sql FROM sqlite_master WHERE name = 'upload_attempts'")
    assert all(f"'{state.value}'" in variants for state in VariantState)
    assert all(f"'{fate.value}'" in sources for fate in LinkFate)
    assert all(f"'{outcome.value}'" in attempts for outcome in AttemptOutcome)
    assert set().union(*map(reachable, VariantState)) == set(VariantState)
