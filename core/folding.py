"""How names are compared in search: without case, accents, punctuation, and the letters that have no accent to drop."""

from __future__ import annotations

import re
import unicodedata

# Letters that Unicode does not decompose, as people type them who do not have them on the keyboard.
_LETTERS = str.maketrans(
    {
        "ł": "l",
        "ø": "o",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "æ": "ae",
        "œ": "oe",
        "ħ": "h",
        "\u0131": "i",  # dotless
        "ŋ": "n",
        "ŧ": "t",
        "ĸ": "k",
        "ə": "e",
        "ɓ": "b",
        "ɗ": "d",
        "ɛ": "e",
        "ɔ": "o",
        "&": " and ",
    }
)
# Marks that only choose how the character before them is drawn: as an emoji, as another form, with a ring round it.
_SELECTORS = re.compile("[\u034f\u180b-\u180d\u180f\u20d0-\u20f0\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_APOSTROPHES = re.compile(r"['`\u00b4\u02bc\u2018\u2019\u201b\uff07]")


def fold(text: str) -> str:
    """`text` as words of plain letters and digits, parted by single spaces. Folding twice changes nothing.

    `ß` becomes `ss`, `Łódź` `lodz`, `Schindler's` `schindlers`, `Æon Flux` `aeon flux`, `Fast & Furious`
    `fast and furious`. A text without a letter or digit folds to the empty string.
    """
    # Apostrophes go first: some decompose into a space and an accent, which would part the word.
    folded = unicodedata.normalize("NFKD", _APOSTROPHES.sub("", text)).casefold().translate(_LETTERS)
    folded = unicodedata.normalize("NFKD", folded)
    return " ".join("".join(map(_letter, folded)).split())


def words(text: str) -> tuple[str, ...]:
    """The words of the folded text, in their order."""
    return tuple(fold(text).split())


def _letter(character: str) -> str:
    if unicodedata.combining(character) or _SELECTORS.match(character):
        return ""
    # Vowel signs of Indic scripts are marks that do not combine: they belong to the word.
    return character if unicodedata.category(character)[0] in "LNM" else " "
