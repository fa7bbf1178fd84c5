"""Operators' calls on a real socket, with the real database behind them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.core.coordinator.peers import Stored, done

from telecine.core.catalogue import VariantDetail
from telecine.core.leases import AttemptOutcome, VariantState
from telecine.core.operator_protocol import (
    Accounts,
    AccountStatus,
    AttemptPage,
    BackupState,
    BackupStatus,
    ChannelPage,
    ChannelPlan,
    ChannelState,
    ChannelStatus,
    Copies,
    HostLimit,
    HostPage,
    HostStatus,
    ModeChange,
    Park,
    Pin,
    Priority,
    Status,
    TitleMoved,
    TokenPage,
    TokenRecord,
    VariantMoved,
    VariantPage,
    WorkerMode,
    Workers,
    WorkerStatus,
)
from telecine.core.protocol import ChannelLost, Verdict

CODE, OTHER, UNKNOWN = "CM_M000001_720P", "CM_M000002_720P", "CM_M000099_720P"


@pytest.fixture
async def crewed(stored: Stored) -> Stored:
    """Two films that wait, and two workers."""
    await stored.plan("Night Train", "Day Ferry")
    await stored.ember.enter()
    await stored.rora.enter(user_id=78)
    return stored


# ---- uploads ---------------------------------------------------------------------------------------


async def test_what_is_done_is_withdrawn_and_queued_again(crewed: Stored) -> None:
    lease = await crewed.ember.claim()
    await crewed.ember.settle(lease, done(lease))
    moved = await crewed.ada.call("POST", f"/v1/variants/{CODE}/withdraw", VariantMoved)
    assert moved == VariantMoved(CODE, VariantState.WITHDRAWN)
    assert await crewed.ada.refusal("POST", f"/v1/variants/{CODE}/withdraw", status=409) == "conflict"
    moved = await crewed.ada.call("POST", f"/v1/variants/{CODE}/retry", VariantMoved)
    assert moved.state is VariantState.READY


async def test_a_variant_goes_first_and_to_one_account(crewed: Stored) -> None:
    moved = await crewed.ada.call("POST", f"/v1/variants/{OTHER}/priority", VariantMoved, Priority(0))
    assert moved == VariantMoved(OTHER, VariantState.READY)
    await crewed.ada.call("POST", f"/v1/variants/{OTHER}/pin", VariantMoved, Pin("cm-rora"))
    assert (await crewed.ember.claim()).code == CODE
    page = await crewed.ada.call("GET", "/v1/variants?account=cm-rora&state=ready", VariantPage)
    assert [variant.code for variant in page.variants] == [OTHER]
    detail = await crewed.ada.call("GET", f"/v1/variants/{OTHER}", VariantDetail)
    assert (detail.priority, detail.account, detail.host) == (0, "cm-rora", "files.example")
    await crewed.ada.call("POST", f"/v1/variants/{OTHER}/pin", VariantMoved, Pin(None))
    assert (await crewed.ember.claim("r2")).code == OTHER


async def test_a_lease_shows_how_long_it_lasts_and_where_it_goes(crewed: Stored) -> None:
    await crewed.ember.claim()
    detail = await crewed.ada.call("GET", f"/v1/variants/{CODE}", VariantDetail)
    assert (detail.worker, detail.channel, detail.copy, detail.rounds) == ("cm-ember", "CM_C000001", 1, 0)
    assert detail.due_in_s is not None
    assert 0 < detail.due_in_s <= 60


async def test_a_title_is_taken_out_and_copied_as_a_whole(crewed: Stored) -> None:
    assert await crewed.ada.call("POST", "/v1/titles/1/copies", Copies, Copies(2)) == Copies(2)
    moved = await crewed.ada.call("POST", "/v1/titles/1/withdraw", TitleMoved)
    assert moved.variants == (VariantMoved(CODE, VariantState.CANCELLED),)
    assert await crewed.ada.refusal("POST", "/v1/titles/99/withdraw", status=404) == "not_found"
    assert await crewed.ada.refusal("POST", "/v1/titles/99/copies", Copies(2), status=404) == "not_found"


async def test_the_history_is_read_page_by_page(crewed: Stored) -> None:
    for request_id in ("r1", "r2"):
        lease = await crewed.ember.claim(request_id)
        await crewed.ada.call("POST", f"/v1/variants/{lease.code}/cancel", VariantMoved)
    first = await crewed.ada.call("GET", "/v1/attempts?limit=1", AttemptPage)
    assert [attempt.code for attempt in first.attempts] == [OTHER]
    second = await crewed.ada.call("GET", f"/v1/attempts?limit=1&before={first.before}", AttemptPage)
    assert [(attempt.code, attempt.outcome) for attempt in second.attempts] == [(CODE, AttemptOutcome.CANCELLED)]
    last = await crewed.ada.call("GET", f"/v1/attempts?limit=1&before={second.before}", AttemptPage)
    assert (last.attempts, last.before) == ((), None)
    sifted = await crewed.ada.call("GET", f"/v1/attempts?code={CODE}&worker=cm-ember&outcome=cancelled", AttemptPage)
    assert [attempt.id for attempt in sifted.attempts] == [attempt.id for attempt in second.attempts]
    assert (await crewed.ada.call("GET", "/v1/attempts?outcome=done", AttemptPage)).attempts == ()


# ---- workers and accounts --------------------------------------------------------------------------


async def test_a_worker_is_steered_whatever_it_is_called(crewed: Stored) -> None:
    assert await crewed.ada.refusal("POST", "/v1/workers/hello/mode", ModeChange(WorkerMode.PAUSED), status=404) == (
        "not_found"
    )


async def test_a_worker_drains_is_disabled_and_goes_on(crewed: Stored) -> None:
    lease = await crewed.ember.claim()
    path = "/v1/workers/cm-ember/mode"
    status = await crewed.ada.call("POST", path, WorkerStatus, ModeChange(WorkerMode.DRAINING))
    assert (status.mode, [held.code for held in status.leases]) == (WorkerMode.DRAINING, [CODE])
    assert await crewed.ember.beat(lease) is Verdict.GO_ON
    await crewed.ember.claim_nothing()
    await crewed.ada.call("POST", path, WorkerStatus, ModeChange(WorkerMode.DISABLED))
    assert await crewed.ember.beat(lease) is Verdict.LOST
    await crewed.ada.call("POST", path, WorkerStatus, ModeChange(WorkerMode.ACTIVE))
    assert (await crewed.ember.claim("r2")).code == CODE
    workers = (await crewed.ada.call("GET", "/v1/workers", Workers)).workers
    assert [(worker.name, worker.mode) for worker in workers] == [
        ("cm-ember", WorkerMode.ACTIVE),
        ("cm-rora", WorkerMode.ACTIVE),
    ]


async def test_an_account_is_parked_and_unparked(crewed: Stored) -> None:
    path = "/v1/accounts/cm-ember"
    parked = await crewed.ada.call("POST", f"{path}/park", AccountStatus, Park(900, reason="on holiday"))
    assert (round(parked.uploads_parked_s), round(parked.sends_parked_s)) == (900, 900)
    await crewed.ember.claim_nothing()
    accounts = (await crewed.ada.call("GET", "/v1/accounts", Accounts)).accounts
    assert [(one.name, one.park_reason, one.channels) for one in accounts] == [
        ("cm-ember", "on holiday", 2),
        ("cm-rora", None, 2),
    ]
    assert (await crewed.ada.call("POST", f"{path}/unpark", AccountStatus)).parked_s == 0
    assert (await crewed.ember.claim()).code == CODE


# ---- channels and hosts ----------------------------------------------------------------------------


async def test_channels_are_planned_listed_and_retired(crewed: Stored) -> None:
    planned = await crewed.ada.call("POST", "/v1/channels", ChannelStatus, ChannelPlan("cm-rora"), status=201)
    assert (planned.id, planned.account, planned.state) == (5, "cm-rora", ChannelState.PLANNED)
    retired = await crewed.ada.call("POST", "/v1/channels/1/retire", ChannelStatus)
    assert (retired.title, retired.state) == ("CM_C000001", ChannelState.RETIRED)
    first = await crewed.ada.call("GET", "/v1/channels?limit=3", ChannelPage)
    rest = await crewed.ada.call("GET", f"/v1/channels?limit=3&after={first.after}", ChannelPage)
    assert [channel.id for channel in (*first.channels, *rest.channels)] == [1, 2, 3, 4, 5]
    assert rest.after is None
    own = await crewed.ada.call("GET", "/v1/channels?account=cm-rora", ChannelPage)
    assert [channel.id for channel in own.channels] == [3, 4, 5]
    assert (await crewed.ada.call("GET", "/v1/status", Status)).channels == 4, "those that something may be put into"


async def test_a_worker_reports_a_channel_of_its_own_as_lost(crewed: Stored) -> None:
    for _ in range(2):
        await crewed.ember.call("POST", "/v1/channels/1/lost", type(None), ChannelLost("CHANNEL_PRIVATE"), status=204)
    page = await crewed.ada.call("GET", "/v1/channels?limit=1", ChannelPage)
    assert page.channels[0].state is ChannelState.LOST
    assert (await crewed.ember.claim()).channel.id == 2
    lost = ChannelLost("CHANNEL_PRIVATE")
    assert await crewed.rora.refusal("POST", "/v1/channels/2/lost", lost, status=403) == "forbidden"
    assert await crewed.rora.refusal("POST", "/v1/channels/99/lost", lost, status=404) == "not_found"


async def test_hosts_are_addressed_with_their_ports_and_brackets(crewed: Stored) -> None:
    for number, host in enumerate(("a.example:8080", "[::1]:8081", "bücher.example")):
        url = f"http://{host}/film.mp4"
        await crewed.plan_link(f"Late Tram {number}", url)
    page = await crewed.ada.call("GET", "/v1/hosts", HostPage)
    assert [(host.name, host.ready) for host in page.hosts] == [
        ("[::1]:8081", 1),
        ("a.example:8080", 1),
        ("bücher.example", 1),
        ("files.example", 2),
    ]
    for path in ("%5B%3A%3A1%5D%3A8081", "a.example%3A8080", "b%C3%BCcher.example"):
        limited = await crewed.ada.call("POST", f"/v1/hosts/{path}/limit", HostStatus, HostLimit(3))
        assert limited.leases_max == 3
        assert (await crewed.ada.call("POST", f"/v1/hosts/{path}/unpark", HostStatus)) == limited
        unlimited = await crewed.ada.call("POST", f"/v1/hosts/{path}/limit", HostStatus, HostLimit(None))
        assert unlimited.leases_max is None
    first = await crewed.ada.call("GET", "/v1/hosts?limit=3", HostPage)
    assert first.after == "bücher.example"
    rest = await crewed.ada.call("GET", "/v1/hosts?limit=3&after=b%C3%BCcher.example", HostPage)
    assert ([host.name for host in rest.hosts], rest.after) == (["files.example"], None)


# ---- tokens and backup -----------------------------------------------------------------------------


async def test_tokens_are_listed_without_the_token_and_end_when_they_are_revoked(crewed: Stored) -> None:
    page = await crewed.ada.call("GET", "/v1/tokens", TokenPage)
    assert {(token.subject, token.scope, token.revoked) for token in page.tokens} == {
        ("cm-ember", "worker", False),
        ("cm-rora", "worker", False),
        ("ada", "operator", False),
    }
    assert all(0 < token.expires_s <= 86_400 for token in page.tokens)
    (jti,) = (token.jti for token in page.tokens if token.subject == "cm-ember")
    revoked = await crewed.ada.call("POST", f"/v1/tokens/{jti}/revoke", TokenRecord)
    assert (revoked.subject, revoked.revoked) == ("cm-ember", True)
    assert await crewed.ember.refusal("POST", "/v1/leases", {"boot_id": "b1", "request_id": "r"}, status=401)
    assert await crewed.ada.refusal("POST", "/v1/tokens/nobody/revoke", status=404) == "not_found"


async def test_tokens_come_in_pages(crewed: Stored) -> None:
    whole = (await crewed.ada.call("GET", "/v1/tokens", TokenPage)).tokens
    first = await crewed.ada.call("GET", "/v1/tokens?limit=2", TokenPage)
    rest = await crewed.ada.call("GET", f"/v1/tokens?limit=2&after={first.after}", TokenPage)
    assert [token.jti for token in (*first.tokens, *rest.tokens)] == [token.jti for token in whole]
    assert rest.after is None
    assert await crewed.ada.refusal("GET", "/v1/tokens?after=nobody", status=400) == "input"


async def test_a_database_that_nobody_replicates_says_so(crewed: Stored) -> None:
    backup = await crewed.ada.call("GET", "/v1/backup", BackupStatus)
    assert (backup.state, backup.txid) == (BackupState.OFF, None)
    assert backup.database_bytes > 0
    assert backup.wal_bytes > 0
    assert backup.written_ago_s is not None
    async with crewed.ada.get("/metrics") as response:
        metrics = await response.text()
    assert "\ntelecine_wal_bytes " in metrics
    assert "telecine_replicating" not in metrics


# ---- refusals --------------------------------------------------------------------------------------


REFUSED: list[tuple[str, str, Any, int, str]] = [
    ("POST", f"/v1/variants/{UNKNOWN}/withdraw", None, 404, "not_found"),
    ("POST", f"/v1/variants/{UNKNOWN}/priority", {"priority": 1}, 404, "not_found"),
    ("POST", f"/v1/variants/{UNKNOWN}/pin", {"account": None}, 404, "not_found"),
    ("POST", f"/v1/variants/{CODE}/pin", {"account": "nobody"}, 404, "not_found"),
    ("POST", f"/v1/variants/{CODE}/pin", {}, 400, "input"),
    ("POST", f"/v1/variants/{CODE}/priority", {"priority": 10}, 400, "input"),
    ("POST", f"/v1/variants/{CODE}/priority", {"priority": "1"}, 400, "input"),
    ("POST", "/v1/variants/night-train/withdraw", None, 400, "input"),
    ("POST", "/v1/titles/one/withdraw", None, 400, "input"),
    ("POST", "/v1/titles/1/copies", {"copies": 3}, 400, "input"),
    ("GET", "/v1/variants?account=nobody", None, 404, "not_found"),
    ("GET", f"/v1/attempts?code={UNKNOWN}", None, 404, "not_found"),
    ("GET", "/v1/attempts?code=night-train", None, 400, "input"),
    ("GET", "/v1/attempts?worker=nobody", None, 404, "not_found"),
    ("GET", "/v1/attempts?outcome=splendid", None, 400, "input"),
    ("GET", "/v1/attempts?limit=0", None, 400, "input"),
    ("GET", "/v1/attempts?limit=1001", None, 400, "input"),
    ("GET", "/v1/attempts?before=-1", None, 400, "input"),
    ("POST", "/v1/workers/nobody/mode", {"mode": "active"}, 404, "not_found"),
    ("POST", "/v1/workers/cm-ember/mode", {"mode": "asleep"}, 400, "input"),
    ("POST", "/v1/accounts/nobody/park", {"seconds": 1}, 404, "not_found"),
    ("POST", "/v1/accounts/nobody/unpark", None, 404, "not_found"),
    ("POST", "/v1/accounts/cm-ember/park", {"seconds": -1}, 400, "input"),
    ("POST", "/v1/accounts/cm-ember/park", {"seconds": 1, "uploads": False, "sends": False}, 400, "input"),
    ("GET", "/v1/channels?account=nobody", None, 404, "not_found"),
    ("GET", "/v1/channels?after=x", None, 400, "input"),
    ("POST", "/v1/channels", {"account": "nobody"}, 404, "not_found"),
    ("POST", "/v1/channels", {"account": ""}, 400, "input"),
    ("POST", "/v1/channels/99/retire", None, 404, "not_found"),
    ("GET", "/v1/hosts?limit=1001", None, 400, "input"),
    ("POST", "/v1/hosts/c.example/limit", {"leases_max": 1}, 404, "not_found"),
    ("POST", "/v1/hosts/files.example/limit", {"leases_max": -1}, 400, "input"),
    ("POST", "/v1/hosts/c.example/unpark", None, 404, "not_found"),
]


async def test_what_cannot_be_done_is_refused_by_name_and_changes_nothing(crewed: Stored) -> None:
    newest = crewed.store.events.newest
    for method, path, body, status, kind in REFUSED:
        assert await crewed.ada.refusal(method, path, body, status=status) == kind, (method, path, body)
    assert crewed.store.events.newest == newest
