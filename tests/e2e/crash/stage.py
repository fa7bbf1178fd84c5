"""Where the crash test takes place: a folder with settings, a catalogue, and a part for each uploader."""

from __future__ import annotations

import random
import socket
from pathlib import Path

import msgspec
from tests.e2e.crash.uploader import Part

from telecine.core.catalogue import ImportedLink, ImportedTitle, PlannedVariant, TitleKind
from telecine.core.clock import SystemClock
from telecine.core.config import OperatorSettings
from telecine.core.coordinator.tokens import Scope, Tokens
from telecine.core.quality import Quality
from telecine.store.database import Store

LEASE_TTL_S = 1.5
HOSTS = 40
LINKS_MAX = 4
PORTS = range(20_000, 32_000)  # below those that the kernel gives to clients: nobody takes it while it is free
SECRET = "a secret of the tests, " + 32 * "x"
TOKEN_TTL_S = 86_400


class Stage(msgspec.Struct, frozen=True):
    folder: Path
    settings: Path
    operator: OperatorSettings
    parts: tuple[Part, ...]

    @property
    def database(self) -> Path:
        return self.folder / "telecine.db"


async def build(folder: Path, *, seed: int, titles: int, workers: int) -> Stage:
    """Write the settings, fill the catalogue as an import would, and issue the tokens."""
    rng = random.Random(f"{seed}/stage")
    url = f"http://127.0.0.1:{_free_port(rng)}"
    settings = folder / "telecine.toml"
    settings.write_text(_settings(url))
    async with Store.open(folder / "telecine.db", clock=SystemClock()) as store:
        run = await store.intake.begin_import()
        await store.intake.import_titles(run.id, [_title(rng, number) for number in range(titles)])
        await store.intake.finish_import(run.id, rejected=0)
        tokens = Tokens(SECRET, SystemClock(), store.tokens)
        operator, _ = await tokens.issue("ada", Scope.OPERATOR, ttl_s=TOKEN_TTL_S, jti="ada")
        parts: list[Part] = []
        for number in range(workers):
            name = f"worker-{number}"
            token, _ = await tokens.issue(name, Scope.WORKER, ttl_s=TOKEN_TTL_S, jti=name)
            parts.append(Part(name, url, token, str(folder), seed, 100 + number, premium=number % 2 == 0))
    return Stage(folder, settings, OperatorSettings(url, operator), tuple(parts))


def _free_port(rng: random.Random) -> int:
    while True:
        port = rng.choice(PORTS)
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)):
                return port


def _settings(url: str) -> str:
    return f"""
[bot]
enabled = false

[coordinator]
secret = "{SECRET}"
port = {url.rpartition(":")[2]}
lease_ttl_s = {LEASE_TTL_S}
sweep_interval_s = 0.2
channels_per_account = 2
retry_backoff_s = [0.05, 0.1, 0.3]
host_backoff_s = [0.05, 0.1, 0.2]
account_backoff_s = [0.05, 0.1, 0.2]
"""


def _title(rng: random.Random, number: int) -> ImportedTitle:
    """A film in one or two qualities, with several links each."""
    qualities = rng.sample((Quality.SD, Quality.HD, Quality.FULL_HD), rng.choice((1, 1, 2)))
    planned = {quality: rng.randint(1, LINKS_MAX) for quality in qualities}
    links = tuple(
        ImportedLink(f"{number}-{quality.value}-{n}", _url(rng, n), quality, "field")
        for quality, count in planned.items()
        for n in range(count)
    )
    variants = tuple(
        PlannedVariant(quality, tuple(link.cm_id for link in links if link.quality is quality)) for quality in planned
    )
    return ImportedTitle(f"film-{number}", TitleKind.MOVIE, f"Film {number}", 1999, 5400, links, variants)


def _url(rng: random.Random, number: int) -> str:
    return f"https://host-{rng.randrange(HOSTS)}.example/{number}.mkv"
