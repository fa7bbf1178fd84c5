"""What every job of a worker works with."""

from __future__ import annotations

from dataclasses import dataclass

from telecine.core.clock import Clock
from telecine.core.config import WorkerSettings
from telecine.core.worker.coordinator import CoordinatorClient
from telecine.core.worker.gate import Gate
from telecine.core.worker.journal import Journal
from telecine.core.worker.park import Park
from telecine.core.worker.recovery import Recovery
from telecine.core.worker.sources.sources import Sources
from telecine.core.worker.storage import Storage
from telecine.core.worker.telegram.account import Account
from telecine.core.worker.telegram.channels import Channels
from telecine.core.worker.telegram.engine import Engine
from telecine.core.worker.telegram.sending import Post
from telecine.core.worker.telegram.uploads import Uploads


@dataclass(frozen=True)
class Bench:
    """The tools of one boot of a worker, shared by all its jobs."""

    settings: WorkerSettings
    clock: Clock
    boot_id: str
    sources: Sources
    account: Account
    channels: Channels
    engine: Engine
    uploads: Uploads
    post: Post
    journal: Journal
    coordinator: CoordinatorClient
    recovery: Recovery
    storage: Storage
    park: Park
    gate: Gate
