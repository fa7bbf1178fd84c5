"""`ARGS=--profile`: where the time goes, function by function. Slower than the real thing, and no measurement of it."""

from __future__ import annotations

import cProfile
import io
import pstats
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop
from tests.bench.api_requests import Scale, generate, plan_of, served_by, set_up
from tests.bench.crew import CHANNELS_PER_ACCOUNT, muster, pairs
from tests.bench.filling import Filling, fill
from tests.bench.http_load import Workload
from tests.bench.report import Options
from tests.bench.servers import serving

from telecine.core.clock import SystemClock
from telecine.store import Store
from telecine.store.sql import STATEMENTS

ROWS = 100_000
PAIRS = 15_000
ACCOUNTS = 16
CALLERS = 256
FUNCTIONS_SHOWN = 35
API_SCALE = Scale(connections=(64,), seconds=5.0, rows=ROWS)


def profile_queue(options: Options) -> str:
    """The store's event loop and its writer's thread, while 256 callers claim and settle at 100k rows."""
    options.say(f"profiling {PAIRS} pairs")
    return uvloop.run(_profile_store(options.folder / "telecine.db"))


def profile_api(options: Options) -> str:
    """The coordinator's event loop while 64 workers claim, beat and settle."""
    options.say("profiling the coordinator")
    stage = uvloop.run(set_up(options.folder, API_SCALE))
    stats = options.folder / "serve.profile"
    with serving("cProfile", "-o", str(stats), "-m", *served_by(stage)) as server:
        load = generate(plan_of(API_SCALE, stage, server, Workload.CYCLE, 64))
    return f"{load.requests_per_s:,.0f} requests/s while profiled\n\n{_top(str(stats))}"


class TimedStatements:
    """A connection that notes how long each statement took, reading its rows included."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self._took_s: dict[str, float] = defaultdict(float)
        self._calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)

    def cursor(self) -> TimedCursor:
        return TimedCursor(self.raw.cursor(), self)

    def execute(self, sql: str, *params: Any) -> Any:
        return self.timed(sql, self.raw.execute, sql, *params)

    def top(self, pairs: int) -> str:
        """Statements by their share, the largest first: microseconds and calls for each pair."""
        names = {one.sql: one.name for one in STATEMENTS.values()}
        lines = [f"{'us a pair':>10} {'calls a pair':>13}  statement"]
        for sql, took_s in sorted(self._took_s.items(), key=lambda entry: -entry[1]):
            calls = self._calls[sql] / pairs
            lines.append(f"{took_s / pairs * 1e6:10.2f} {calls:13.3f}  {names.get(sql, sql.split()[0])}")
        lines.append(f"{sum(self._took_s.values()) / pairs * 1e6:10.2f} {'':13}  all")
        return "\n".join(lines)

    def timed(self, sql: str, call: Callable[..., Any], *args: Any, counts: bool = True) -> Any:
        began_s = time.perf_counter()
        result = call(*args)
        self._took_s[sql] += time.perf_counter() - began_s
        self._calls[sql] += counts
        return result


class TimedCursor:
    """A cursor of such a connection."""

    def __init__(self, raw: Any, statements: TimedStatements) -> None:
        self.raw = raw
        self._statements = statements
        self._sql = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)

    def execute(self, sql: str, *params: Any) -> TimedCursor:
        self._sql = sql
        self._statements.timed(sql, self.raw.execute, sql, *params)
        return self

    def executemany(self, sql: str, *params: Any) -> TimedCursor:
        self._sql = sql
        self._statements.timed(sql, self.raw.executemany, sql, *params)
        return self

    def fetchall(self) -> Any:
        return self._statements.timed(self._sql, self.raw.fetchall, counts=False)


async def _profile_store(path: Path) -> str:
    loop, writer = cProfile.Profile(), cProfile.Profile()
    clock = SystemClock()
    async with Store.open(path, clock=clock) as store:
        crew = await muster(store.queue, accounts=ACCOUNTS, hands=CALLERS)
        fill(path, Filling(ROWS, ROWS // 2, ACCOUNTS, ACCOUNTS * CHANNELS_PER_ACCOUNT), clock.now_ms())
        connection = store.queue._writer._connection
        await pairs(crew, PAIRS // 10)
        await connection.run(lambda _: writer.enable())  # a profile sees the thread that enables it
        loop.enable()
        pace = await pairs(crew, PAIRS)
        loop.disable()
        await connection.run(lambda _: writer.disable())
        statements: Any = TimedStatements(connection._connection)
        connection._connection = statements
        calm_pace = await pairs(crew, PAIRS)
        connection._connection = statements.raw
    return (
        f"{pace.pairs_per_s:,.0f} pairs/s while profiled\n\n"
        f"the writer's thread\n{_top(writer)}\n\nthe loop\n{_top(loop)}\n\n"
        f"{calm_pace.pairs_per_s:,.0f} pairs/s while statements are timed\n\n{statements.top(PAIRS)}"
    )


def _top(profile: Any) -> str:
    text = io.StringIO()
    pstats.Stats(profile, stream=text).strip_dirs().sort_stats("tottime").print_stats(FUNCTIONS_SHOWN)
    return text.getvalue().strip()
