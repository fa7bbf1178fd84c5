"""The load on an HTTP server, as a process of its own: a `Plan` as JSON on stdin, a `Load` as JSON on stdout."""

from __future__ import annotations

import asyncio
import enum
import gc
import secrets
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable

import msgspec
import uvloop
from tests.bench.crew import ACCOUNT_BYTES_MAX, DISK_BYTES, uploaded
from tests.bench.report import percentile
from tests.bench.wire import Reply, Wire, dial

from telecine.core.protocol import BeatRequest, ClaimRequest, Hello, Lease, Progress, SettleRequest, Stage


class Workload(enum.StrEnum):
    """What each connection asks for, over and over."""

    HELLO = "hello"  # GET /
    EDGE = "edge"  # GET /healthz
    CYCLE = "cycle"  # claim, beat, settle, as a worker does
    READ = "read"  # GET /v1/variants/{code}


class Caller(msgspec.Struct, frozen=True):
    """Whom a connection speaks for."""

    token: str
    telegram_user_id: int


class Plan(msgspec.Struct, frozen=True):
    """`callers`: one for each connection. `codes`: what is read, in turn."""

    host: str
    port: int
    workload: Workload
    connections: int
    seconds: float
    warm_up_s: float
    callers: tuple[Caller, ...] = ()
    codes: tuple[str, ...] = ()


class Latency(msgspec.Struct, frozen=True):
    requests: int
    p50_ms: float
    p99_ms: float


class Load(msgspec.Struct, frozen=True):
    """What came of it within the time that was planned. `cpu_share` of the generator: near 1 it is the bottleneck."""

    requests_per_s: float
    total: Latency
    calls: dict[str, Latency]
    cpu_share: float


Call = Callable[[str, bytes, bytes | None], Awaitable[Reply]]


class UnexpectedAnswerError(Exception):
    """A server did not answer as it must; the measurement is worth nothing."""


class Stopwatch:
    """Keeps how long requests took that began and ended while it ran."""

    def __init__(self, warm_up_s: float, seconds: float) -> None:
        self.from_s = time.perf_counter() + warm_up_s
        self.until_s = self.from_s + seconds
        self.took_s: dict[str, list[float]] = defaultdict(list)

    @property
    def is_over(self) -> bool:
        return time.perf_counter() >= self.until_s

    def over(self, wire: Wire) -> Call:
        """Calls over a connection that are timed. They raise UnexpectedAnswerError for anything but 200."""

        async def call(name: str, head: bytes, body: bytes | None) -> Reply:
            began_s = time.perf_counter()
            reply = await wire.request(head, body)
            ended_s = time.perf_counter()
            if reply.status != 200:
                raise UnexpectedAnswerError(f"{name}: {reply.status} {reply.body[:500].decode(errors='replace')}")
            if began_s >= self.from_s and ended_s <= self.until_s:
                self.took_s[name].append(ended_s - began_s)
            return reply

        return call


async def generate(plan: Plan) -> Load:
    """Raises UnexpectedAnswerError, ConnectionError."""
    wires = [await dial(plan.host, plan.port) for _ in range(plan.connections)]
    boots = [secrets.token_hex(8) for _ in wires]
    if plan.workload is Workload.CYCLE:
        for wire, caller, boot in zip(wires, plan.callers, boots, strict=True):
            await _enrol(wire, caller, boot)
    gc.collect()
    gc.disable()
    watch, cpu_s = Stopwatch(plan.warm_up_s, plan.seconds), time.process_time()
    began_s = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number, (wire, boot) in enumerate(zip(wires, boots, strict=True)):
            group.create_task(_keep_busy(plan, number, boot, watch, watch.over(wire)))
    cpu_share = (time.process_time() - cpu_s) / (time.perf_counter() - began_s)
    for wire in wires:
        wire.close()
    return _load(watch, plan.seconds, cpu_share)


async def _keep_busy(plan: Plan, number: int, boot: str, watch: Stopwatch, call: Call) -> None:
    match plan.workload:
        case Workload.HELLO:
            await _get(watch, call, "/")
        case Workload.EDGE:
            await _get(watch, call, "/healthz")
        case Workload.CYCLE:
            await _work(watch, call, plan.callers[number].token, boot)
        case Workload.READ:
            await _read(watch, call, plan.callers[number].token, plan.codes[number :: plan.connections])


async def _get(watch: Stopwatch, call: Call, path: str) -> None:
    head = _head("GET", path)
    while not watch.is_over:
        await call(f"GET {path}", head, None)


async def _read(watch: Stopwatch, call: Call, token: str, codes: tuple[str, ...]) -> None:
    heads = [_head("GET", f"/v1/variants/{code}", token) for code in codes]
    while not watch.is_over:
        for head in heads:
            await call("GET /v1/variants/{code}", head, None)


async def _work(watch: Stopwatch, call: Call, token: str, boot: str) -> None:
    claiming, beating = _head("POST", "/v1/leases", token), _head("POST", "/v1/leases/beat", token)
    encode, decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(Lease).decode
    claims = 0
    while not watch.is_over:
        claims += 1
        asked = ClaimRequest(boot, str(claims), disk_free_bytes=DISK_BYTES, file_bytes_max=ACCOUNT_BYTES_MAX)
        lease = decode((await call("claim", claiming, encode(asked))).body)
        progress = Progress(lease.lease, Stage.UPLOADING, lease.sources[0].link_id, 1 << 20, 1 << 30)
        await call("beat", beating, encode(BeatRequest(boot, (progress,))))
        settling = _head("POST", f"/v1/leases/{lease.lease}/settle", token)
        await call("settle", settling, encode(SettleRequest(boot, uploaded(lease))))


async def _enrol(wire: Wire, caller: Caller, boot: str) -> None:
    """Speak for the worker from now on. Its account is known to the coordinator, and so are its channels."""
    hello = Hello(boot, "1.0", caller.telegram_user_id, premium=True)
    reply = await wire.request(_head("POST", "/v1/workers/hello", caller.token), msgspec.json.encode(hello))
    if reply.status != 200:
        raise UnexpectedAnswerError(f"hello: {reply.status} {reply.body[:500].decode(errors='replace')}")


def _head(method: str, path: str, token: str | None = None) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", "Content-Type: application/json"]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    return "".join(f"{line}\r\n" for line in lines).encode()


def _load(watch: Stopwatch, seconds: float, cpu_share: float) -> Load:
    everything = [took_s for call in watch.took_s.values() for took_s in call]
    return Load(
        requests_per_s=len(everything) / seconds,
        total=_latency(everything),
        calls={name: _latency(took_s) for name, took_s in watch.took_s.items()},
        cpu_share=cpu_share,
    )


def _latency(took_s: list[float]) -> Latency:
    return Latency(len(took_s), percentile(took_s, 50) * 1000, percentile(took_s, 99) * 1000)


if __name__ == "__main__":
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(generate(plan))))
