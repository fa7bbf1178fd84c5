"""`telecine emulator`: the embedded Telegram, CM and source host as a program of their own."""

from __future__ import annotations

from pathlib import Path

import click

from telecine.cmd import arguments
from telecine.cmd.running import log_as_daemon, run, stop_requested
from telecine.core.emulator.control.messages import NewAccount, NewBot
from telecine.core.emulator.server import Emulator, EmulatorSettings
from telecine.core.errors import ConfigError, InputError

PUBLIC_KEY_FILE = "public_key.pem"


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "--mtproto-port", type=arguments.Number(0, 65535), default=4430, show_default=True, help="For user clients."
)
@click.option(
    "--http-port", type=arguments.Number(0, 65535), default=4440, show_default=True, help="For all that is HTTP."
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("emulator"),
    show_default=True,
    help="Where the state is kept: it survives a restart.",
)
@click.option("--in-memory", is_flag=True, help="Keep no state; only the key for clients is written to --data.")
@click.option(
    "--media", type=click.Path(path_type=Path, file_okay=False, exists=True), help="A folder of source files."
)
@click.option(
    "--cm-content",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A JSON file: what CM holds at first.",
)
@click.option("--account", "accounts", multiple=True, metavar="NAME:PHONE[:premium]", help="An account; repeatable.")
@click.option("--bot", "bots", multiple=True, metavar="USERNAME:ID:SECRET", help="A bot; repeatable.")
def emulator(  # noqa: PLR0913, PLR0917 - one argument an option
    host: str,
    mtproto_port: int,
    http_port: int,
    data: Path,
    in_memory: bool,
    media: Path | None,
    cm_content: Path | None,
    accounts: tuple[str, ...],
    bots: tuple[str, ...],
) -> None:
    """Run an MTProto server for Telethon, a Bot API for aiogram, a CM with JWT and a source host, on one state.

    Unmodified clients take it for the real thing: point them at its address and have them trust its key. It enforces
    Telegram's limits, and its control API (/_emulator) injects faults. Nothing here is secret; do not expose it.

    \b
    telecine emulator --account ember:+15550101:premium --bot films_bot:7000001:AAdemo-token-of-some-length-000000
    """
    settings = EmulatorSettings(
        host=host,
        mtproto_port=mtproto_port,
        http_port=http_port,
        data_dir=None if in_memory else data,
        media_dir=media,
        cm_content_path=cm_content,
        accounts=tuple(map(_account, accounts)),
        bots=tuple(map(_bot, bots)),
    )
    log_as_daemon()
    run(_run(settings, data))


async def _run(settings: EmulatorSettings, data: Path) -> None:
    stop = stop_requested()
    async with Emulator(settings) as running:
        public_key = _write_public_key(data, running.public_key_pem)
        click.echo(_how_to_point_clients(running, public_key))
        await stop.wait()


def _write_public_key(data: Path, pem: str) -> Path:
    path = (data / PUBLIC_KEY_FILE).resolve()
    try:
        data.mkdir(parents=True, exist_ok=True)
        path.write_text(pem)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}", hint="--data says where it goes") from error
    return path


def _how_to_point_clients(running: Emulator, public_key: Path) -> str:
    server, port = running.mtproto_address
    credentials = running.settings.cm_credentials
    return f"""\
The emulator is up. Ctrl-C ends it.

Telecine, in telecine.toml:
    [telegram]
    server = "{server}:{port}"
    public_key = "{public_key}"
    bot_api_url = "{running.bot_api_url}"
    [cm]
    base_url = "{running.cm_url}"          # {credentials.email} / {credentials.password}
    [worker]
    allow_private_sources = true          # its source files are on this machine

Telethon:
    from telethon.crypto import rsa; from telethon.sessions import MemorySession
    rsa.add_key(open("{public_key}").read(), old=False)
    session = MemorySession(); session.set_dc(2, "{server}", {port})

aiogram:
    Bot(TOKEN, session=AiohttpSession(api=TelegramAPIServer.from_base("{running.bot_api_url}")))

source files     {running.media_url}/
control          {running.control_url}/state
                 login codes at {running.control_url}/accounts/PHONE/code
"""


def _account(text: str) -> NewAccount:
    name, _, rest = text.partition(":")
    phone, _, premium = rest.partition(":")
    if not name or not phone or premium not in ("", "premium"):
        raise InputError(f"--account {text}: expected NAME:PHONE or NAME:PHONE:premium", field="account")
    return NewAccount(phone=phone, name=name, premium=bool(premium))


def _bot(text: str) -> NewBot:
    username, _, token = text.partition(":")
    number, _, secret = token.partition(":")
    if not username or not number.isdecimal() or not secret:
        raise InputError(f"--bot {username}: expected USERNAME:ID:SECRET", field="bot")
    return NewBot(token=token, username=username)
