"""Where the demonstration takes place: its folder, its ports, its settings and its cast."""

from __future__ import annotations

import secrets
import shutil
import socket
from pathlib import Path

import msgspec

from telecine.core.emulator.cm.auth import CmCredentials

EMULATOR_HOST = "127.0.0.1"
BOT_USERNAME = "telecine_demo_bot"
LEASE_TTL_S = 6.0  # short, so that what a killed worker held is soon up again
STALL_WINDOW_S = 2.0
FLOOD_WAIT_IN_PLACE_S = 2.0


class Actor(msgspec.Struct, frozen=True):
    """A Telegram account of the demonstration."""

    name: str
    phone: str
    password: str | None = None


WORKERS = (
    Actor("cm-ember", "+15550101"),
    Actor("cm-rora", "+15550102", "second-password"),
    Actor("cm-lukas", "+15550103"),
)
VIEWER = Actor("viewer", "+15550199")


class Stage(msgspec.Struct, frozen=True):
    """The demonstration's folder. `media` is kept from run to run, everything in `run` is new."""

    folder: Path
    mtproto_port: int
    http_port: int
    api_port: int
    bot_token: str

    @property
    def media(self) -> Path:
        return self.folder / "media"

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def pids(self) -> Path:
        return self.folder / "pids"

    @property
    def received(self) -> Path:
        return self.run / "received"

    @property
    def main_settings(self) -> Path:
        return self.run / "telecine.toml"

    def worker_settings(self, worker: Actor) -> Path:
        return self.run / f"{worker.name}.toml"

    @property
    def http_url(self) -> str:
        return f"http://{EMULATOR_HOST}:{self.http_port}"

    @property
    def control_url(self) -> str:
        return f"{self.http_url}/_emulator"

    @property
    def public_key(self) -> Path:
        return self.run / "emulator" / "public_key.pem"


def build(folder: Path) -> Stage:
    """Clear what an earlier run left, and find free ports."""
    mtproto_port, http_port, api_port = _free_ports(3)
    stage = Stage(folder, mtproto_port, http_port, api_port, bot_token=f"7000001:{secrets.token_hex(17)}A")
    shutil.rmtree(stage.run, ignore_errors=True)
    stage.run.mkdir(parents=True, mode=0o700)
    stage.received.mkdir()
    return stage


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server((EMULATOR_HOST, 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def write_main_settings(stage: Stage, *, operator_token: str | None = None) -> None:
    """The main machine's telecine.toml. The operator's token comes later: issuing it takes these settings."""
    token = f'token = "{operator_token}"' if operator_token else ""
    _write(
        stage.main_settings,
        f"""{_telegram(stage)}
bot_token = "{stage.bot_token}"
bot_api_url = "{stage.http_url}"

[coordinator]
secret = "{secrets.token_urlsafe(32) if not operator_token else _secret(stage)}"
port = {stage.api_port}
lease_ttl_s = {LEASE_TTL_S}
sweep_interval_s = 0.5
channels_per_account = 2
retry_backoff_s = [3, 5, 5]
host_backoff_s = [0.5, 1]
account_backoff_s = [2, 4]

[operator]
coordinator_url = "http://127.0.0.1:{stage.api_port}"
{token}
{_CM.replace("@BASE@", f"{stage.http_url}/cm")}""",
    )


def write_worker_settings(stage: Stage, worker: Actor, token: str) -> None:
    """A worker's telecine.toml."""
    _write(
        stage.worker_settings(worker),
        f"""{_telegram(stage)}

[worker]
name = "{worker.name}"
coordinator_url = "http://127.0.0.1:{stage.api_port}"
token = "{token}"
session = "{worker.name}.session"
phone = "{worker.phone}"
flood_wait_in_place_s = {FLOOD_WAIT_IN_PLACE_S}
stall_window_s = {STALL_WINDOW_S}
shutdown_grace_s = 5
allow_private_sources = true  # the demonstration's hosts are on this machine
""",
    )


def _telegram(stage: Stage) -> str:
    return f"""[telegram]
api_id = 1
api_hash = "demonstration"
server = "{EMULATOR_HOST}:{stage.mtproto_port}"
public_key = "{stage.public_key}\""""


def _secret(stage: Stage) -> str:
    """The coordinator's secret, as it was written first."""
    line = next(line for line in stage.main_settings.read_text().splitlines() if line.startswith("secret = "))
    return line.split('"')[1]


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


_CREDENTIALS = CmCredentials()
_CM = f"""
[cm]
base_url = "@BASE@"
[cm.auth]
kind = "jwt_refresh"
skew_s = 2
token_file = "cm-token.json"
[cm.auth.login]
path = "/auth/login"
body = {{ email = "{_CREDENTIALS.email}", password = "{_CREDENTIALS.password}", mode = "json" }}
[cm.auth.refresh]
path = "/auth/refresh"
body = {{ refresh_token = "{{refresh_token}}", mode = "json" }}
[cm.auth.response]
access_token = "data.access_token"
refresh_token = "data.refresh_token"
expires_in = "data.expires"
expires_unit = "ms"
[cm.auth.expired]
status = [401]
code_path = "errors.0.extensions.code"
codes = ["TOKEN_EXPIRED"]
[cm.paging]
kind = "keyset"
size = 5
[cm.resources.titles]
path = "/items/titles"
[cm.resources.titles.query]
fields = "*,links.*,episodes.*,episodes.links.*"
sort = "id"
"deep[episodes][_limit]" = "-1"
"deep[links][_limit]" = "-1"
"deep[episodes][links][_limit]" = "-1"
[cm.map.title]
id = "id"
name = "name"
year = "year|int?"
kind = {{ path = "kind", values = {{ movie = "movie", series = "series" }} }}
episodes = "episodes[]"
links = "links[]"
[cm.map.episode]
id = "id"
season = "season|int"
episode = "episode|int"
name = "name?"
links = "links[]"
[cm.map.link]
id = "id"
url = "url"
quality = "quality?"
"""
