"""What is typed behind a command: codes, durations, states. A wrong one is refused before anything is asked."""

from __future__ import annotations

import re

import click

from telecine.core import codes
from telecine.core.config import NAME_PATTERN
from telecine.core.errors import InputError
from telecine.core.leases import VariantState

STATE = click.Choice([state.value for state in VariantState])


class Number(click.IntRange):
    """A whole number within bounds, called so in complaints and help."""

    name = "number"


_SECONDS = re.compile(r"\d{1,15}", re.ASCII)  # more digits than any wait has, and fewer than a float can hold
_DURATION = re.compile(
    r"(?:(?P<d>\d{1,15}) ?d)? ?(?:(?P<h>\d{1,15}) ?h)? ?(?:(?P<min>\d{1,15}) ?m(?:in)?)? ?(?:(?P<s>\d{1,15}) ?s)?",
    re.ASCII,
)
_UNITS_S = {"d": 86_400, "h": 3600, "min": 60, "s": 1}


def code(text: str) -> str:
    """The code of an upload, such as CM_M000321_1080P. Raises click.BadParameter."""
    try:
        return str(codes.parse_variant(text))
    except InputError as error:
        raise click.BadParameter(error.message) from None


def duration(text: str) -> float:
    """Seconds of what is written as 45s, 30min, 2h or 1d12h, or as 90: only a number that stands alone is one of
    seconds. Raises click.BadParameter."""
    if _SECONDS.fullmatch(text.strip()):
        return float(text)
    match = _DURATION.fullmatch(text.strip())
    if match is None or not match.group():
        raise click.BadParameter(f"{text!r} is not a duration such as 45s, 30min, 1h30min or 1d12h")
    return float(sum(int(count) * _UNITS_S[unit] for unit, count in match.groupdict().items() if count))


def worker(text: str) -> str:
    """The name of a worker, as `worker.name` may be. Raises click.BadParameter."""
    if not re.fullmatch(NAME_PATTERN, text):
        raise click.BadParameter(f"{text!r} is not a name such as cm-ember: a-z, 0-9, - and _")
    return text
