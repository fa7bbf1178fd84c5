"""What a line of the log carries beside its words.

`logger.info("planned", extra=fields(code=code, plan="remux"))`: whoever formats the line decides what becomes of them.
"""

from __future__ import annotations

import logging

Field = str | int | float | bool | None

_ATTRIBUTE = "fields"


def fields(**values: Field) -> dict[str, dict[str, Field]]:
    """The `extra` of a logging call. Those that are None are left out of the line. Never a secret, nor a URL."""
    return {_ATTRIBUTE: {name: value for name, value in values.items() if value is not None}}


def fields_of(record: logging.LogRecord) -> dict[str, Field]:
    """What `fields` gave a record; empty for one that has none."""
    found: dict[str, Field] = getattr(record, _ATTRIBUTE, {})
    return found
