"""What a coordinator over a real database is built from."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from telecine.core.catalogue import ImportRun
from telecine.core.config import CoordinatorSettings
from telecine.core.coordinator.backup import ReplicaWatch
from telecine.core.coordinator.events import EVENTS_KEPT_MAX, Events
from telecine.core.coordinator.metrics import Metrics
from telecine.core.coordinator.services import Services
from telecine.core.coordinator.tokens import Tokens
from telecine.store import Store

if TYPE_CHECKING:
    from telecine.core.clock import Clock

SECRET = "a secret of the tests, " + 64 * "x"


class NoImports:
    async def start(self) -> ImportRun:
        raise AssertionError("these tests import by themselves")

    async def run(self, import_id: int) -> ImportRun:
        raise AssertionError("these tests import by themselves")


def services_over(store: Store, clock: Clock, *, events_kept_max: int = EVENTS_KEPT_MAX) -> Services:
    """Everything of the store; no importer, no bot."""
    return Services(
        settings=CoordinatorSettings(secret=SECRET, sweep_interval_s=3600, channels_per_account=2),
        version="0.0.test",
        clock=clock,
        new_id=map("request-{}".format, itertools.count(1)).__next__,
        tokens=Tokens(SECRET, clock, store.tokens),
        queue=store.queue,
        operations=store.operations,
        backup=ReplicaWatch(store.files, clock),
        sweeper=store.sweeper,
        retention=store.retention,
        catalogue=store.catalogue,
        shelf=store.shelf,
        imports=NoImports(),
        events=Events(store.events, kept_max=events_kept_max),
        metrics=Metrics(),
        bot_username=lambda: None,
    )
