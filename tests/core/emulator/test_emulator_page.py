"""docs/emulator.md says what the emulator does: its examples are run, its tables compared with the code."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import aiohttp
import click
import msgspec
import pytest
from telethon.tl import functions
from telethon.tl.alltlobjects import tlobjects

from telecine.cmd.emulator import emulator as command
from telecine.core.emulator.botapi import chats, copying, editing, sending, updates
from telecine.core.emulator.botapi.registry import Methods
from telecine.core.emulator.control.app import Control
from telecine.core.emulator.control.messages import NewAccount, NewBot
from telecine.core.emulator.faults import FloodName, Plan, PlannedFault
from telecine.core.emulator.http_half import CONTROL_PREFIX
from telecine.core.emulator.mtproto.methods.table import all_methods
from telecine.core.emulator.mtproto.wire import method_name
from telecine.core.emulator.server import Emulator, EmulatorSettings
from telecine.core.emulator.sources.faults import SourceFault, SourceFaultKind
from telecine.core.emulator.telegram.entities import Channel, Content
from telecine.core.emulator.telegram.keys import ServerKey

PAGE = (Path(__file__).parents[3] / "docs" / "emulator.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([^`]+)` \| (.*?) \|(?: (.*?) \|)?$", re.MULTILINE)
TOKEN = "7000001:AAdemo-token-of-some-length-000000"


@pytest.fixture
async def emulator(tmp_path: Path, server_key: ServerKey) -> AsyncIterator[Emulator]:
    """What the command at the top of the page starts, after some use."""
    settings = EmulatorSettings(
        data_dir=tmp_path,
        accounts=(NewAccount(phone="+15550101", name="ember", premium=True),),
        bots=(NewBot(token=TOKEN, username="films_bot"),),
    )
    async with Emulator(settings, key=server_key) as emulator:
        yield emulator


def test_every_option_is_listed_with_its_default() -> None:
    listed = {name: default.strip("`") for name, default, _ in ROW.findall(section("Options"))}
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert listed == {option.opts[0]: default_of(option) for option in options}


@pytest.mark.parametrize("kind", get_args(PlannedFault), ids=lambda kind: str(kind.__struct_config__.tag))
def test_every_planned_fault_is_listed_with_its_fields(kind: type[Plan]) -> None:
    rows = {name: fields for name, fields, _ in ROW.findall(section("Planned for calls"))}
    own = set(kind.__struct_fields__) - set(Plan.__struct_fields__)
    assert set(re.findall(r"`(\w+)`", rows[str(kind.__struct_config__.tag)])) == own
    assert len(rows) == len(get_args(PlannedFault))


def test_what_all_plans_take_and_the_names_of_waits_are_told() -> None:
    told = section("Planned for calls")
    assert all(f"`{name}`" in told for name in (*Plan.__struct_fields__, *FloodName))


def test_every_fault_of_a_source_is_listed_with_its_fields_and_their_defaults() -> None:
    rows = {name: re.findall(r"`(\w+)` \(([^)]+)\)", fields) for name, fields, _ in ROW.findall(section("Of source"))}
    assert set(rows) == set(SourceFaultKind)
    listed = {name: default.strip("`") for fields in rows.values() for name, default in fields}
    defaults = {field.name: str(field.default) for field in msgspec.structs.fields(SourceFault)}
    known = {name: default for name, default in defaults.items() if name not in {"kind", "count"}}
    assert listed == known | {"location": "a private address"}


def test_every_method_is_listed_and_no_other() -> None:
    mtproto, _, bot_api = section("What is emulated").partition("**Bot API:**")
    known = {method_name(tlobjects[number]) for number in all_methods().constructors()}
    known.add(method_name(functions.upload.SaveBigFilePartRequest))
    assert set(re.findall(r"`(\w+\.\w+)`", mtproto)) == known
    methods = Methods()
    for subject in (updates, sending, copying, editing, chats):
        methods.include(subject.METHODS)
    assert set(re.findall(r"`(\w+)`", bot_api.partition("**Not emulated:**")[0])) == set(methods.names.values())


async def test_every_control_call_has_an_example_that_works(emulator: Emulator) -> None:
    document_id = await some_use(emulator)
    examples = curl_calls(section("Control") + section("Faults"))
    called = set()
    async with aiohttp.ClientSession() as http:
        for method, url, body in examples:
            path = url.replace("localhost:4440", emulator.http_url).replace("DOCUMENT_ID", str(document_id))
            async with http.request(method, path, data=body) as answer:
                assert answer.ok, (method, url, await answer.text())
            called.add((method, url.removeprefix(f"localhost:4440{CONTROL_PREFIX}").partition("?")[0]))
    for method, route in control_routes(emulator):
        pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", route))
        assert any(pattern.fullmatch(path) for used, path in called if used == method), f"{method} {route}"


async def test_python_examples_run_as_they_stand(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    key = Path(str(emulator.settings.data_dir)) / "public_key.pem"
    key.write_text(emulator.public_key_pem)
    sources = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(sources) == 3
    for source in sources:
        here = source.replace("emulator/public_key.pem", str(key)).replace("http://127.0.0.1:4440", emulator.http_url)
        await asyncio.to_thread(exec, here.replace("4430", str(emulator.mtproto_address[1])), {})
    said = [message.content.text for message in dialog(emulator)]
    assert said == ["Welcome!", "/start"]
    assert "Flood(account='ember'" in capsys.readouterr().out


async def some_use(emulator: Emulator) -> int:
    """A login code, and a channel with a file; the file's id."""
    emulator.world.directory.send_code("+15550101")
    channel: Channel = emulator.world.channels.create(emulator.world.directory.user_named("ember").id, "Storage")
    document = emulator.world.documents.store(b"film", "film.mkv", "video/x-matroska")
    emulator.world.messages.post(channel, channel.creator_id, Content("film", document_id=document.id))
    return document.id


def dialog(emulator: Emulator) -> list[Any]:
    ember = emulator.world.directory.user_named("ember")
    return emulator.world.messages.in_dialog(ember.id, int(TOKEN.partition(":")[0]))


def section(title: str) -> str:
    """The page from a heading that begins so to the next one of its depth."""
    head = re.search(rf"^(#+) {title}.*$", PAGE, re.MULTILINE)
    assert head, title
    rest = PAGE[head.end() :]
    end = re.search(rf"^#{{1,{len(head[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def curl_calls(text: str) -> list[tuple[str, str, str | None]]:
    """Method, URL and body of each `curl` in the shell examples."""
    calls = []
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in re.split(r"^curl ", block, flags=re.MULTILINE)[1:]:
            words = shlex.split(line)
            options = {word: words[index + 1] for index, word in enumerate(words) if word.startswith("-")}
            (url,) = [word for word in words if word.startswith("localhost")]
            calls.append((options.get("-X", "GET"), url, options.get("-d")))
    return calls


def control_routes(emulator: Emulator) -> set[tuple[str, str]]:
    """Method and path, below the prefix, of every call that the control API knows."""
    world, faults, cm, sources = emulator.world, emulator.faults, emulator.cm, emulator.sources
    application = Control(world, faults, emulator.mtproto, cm, sources, lambda: emulator.addresses).application()
    routes = application.router.routes()
    return {(route.method, route.resource.canonical) for route in routes if route.resource and route.method != "HEAD"}


def default_of(option: click.Option) -> str:
    if option.is_flag:
        return "off"
    default = option.to_info_dict()["default"]
    return "none" if option.multiple or default is None else str(default)
