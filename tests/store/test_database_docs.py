from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.store.conftest import Scene

PAGE = Path(__file__).parents[2] / "docs" / "database.md"


async def test_the_page_names_every_table_and_no_other(scene: Scene) -> None:
    named = set(re.findall(r"^\| `(\w+)` \| ", PAGE.read_text().split("## What the schema")[0], re.MULTILINE))
    rows = scene.sql("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    tables = {str(name) for (name,) in rows}
    shadows = {name for name in tables if name.startswith("title_words_")}
    assert named == tables - shadows
