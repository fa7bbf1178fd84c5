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
# Scripts that are written without spaces: Thai, Lao, Burmese, Khmer, kana, Han. Korean has them.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    "\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]"
)
_APOSTROPHES = re.compile(r"['`\u00b4\u02bc\u2018\u2019\u201b\uff07]")


def fold(text: str) -> str:
    """`text` as words of plain letters and digits, parted by single spaces. Folding twice changes nothing.

    `ß` becomes `ss`, `Łódź` `lodz`, `Schindler's` `schindlers`, `Æon Flux` `aeon flux`, `Fast & Furious`
    `fast and furious`. In scripts that are written without spaces each sign is a word: `千と千尋` becomes
    `千 と 千 尋`. A text without a letter or digit folds to the empty string.
    """
    return " ".join(phrases(text))


def phrases(text: str) -> tuple[str, ...]:
    """What stands between the spaces of `text`, each folded: a word, or signs that follow each other."""
    # Apostrophes go first: some decompose into a space and an accent, which would part the word.
    folded = unicodedata.normalize("NFKD", _APOSTROPHES.sub("", text)).casefold().translate(_LETTERS)
    folded = unicodedata.normalize("NFKD", folded)
    return tuple(map(_parted, "".join(map(_letter, folded)).split()))


def _parted(word: str) -> str:
    return " ".join(_UNSPACED.sub(r" \g<0> ", word).split())


def _letter(character: str) -> str:
    if unicodedata.combining(character) or _SELECTORS.match(character):
        return ""
    # Vowel signs of Indic scripts are marks that do not combine: they belong to the word.
    return character if unicodedata.category(character)[0] in "LNM" else " "
