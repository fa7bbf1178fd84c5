"""The page that explains `[cm]` is kept true: its example is read by the same code as a user's file."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from tests.core.intake.conftest import EMAIL, PASSWORD, CmServer, MemoryIntake

from telecine.core.catalogue import ImportState
from telecine.core.config import CmPaging, CmSettings
from telecine.core.config_file import decode
from telecine.core.intake.importer import Importer

PAGE = (Path(__file__).parents[3] / "docs" / "cm.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```toml\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def settings_of(document: dict[str, Any], folder: Path) -> CmSettings:
    environ = {"CM_USER": EMAIL, "CM_PASSWORD": PASSWORD}
    cm = decode(document, path=folder / "telecine.toml", environ=environ).cm
    assert cm is not None
    return cm


async def test_example_imports_from_cm(cm: CmServer, intake: MemoryIntake, tmp_path: Path) -> None:
    document = tomllib.loads(EXAMPLES[0])
    document["cm"]["base_url"] = cm.url
    run = await Importer(settings_of(document, tmp_path), intake, cm.clock).run()
    assert (run.state, run.rejected, run.counts.links) == (ImportState.DONE, 0, 8)


async def test_example_with_resources_of_their_own_imports_the_same(
    cm: CmServer, intake: MemoryIntake, tmp_path: Path
) -> None:
    document, apart = (tomllib.loads(example)["cm"] for example in EXAMPLES)
    document["base_url"] = cm.url
    document["resources"] |= apart["resources"]
    document["resources"]["titles"]["query"] = {"fields": "id,name,kind,year,runtime_min", "sort": "id"}
    document["map"]["link"] = apart["map"]["link"]
    document["map"]["title"] = {"id": "id", "name": "name", "kind": "kind"}
    document["map"]["episode"] |= {"title": "title_id", "links": "links[]?"}
    run = await Importer(settings_of({"cm": document}, tmp_path), intake, cm.clock).run()
    assert (run.state, run.rejected, run.counts.links) == (ImportState.DONE, 0, 8)


def test_every_setting_is_named() -> None:
    named = set(re.findall(r"[a-z_]+", PAGE))
    for key in (*CmSettings.__struct_fields__, *CmPaging.__struct_fields__):
        assert key in named, key
