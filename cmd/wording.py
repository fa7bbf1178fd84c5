"""Counts, sizes, durations and errors as one says them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from telecine.core.errors import TelecineError
from telecine.core.leases import VariantState

_TURNING = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})  # explicit formatting of UAX 9
_UNITS_S = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))


def printable(text: str) -> str:
    """Text from elsewhere in one line, without what would steer a terminal, or turn round what stands behind it."""
    line = " ".join(text.splitlines())
    return "".join("\N{REPLACEMENT CHARACTER}" if _steers(sign) else sign for sign in line)


def _steers(sign: str) -> bool:
    return unicodedata.category(sign) == "Cc" or unicodedata.bidirectional(sign) in _TURNING


def complaint(error: TelecineError) -> str:
    """What an error says, with the field at fault in front where it does not name it itself."""
    is_named = error.field is None or re.search(rf"\b{re.escape(error.field)}\b", error.message)
    return error.message if is_named else f"{error.field}: {error.message}"


def amount(count: int, thing: str, things: str | None = None) -> str:
    """`1 upload`, `2 uploads`, `2 deliveries`."""
    return f"{count} {thing}" if count == 1 else f"{count} {things or f'{thing}s'}"


def by_state(counts: Mapping[str, int]) -> str:
    """`2 ready, 1 dead`, in the order in which an upload lives; nothing where there are none."""
    return ", ".join(f"{counts[state]} {state}" for state in map(str, VariantState) if counts.get(state))


def duration(seconds: float) -> str:
    """As one says it, in two units at most: `0.4 s`, `12 s`, `2 h 5 min`, `3 d`."""
    if seconds < 1:
        return f"{max(seconds, 0):.1f} s" if seconds > 0.05 else "0 s"
    left, said = round(seconds), []
    for unit, length_s in _UNITS_S:
        count, left = divmod(left, length_s)
        if count:
            said.append(f"{count} {unit}")
        elif said:
            break  # `1 d 5 s` says more than is known
    return " ".join(said[:2])


def size(count: int) -> str:
    """Bytes as one says them: `512 bytes`, `1.4 GB`."""
    if count < 1000:
        return amount(count, "byte")
    scaled = count / 1000
    for unit in ("kB", "MB", "GB"):
        if scaled < 999.95:
            return f"{scaled:.1f} {unit}"
        scaled /= 1000
    return f"{scaled:.1f} TB"
