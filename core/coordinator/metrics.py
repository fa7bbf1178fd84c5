"""What the coordinator counts, printed in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

Labels = tuple[tuple[str, str], ...]

_HELP = {
    "telecine_http_requests_total": ("counter", "Requests answered, by call and status."),
    "telecine_http_request_seconds_total": (
        "counter",
        "Time spent answering, by call, waiting included.",
    ),
    "telecine_claims_total": ("counter", "Claims answered, with a lease or without one."),
    "telecine_settled_total": ("counter", "Leases settled, by outcome."),
    "telecine_swept_total": ("counter", "Variants that time moved: leases expired, delays over."),
    "telecine_pruned_total": ("counter", "Rows of history that were kept long enough: attempts, events."),
    "telecine_variants": ("gauge", "Upload targets, by state."),
    "telecine_links": ("gauge", "Source links within their variants, by fate."),
    "telecine_objects": ("gauge", "Telegram messages that hold a part."),
    "telecine_deliveries": ("gauge", "Deliveries recorded."),
    "telecine_workers_seen": ("gauge", "Workers heard of within the last lease time."),
    "telecine_account_parked_seconds": ("gauge", "How long an account is parked still."),
    "telecine_database_bytes": ("gauge", "The size of the database file."),
    "telecine_wal_bytes": ("gauge", "The size of the database's WAL."),
    "telecine_replicating": ("gauge", "Whether replication moves; nothing where the database is not replicated."),
}


class CallMeter:
    """Counts the answers to one call, of which there are too many to look up labels for each."""

    def __init__(self, call: str) -> None:
        self.call = call
        self._statuses: Counter[int] = Counter()
        self._seconds = 0.0

    def count(self, status: int, seconds: float) -> None:
        self._statuses[status] += 1
        self._seconds += seconds

    def samples(self) -> Iterator[tuple[tuple[str, Labels], float]]:
        """What was counted, where anything was."""
        for status, count in self._statuses.items():
            yield ("telecine_http_requests_total", (("call", self.call), ("status", str(status)))), count
        if self._statuses:
            yield ("telecine_http_request_seconds_total", (("call", self.call),)), self._seconds


class Metrics:
    """Counters since the start. Names are declared above; an unknown one is a KeyError."""

    def __init__(self) -> None:
        self._meters: list[CallMeter] = []
        self._counts: Counter[tuple[str, Labels]] = Counter()

    def meter(self, call: str) -> CallMeter:
        """A meter for the answers to one call."""
        meter = CallMeter(call)
        self._meters.append(meter)
        return meter

    def count(self, name: str, by: int = 1, **labels: str) -> None:
        self._counts[name, _labels(labels)] += by

    def render(self, gauges: Iterable[tuple[str, Mapping[str, str], float]] = ()) -> str:
        """Everything counted, and `gauges` of (name, labels, value) that were just measured."""
        samples: dict[str, list[tuple[Labels, float]]] = {}
        metered = (sample for meter in self._meters for sample in meter.samples())
        for (name, labels), value in (*self._counts.items(), *metered):
            samples.setdefault(name, []).append((labels, value))
        for name, pairs, value in gauges:
            samples.setdefault(name, []).append((_labels(pairs), value))
        lines: list[str] = []
        for name in sorted(samples):
            kind, meaning = _HELP[name]
            lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
            lines += [f"{name}{_braces(labels)} {value:.15g}" for labels, value in sorted(samples[name])]
        return "\n".join(lines) + "\n"


def _labels(pairs: Mapping[str, str]) -> Labels:
    return tuple(sorted(pairs.items()))


def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
