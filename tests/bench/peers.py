"""Other people's queues on SQLite, as they come: their own defaults, their own API, one commit a call.

Their tables are filled by SQL, since a million calls of their API would take hours; what is measured is their API.
Only what they do for one message is asked of them: take one, and say that it is done.
"""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import sqlite3
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import msgspec
from pysqlite3 import dbapi2
from tests.bench.filling import flush
from tests.bench.pace import Pace, Stopwatch
from tests.bench.report import MeasurementError

PAYLOAD = '{"code": "CM_S000001_S01E01_1080P", "url": "https://host-1.example/1.mkv"}'
INSTALL_HINT = "`make bench` installs the peers; or pip install -r requirements-bench.lock"


class PeerMissingError(MeasurementError):
    """A peer is not installed."""


class Consumer(Protocol):
    """One connection to a peer's queue."""

    def pair(self) -> None:
        """Take a message and acknowledge it. Raises IndexError where there is none."""
        ...

    def connection(self) -> Any:
        """The peer's own connection."""
        ...

    def close(self) -> None: ...


class Peer(msgspec.Struct, frozen=True):
    """`fill` is given a folder, and how many rows to put there, of which how many are done: as far as the peer keeps
    what is done. `open` is given the folder and how many will consume at once; it gives one consumer for each."""

    name: str
    module: str | None
    acknowledges: bool
    fill: Callable[[Path, int, int], None]
    open: Callable[[Path, int], list[Consumer]]
    remark: str

    @property
    def is_lone(self) -> bool:
        """Only one caller makes sense."""
        return self.module is None

    @property
    def is_installed(self) -> bool:
        return self.module is None or importlib.util.find_spec(self.module) is not None

    def require(self) -> None:
        """Raises PeerMissingError that says how to install it."""
        if not self.is_installed:
            raise PeerMissingError(f"{self.name} is not installed; {INSTALL_HINT}")


def consume(peer: Peer, folder: Path, *, callers: int, seconds: float, pairs_max: int) -> Pace:
    """Let `callers` threads consume for `seconds`, or until `pairs_max` are done."""
    consumers = peer.open(folder, callers)
    try:
        watch = Stopwatch()

        def work(consumer: Consumer) -> int:
            done = 0
            while done < -(-pairs_max // callers) and watch.seconds < seconds:
                consumer.pair()
                done += 1
            return done

        if callers == 1:  # in this thread: some connections may only be used where they were made
            return watch.pace(work(consumers[0]))
        with ThreadPoolExecutor(callers) as pool:
            return watch.pace(sum(pool.map(work, consumers)))
    finally:
        for consumer in consumers:
            consumer.close()


def settings_of(peer: Peer, folder: Path) -> dict[str, str]:
    """What durability hangs on, as the peer has set it."""
    (consumer,) = peer.open(folder, 1)
    try:
        raw = consumer.connection()
        journal_mode, synchronous = (
            raw.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
        )
        return {"journal_mode": journal_mode, "synchronous": _SYNCHRONOUS[synchronous]}
    finally:
        consumer.close()


_SYNCHRONOUS = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}


# ---- litequeue -----------------------------------------------------------------------------------


class _LiteQueue:
    def __init__(self, path: Path) -> None:
        self._queue = importlib.import_module("litequeue").LiteQueue(path, timeout=30)

    def pair(self) -> None:
        message = self._queue.pop()
        if message is None:
            raise IndexError("litequeue is empty")
        if hasattr(message, "claim_id"):  # from 0.12 on, which needs Python 3.12
            self._queue.done(message.message_id, claim_id=message.claim_id)
        else:
            self._queue.done(message.message_id)

    def connection(self) -> Any:
        return self._queue.conn

    def close(self) -> None:
        self._queue.close()


def _open_litequeue(folder: Path, callers: int) -> list[Consumer]:
    return [_LiteQueue(folder / "litequeue.db") for _ in range(callers)]


def _fill_litequeue(folder: Path, rows: int, done: int) -> None:
    _LiteQueue(folder / "litequeue.db").close()
    ready, finished = 0, 2
    messages = (
        (PAYLOAD, f"{n:08x}-0000-7000-8000-{n:012x}", finished if n < done else ready, n, n if n < done else None)
        for n in range(rows)
    )
    _insert(
        folder / "litequeue.db",
        "INSERT INTO Queue (data, message_id, status, in_time, done_time) VALUES (?, ?, ?, ?, ?)",
        messages,
    )


# ---- huey ----------------------------------------------------------------------------------------


class _Huey:
    """A storage is safe among threads, and serves them one at a time."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage

    def pair(self) -> None:
        if self._storage.dequeue() is None:
            raise IndexError("huey's queue is empty")

    def connection(self) -> Any:
        return self._storage.conn

    def close(self) -> None:
        self._storage.close()


def _open_huey(folder: Path, callers: int) -> list[Consumer]:
    storage = importlib.import_module("huey.storage").SqliteStorage("queue", str(folder / "huey.db"))
    return [_Huey(storage)] * callers


def _fill_huey(folder: Path, rows: int, done: int) -> None:
    for consumer in _open_huey(folder, 1):
        consumer.close()
    tasks = (("queue", PAYLOAD.encode()) for _ in range(rows - done))  # it keeps nothing that is done
    _insert(folder / "huey.db", "INSERT INTO task (queue, data) VALUES (?, ?)", tasks)


# ---- persist-queue -------------------------------------------------------------------------------


class _AckQueue:
    """A queue is safe among threads if it was told so, and serves them one at a time."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def pair(self) -> None:
        try:
            item = self._queue.get(block=False, raw=True)
        except importlib.import_module("persistqueue").Empty as error:
            raise IndexError("persist-queue is empty") from error
        self._queue.ack(id=item["pqid"])

    def connection(self) -> Any:
        return self._queue._putter

    def close(self) -> None:
        self._queue.close()


def _open_persistqueue(folder: Path, callers: int) -> list[Consumer]:
    ack_queue = importlib.import_module("persistqueue").SQLiteAckQueue
    queue = ack_queue(str(folder / "persistqueue"), multithreading=callers > 1)
    return [_AckQueue(queue)] * callers


def _fill_persistqueue(folder: Path, rows: int, done: int) -> None:
    for consumer in _open_persistqueue(folder, 1):
        consumer.close()
    item = pickle.dumps(PAYLOAD, protocol=4)
    waiting, acknowledged = 0, 5
    items = ((item, time.time(), acknowledged if n < done else waiting) for n in range(rows))
    _insert(
        folder / "persistqueue" / "data.db",
        "INSERT INTO ack_queue_default (data, timestamp, status) VALUES (?, ?, ?)",
        items,
    )


# ---- raw commits ---------------------------------------------------------------------------------


class _RawCommits:
    """No queue: two updates by primary key, each committed. What durable commits cost on this disk, by our library."""

    def __init__(self, path: Path) -> None:
        self._raw = dbapi2.connect(str(path), isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            self._raw.execute(f"PRAGMA {pragma}").fetchall()
        (self._next,) = self._raw.execute("SELECT min(id) FROM job WHERE state = 'ready'").fetchone()

    def pair(self) -> None:
        for state in ("leased", "done"):
            self._raw.execute("BEGIN IMMEDIATE")
            changed = self._raw.execute("UPDATE job SET state = ? WHERE id = ?", (state, self._next)).rowcount
            self._raw.execute("COMMIT")
            if not changed:
                raise IndexError("no job is left")
        self._next += 1

    def connection(self) -> Any:
        return self._raw

    def close(self) -> None:
        self._raw.close()


def _open_raw(folder: Path, callers: int) -> list[Consumer]:
    if callers != 1:
        raise ValueError("raw commits are measured by one caller")
    return [_RawCommits(folder / "raw.db")]


def _fill_raw(folder: Path, rows: int, done: int) -> None:
    with closing(dbapi2.connect(str(folder / "raw.db"))) as raw:
        jobs = (("done" if n < done else "ready", PAYLOAD) for n in range(rows))
        raw.execute("CREATE TABLE job (id INTEGER PRIMARY KEY, state TEXT NOT NULL, data TEXT NOT NULL)")
        raw.executemany("INSERT INTO job (state, data) VALUES (?, ?)", jobs)
        raw.commit()  # durable as it is


def _insert(path: Path, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA synchronous=OFF")
        raw.executemany(statement, rows)
        raw.commit()
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    flush(path)


LITEQUEUE = Peer(
    "litequeue", "litequeue", True, _fill_litequeue, _open_litequeue, "pop, done; a power cut may undo what was done"
)
HUEY = Peer(
    "huey SqliteStorage", "huey", False, _fill_huey, _open_huey, "dequeue deletes: a crash loses what was taken"
)
PERSIST_QUEUE = Peer(
    "persist-queue SQLiteAckQueue", "persistqueue", True, _fill_persistqueue, _open_persistqueue, "get, ack"
)
RAW_COMMITS = Peer("raw SQLite commits", None, False, _fill_raw, _open_raw, "two UPDATEs, a COMMIT each; no queue")
PEERS = (LITEQUEUE, HUEY, PERSIST_QUEUE, RAW_COMMITS)
