"""What the application is built from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from telecine.core.catalogue import Catalogue, ImportRun
from telecine.core.clock import Clock
from telecine.core.config import CoordinatorSettings
from telecine.core.coordinator.backup import Backup
from telecine.core.coordinator.events import Events
from telecine.core.coordinator.metrics import Metrics
from telecine.core.coordinator.pruning import Retention
from telecine.core.coordinator.tokens import Tokens
from telecine.core.delivery import Shelf
from telecine.core.leases import Sweeper
from telecine.core.operations import Operations
from telecine.core.queue import Queue


class Imports(Protocol):
    """Imports from CM that run in the background."""

    async def start(self) -> ImportRun:
        """Begin an import and return at once. Raises ConflictError while one is running."""
        ...

    async def run(self, import_id: int) -> ImportRun:
        """How far an import is, or how it ended. Raises NotFoundError."""
        ...


@dataclass(frozen=True, kw_only=True)
class Services:
    """Everything that the calls of the API reach for. `new_id` makes request ids; it need not be secret."""

    settings: CoordinatorSettings
    version: str
    clock: Clock
    new_id: Callable[[], str]
    tokens: Tokens
    queue: Queue
    operations: Operations
    backup: Backup
    sweeper: Sweeper
    retention: Retention
    catalogue: Catalogue
    shelf: Shelf
    imports: Imports
    events: Events
    metrics: Metrics
    bot_username: Callable[[], str | None]
    """None where no bot runs; raises UnavailableError while the bot does not know its name."""
