from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecine.core.config import CmField, CmValues
from telecine.core.errors import CmError, ConfigError
from telecine.core.intake.mapping import compile_mapping, parse_path, whole_number

DOCUMENT: dict[str, Any] = {
    "data": {"id": 7, "year": "1999", "none": None, "empty": "", "0": "zero"},
    "errors": [{"extensions": {"code": "TOKEN_EXPIRED"}}],
    "seasons": [{"episodes": [{"n": 1}, {"n": 2}]}, {"episodes": [{"n": 3}]}],
    "plain": ["a", "b"],
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("data.id", 7),
        ("data.year|int", 1999),
        ("data.year", "1999"),
        ("data.0", "zero"),
        ("errors.0.extensions.code", "TOKEN_EXPIRED"),
        ("data.none?", None),
        ("data.absent?", None),
        ("absent?.id", None),
        ("data.absent?|int", None),
        ("data.absent|int?", None),
        ("data.empty|int?", None),
        ("data.empty", ""),
        ("errors.5.extensions?", None),
        ("data.id.deeper?", None),
        (" data . id ", 7),
    ],
)
def test_path_leads_to_a_value(path: str, value: object) -> None:
    assert parse_path(path, "key").one(DOCUMENT) == value


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("plain[]", ["a", "b"]),
        ("seasons[].episodes[].n", [1, 2, 3]),
        ("seasons[].episodes[].n|int", [1, 2, 3]),
        ("seasons[].absent[]?", []),
        ("data.none[]?", []),
        ("data.absent[]?", []),
    ],
)
def test_brackets_run_through_lists(path: str, values: list[object]) -> None:
    assert parse_path(path, "key").all(DOCUMENT) == values


def test_a_dot_is_the_item_itself() -> None:
    assert parse_path(".", "key").one("https://cdn.example/a.mkv") == "https://cdn.example/a.mkv"
    assert parse_path("[]", "key").all([1, 2]) == [1, 2]


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("data.absent", "`data.absent` is missing"),
        ("data.none", "`data.none` is missing"),
        ("data.none[]", "`data.none[]` is missing"),
        ("errors.1.code", "is missing"),
        ("data[]", "expected a list, got an object"),
        ("plain[]", "leads to 2 values, expected one"),
        ("errors|int", "expected a whole number, got a list"),
    ],
)
def test_value_that_is_not_there_is_named_by_its_path(path: str, problem: str) -> None:
    with pytest.raises(CmError) as caught:
        parse_path(path, "key").one(DOCUMENT)
    assert problem in caught.value.message


@pytest.mark.parametrize("path", ["", "a..b", "a[0]", "a[]b[", "a|date", "a|int|int", ".a.", "|int"])
def test_path_that_cannot_be_read_is_refused_with_its_setting(path: str) -> None:
    with pytest.raises(ConfigError, match=r"cm\.map\.title\.id"):
        parse_path(path, "cm.map.title.id")


@given(st.integers(-(10**15), 10**15))
def test_numbers_and_their_texts_are_the_same(number: int) -> None:
    assert whole_number(number) == whole_number(str(number)) == whole_number(f" {number} ") == number


@pytest.mark.parametrize("value", [True, None, 1.5, "1.5", "", "--1", "١", "9" * 30, [], {}, float("inf")])
def test_what_is_no_whole_number_is_none(value: object) -> None:
    with pytest.raises(CmError, match="expected a whole number"):
        whole_number(value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.sampled_from("ab0"), children, max_size=3),
    max_leaves=8,
)


@given(json_values, st.sampled_from(["a", "a.b", "a[].b", "[]", "a?.b", "0.a|int", "a[]?|int", "."]))
def test_no_document_is_too_strange(document: object, path: str) -> None:
    parsed = parse_path(path, "key")
    try:
        values = parsed.all(document)
    except CmError:
        return
    assert None not in values


def test_values_are_renamed_and_unknown_ones_named() -> None:
    fields: dict[str, dict[str, CmField]] = {
        "title": {"id": "id", "name": "name", "kind": CmValues("type?", {"1": "movie", "true": "series"})}
    }
    kind = compile_mapping(fields).title["kind"]
    assert (kind.one({"type": 1}), kind.one({"type": True}), kind.one({})) == ("movie", "series", None)
    with pytest.raises(CmError, match="expected one of 1, true, got 'film'"):
        kind.one({"type": "film"})
