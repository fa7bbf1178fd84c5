"""`make bench NAME=api`: requests per second of the coordinator over HTTP, beside an aiohttp that only says hello."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
import uvloop
from tests.bench.crew import CHANNELS_PER_ACCOUNT, muster
from tests.bench.filling import Filling, fill
from tests.bench.http_load import Caller, Load, Plan, Workload
from tests.bench.report import Check, Findings, MeasurementError, Options, Sheet, median
from tests.bench.servers import Server, serving

from telecine.core.clock import SystemClock
from telecine.core.coordinator.tokens import Scope, Tokens
from telecine.store import Store

RATIO_AT_64_MIN = 0.6
DAY_S = 86_400
RAW = "raw protocol"
HELLO = "aiohttp hello"
CYCLE = "claim, beat, settle"
READ = "GET variant"
EDGE = "GET /healthz"
CANNED = "the same, no queue"
REPLAY = "the same, replayed"


class Scale(msgspec.Struct, frozen=True):
    """How much is measured."""

    connections: tuple[int, ...] = (1, 16, 64)
    rounds: int = 5
    seconds: float = 1.5
    warm_up_s: float = 0.3
    accounts: int = 16
    rows: int = 300_000
    codes: int = 1000


QUICK = Scale(connections=(2,), rounds=1, seconds=0.1, warm_up_s=0.02, accounts=2, rows=4000, codes=20)


class Stage(msgspec.Struct, frozen=True):
    """What the coordinator serves, and who may ask it."""

    settings: Path
    callers: tuple[Caller, ...]
    codes: tuple[str, ...]


class ApiFigure(msgspec.Struct, frozen=True):
    """One line: medians over the rounds. `ratio` is the median of each round's ratio to the hello of the same round,
    `server_cpu_us` the processor time that a request took of the server, which a busy machine changes little."""

    subject: str
    connections: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    ratio: float
    server_cpu_us: float
    generator_cpu_share: float
    rounds: tuple[Load, ...]


def measure(options: Options) -> Findings:
    """Raises MeasurementError."""
    scale = QUICK if options.quick else Scale()
    options.say(f"filling the database with {scale.rows} rows")
    stage = uvloop.run(set_up(options.folder, scale))
    figures: list[ApiFigure] = []
    with ExitStack() as stack:
        hello = stack.enter_context(serving("tests.bench.hello_server"))
        raw = stack.enter_context(serving("tests.bench.hello_server", "raw"))
        replay = stack.enter_context(serving("tests.bench.replay_server"))
        canned = stack.enter_context(serving("tests.bench.canned_server", str(stage.settings)))
        ours = stack.enter_context(serving(*served_by(stage)))
        subjects = {
            HELLO: (hello, Workload.HELLO),
            RAW: (raw, Workload.HELLO),
            CYCLE: (ours, Workload.CYCLE),
            CANNED: (canned, Workload.CYCLE),
            REPLAY: (replay, Workload.CYCLE),
            READ: (ours, Workload.READ),
            EDGE: (ours, Workload.EDGE),
        }
        for connections in scale.connections:
            options.say(f"{connections} connections")
            figures += _compare(scale, stage, subjects, connections)
    return Findings(
        method=_method(scale),
        sheets=(_requests_sheet(figures), _calls_sheet(figures)),
        figures={"requests": figures},
        checks=_checks(scale, figures),
    )


async def set_up(folder: Path, scale: Scale) -> Stage:
    """A database full of work, a worker for each connection with a token of its own, and settings to serve it by."""
    database, secret, clock = folder / "telecine.db", secrets.token_urlsafe(32), SystemClock()
    async with Store.open(database, clock=clock) as store:
        crew = await muster(store.queue, accounts=scale.accounts, hands=max(scale.connections))
        channels = scale.accounts * CHANNELS_PER_ACCOUNT
        filling = Filling(scale.rows, done=scale.rows // 2, accounts=scale.accounts, channels=channels)
        fill(database, filling, clock.now_ms())
        tokens = Tokens(secret, clock, store.tokens)
        callers = []
        for hand in crew:
            jti = secrets.token_hex(8)
            text, _ = await tokens.issue(hand.name, Scope.WORKER, ttl_s=DAY_S, jti=jti, account=hand.account)
            callers.append(Caller(text, hand.telegram_user_id))
        page = await store.catalogue.variants(state=None, after="", limit=scale.codes)
    settings = folder / "telecine.toml"
    settings.touch(mode=0o600)
    settings.write_text(
        f'[coordinator]\nsecret = "{secret}"\ndatabase = "{database.resolve()}"\nport = 0\n\n[bot]\nenabled = false\n'
    )
    return Stage(settings, tuple(callers), tuple(variant.code for variant in page))


def _compare(
    scale: Scale, stage: Stage, subjects: Mapping[str, tuple[Server, Workload]], connections: int
) -> list[ApiFigure]:
    """All subjects in turn, round after round, so that what else the machine does meets all of them."""
    loads: dict[str, list[Load]] = {subject: [] for subject in subjects}
    cpu_us: dict[str, list[float]] = {subject: [] for subject in subjects}
    for _ in range(scale.rounds):
        for subject, (server, workload) in subjects.items():
            plan = plan_of(scale, stage, server, workload, connections)
            cpu_began_s = server.cpu_s
            load = generate(plan)
            requests = load.requests_per_s * (scale.warm_up_s + scale.seconds)
            loads[subject].append(load)
            cpu_us[subject].append((server.cpu_s - cpu_began_s) / requests * 1e6)
    return [_figure(subject, connections, loads[subject], loads[HELLO], cpu_us[subject]) for subject in subjects]


def served_by(stage: Stage) -> tuple[str, ...]:
    """The module and the arguments that serve it: the coordinator as it runs anywhere, but without the bot."""
    return ("telecine.cmd", "--config", str(stage.settings), "serve")


def plan_of(scale: Scale, stage: Stage, server: Server, workload: Workload, connections: int) -> Plan:
    """What the load generator is told."""
    return Plan(
        host=server.host,
        port=server.port,
        workload=workload,
        connections=connections,
        seconds=scale.seconds,
        warm_up_s=scale.warm_up_s,
        callers=stage.callers[:connections],
        codes=stage.codes,
    )


def generate(plan: Plan) -> Load:
    """Run the load generator as a process. Raises MeasurementError."""
    command = [sys.executable, "-m", "tests.bench.http_load"]
    done = subprocess.run(command, input=msgspec.json.encode(plan), capture_output=True, check=False)
    if done.returncode:
        raise MeasurementError(f"the load generator failed:\n{done.stderr.decode()}")
    return msgspec.json.decode(done.stdout, type=Load)


def _figure(
    subject: str, connections: int, rounds: Sequence[Load], hellos: Sequence[Load], cpu_us: Sequence[float]
) -> ApiFigure:
    return ApiFigure(
        subject=subject,
        connections=connections,
        requests_per_s=median([load.requests_per_s for load in rounds]),
        p50_ms=median([load.total.p50_ms for load in rounds]),
        p99_ms=median([load.total.p99_ms for load in rounds]),
        ratio=median([a.requests_per_s / b.requests_per_s for a, b in zip(rounds, hellos, strict=True)]),
        server_cpu_us=median(cpu_us),
        generator_cpu_share=median([load.cpu_share for load in rounds]),
        rounds=tuple(rounds),
    )


# ---- what it comes to ----------------------------------------------------------------------------


def _checks(scale: Scale, figures: Sequence[ApiFigure]) -> tuple[Check, ...]:
    busiest = max(scale.connections)
    ratio = next(f.ratio for f in figures if f.subject == CYCLE and f.connections == busiest)
    return (Check.at_least("ratio_at_64", ratio, RATIO_AT_64_MIN),)


def _method(scale: Scale) -> tuple[str, ...]:
    rounds = (
        f"median of {scale.rounds} rounds of {scale.seconds:g} s after {scale.warm_up_s:g} s to warm up, "
        "in which all subjects take turns"
    )
    cycle = (
        f"{CYCLE}: `telecine serve` on {scale.rows} targets, half of them done; each connection is a worker with a "
        "token of its own that repeats the three calls, a third each; every answer is 200"
    )
    hello = f"{HELLO}: GET /, on uvloop as ours; ratio: to the hello of the same round"
    edge = f"{EDGE}: a call of ours that asks for no token and looks at nothing shows what all of them have in common"
    canned = f"{CANNED}: the coordinator without a store: its queue gives everyone the same lease, from memory"
    replay = f"{REPLAY}: aiohttp's low-level server reads the same calls whole and always answers the same"
    raw = f"{RAW}: a server that parses nothing shows how far up the load generator reaches"
    return rounds, cycle, canned, replay, edge, hello, raw


def _requests_sheet(figures: Sequence[ApiFigure]) -> Sheet:
    rows = tuple(
        (
            figure.subject,
            str(figure.connections),
            f"{figure.requests_per_s:,.0f}",
            f"{figure.ratio:.2f}",
            f"{figure.p50_ms:.2f}",
            f"{figure.p99_ms:.2f}",
            f"{figure.server_cpu_us:,.0f}",
            f"{figure.generator_cpu_share * 100:.0f} %",
        )
        for figure in figures
    )
    columns = ("subject", "connections", "requests/s", "ratio", "p50 ms", "p99 ms", "CPU us", "generator's CPU")
    return Sheet("requests over HTTP", columns, rows)


def _calls_sheet(figures: Sequence[ApiFigure]) -> Sheet:
    rows = tuple(
        (
            call,
            str(figure.connections),
            f"{median([load.calls[call].p50_ms for load in figure.rounds]):.2f}",
            f"{median([load.calls[call].p99_ms for load in figure.rounds]):.2f}",
        )
        for figure in figures
        if figure.subject == CYCLE
        for call in figure.rounds[0].calls
    )
    return Sheet("calls of the cycle", ("call", "connections", "p50 ms", "p99 ms"), rows)
