from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telecine.core.folding import fold, phrases


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("The Matrix", "the matrix"),
        ("  Many   spaces\t", "many spaces"),
        ("Amélie", "amelie"),
        ("Łódź", "lodz"),
        ("Ærø & Øresund", "aero and oresund"),
        ("Straße", "strasse"),
        ("Đorđe Þór Œuvre", "dorde thor oeuvre"),
        ("Schindler's List", "schindlers list"),
        ("Schindler’s List", "schindlers list"),
        ("Spider-Man: No Way Home", "spider man no way home"),
        ("WALL·E", "wall e"),
        ("Se7en", "se7en"),
        ("½ Nelson", "1 2 nelson"),
        ("ﬁlm", "film"),
        ("İstanbul ılık", "istanbul ilik"),
        ("Тихий Дон", "тихии дон"),
        ("千と千尋の神隠し", "千 と 千 尋 の 神 隠 し"),
        ("ガンダム", "カ ン タ ム"),
        ("ｶﾞﾝﾀﾞﾑ", "カ ン タ ム"),
        ("東京Tower 2", "東 京 tower 2"),
        ("부산행", unicodedata.normalize("NFKD", "부산행")),
        ("ร้าน", "ร า น"),
        ("हिन्दी", "हिनदी"),
        ("Москва́", "москва"),
        ("I ❤\ufe0f Huckabees", "i huckabees"),
        ("1\ufe0f\u20e3 One", "1 one"),
        ("葛\U000e0100城", "葛 城"),
        ("!?…", ""),
        ("❤\ufe0f", ""),
        ("", ""),
    ],
)
def test_names_fold_as_people_type_them(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_signs_that_follow_each_other_are_one_phrase() -> None:
    assert phrases("The 千と千尋 Film") == ("the", "千 と 千 尋", "film")


@settings(deadline=None)
@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@settings(deadline=None)
@given(st.text())
def test_folded_text_is_words_parted_by_single_spaces(text: str) -> None:
    assert " ".join(fold(text).split()) == fold(text)
    assert " ".join(phrases(text)) == fold(text)
    assert all(phrases(text))


@settings(deadline=None)
@given(st.text(alphabet=st.characters(max_codepoint=0x24F)))
def test_folding_does_not_see_case(text: str) -> None:
    assert fold(text.upper()) == fold(text.upper().lower())
