"""How far one lease is: written by its work, read by the heartbeat and by whoever watches.

What happens to it is told to the log, one line an event, as fields.
"""

from __future__ import annotations

import logging
from collections import deque
from urllib.parse import urlsplit

import msgspec

from telecine.core.clock import Clock
from telecine.core.log_fields import fields
from telecine.core.protocol import Lease, Progress, Stage
from telecine.core.reasons import Reason

TOLD_EVERY_S = 30.0  # of an upload under way
RATE_WINDOW_S = 10.0
RATE_STEP_S = 0.5

logger = logging.getLogger(__name__)


class JobView(msgspec.Struct, frozen=True):
    """One lease at one moment. `host` is that of the link at hand, `plan` how it is sent, once that is known.

    `bytes_per_s`: over the last RATE_WINDOW_S. `eta_s`: until the last byte is with Telegram, at that rate.
    """

    lease: str
    code: str
    stage: Stage
    seconds: float
    link_id: int | None = None
    host: str | None = None
    plan: str | None = None
    bytes_done: int = 0
    bytes_total: int | None = None
    bytes_per_s: float = 0.0
    eta_s: float | None = None


class Rate:
    """Bytes per second over a window that moves."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()  # seconds, and the sum of all bytes then

    def note(self, now_s: float, bytes_sum: int) -> None:
        """So much has come by now."""
        if self._marks and now_s - self._marks[-1][0] < RATE_STEP_S:
            return
        self._marks.append((now_s, bytes_sum))
        while len(self._marks) > 1 and now_s - self._marks[1][0] >= RATE_WINDOW_S:
            self._marks.popleft()

    def bytes_per_s(self, now_s: float, bytes_sum: int) -> float:
        """0.0 where nothing can be said yet."""
        if not self._marks:
            return 0.0
        began_s, before = self._marks[0]
        return (bytes_sum - before) / (now_s - began_s) if now_s > began_s else 0.0


class Gauge:
    """How far a lease is, from the moment that it was claimed."""

    def __init__(self, lease: Lease, clock: Clock) -> None:
        self._lease = lease
        self._clock = clock
        self._claimed_s = clock.monotonic_s()
        self._hosts = {ref.link_id: _host_of(ref.url) for ref in lease.sources}
        self._uploaded_bytes = 0  # of all links
        self._told_s = 0.0
        self._stage = Stage.OPENING
        self._link_id: int | None = None
        self._plan: str | None = None
        self._bytes_done = 0
        self._bytes_total: int | None = None
        self._rate = Rate()

    @property
    def stage(self) -> Stage:
        return self._stage

    @property
    def uploaded_bytes(self) -> int:
        """All that has been put up under this lease, whatever became of it."""
        return self._uploaded_bytes

    @property
    def seconds(self) -> float:
        """Since the lease was claimed."""
        return self._clock.monotonic_s() - self._claimed_s

    def turn_to(self, link_id: int) -> None:
        """The work starts on another link."""
        self._stage, self._link_id, self._plan = Stage.OPENING, link_id, None
        self._bytes_done, self._bytes_total, self._rate = 0, None, Rate()
        self._tell("opening")

    def enter(self, stage: Stage, *, bytes_total: int | None = None) -> None:
        """The work has come to another stage."""
        self._stage = stage
        if bytes_total is not None:
            self._bytes_total = bytes_total
        if stage is Stage.UPLOADING:
            self._rate.note(self._clock.monotonic_s(), self._bytes_done)
        self._tell(stage.value, bytes_total=bytes_total)

    def planned(self, plan: str, why: str) -> None:
        """It is known how the link's file is sent."""
        self._plan = plan
        self._tell("planned", plan=plan, why=why)

    def add(self, size_bytes: int) -> None:
        """So many bytes more are with Telegram."""
        now_s = self._clock.monotonic_s()
        self._bytes_done += size_bytes
        self._uploaded_bytes += size_bytes
        self._rate.note(now_s, self._bytes_done)
        if now_s - self._told_s >= TOLD_EVERY_S:
            view = self.view()
            self._tell("uploading", **_progress_fields(view))

    def sent(self, part_no: int, part_count: int, message_id: int) -> None:
        """The message of a part is in the channel."""
        self._tell("sent", part=f"{part_no}/{part_count}", message_id=message_id)

    def failed(self, reason: Reason, detail: str) -> None:
        """The link is no good."""
        self._tell("link failed", reason=reason.value, detail=detail)

    def progress(self) -> Progress:
        """As the coordinator hears it."""
        return Progress(
            lease=self._lease.lease,
            stage=self._stage,
            link_id=self._link_id,
            bytes_done=self._bytes_done,
            bytes_total=self._bytes_total,
        )

    def view(self) -> JobView:
        """As who watches sees it."""
        bytes_per_s = self._rate.bytes_per_s(self._clock.monotonic_s(), self._bytes_done)
        left = None if self._bytes_total is None else max(0, self._bytes_total - self._bytes_done)
        uploading = self._stage is Stage.UPLOADING
        return JobView(
            lease=self._lease.lease,
            code=self._lease.code,
            stage=self._stage,
            seconds=self.seconds,
            link_id=self._link_id,
            host=self._host,
            plan=self._plan,
            bytes_done=self._bytes_done,
            bytes_total=self._bytes_total,
            bytes_per_s=bytes_per_s if uploading else 0.0,
            eta_s=left / bytes_per_s if uploading and left is not None and bytes_per_s > 0 else None,
        )

    @property
    def _host(self) -> str | None:
        return None if self._link_id is None else self._hosts.get(self._link_id)

    def _tell(self, event: str, **more: str | float | None) -> None:
        self._told_s = self._clock.monotonic_s()
        logger.info(event, extra=fields(code=self._lease.code, link=self._link_id, host=self._host, **more))


def _host_of(url: str) -> str | None:
    """None for what is no URL, which is for whoever opens it to complain of."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _progress_fields(view: JobView) -> dict[str, str | float | None]:
    return {
        "bytes_done": view.bytes_done,
        "bytes_total": view.bytes_total,
        "bytes_per_s": round(view.bytes_per_s),
        "eta_s": None if view.eta_s is None else round(view.eta_s),
    }
