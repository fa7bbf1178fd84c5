"""Codes: one spelling each, nothing else is read."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecine.core import codes
from telecine.core.codes import PartCode, VariantCode
from telecine.core.errors import InputError
from telecine.core.quality import Quality

numbers = st.integers(1, codes.TITLE_NUMBER_MAX)
episode_numbers = st.integers(0, codes.EPISODE_NUMBER_MAX)
copies = st.integers(1, codes.COPIES_MAX)
films = st.builds(VariantCode, numbers, st.sampled_from(Quality), copy=copies)
episodes = st.builds(VariantCode, numbers, st.sampled_from(Quality), episode_numbers, episode_numbers, copies)
parts = st.integers(1, codes.PART_COUNT_MAX).flatmap(
    lambda count: st.builds(PartCode, films | episodes, st.integers(1, count), st.just(count))
)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (VariantCode(321, Quality.FULL_HD), "CM_M000321_1080P"),
        (VariantCode(45, Quality.HD, 1, 3), "CM_S000045_S01E03_720P"),
        (VariantCode(7, Quality.AUTO), "CM_M000007_AUTO"),
        (VariantCode(1_234_567, Quality.UHD, 0, 1204), "CM_S1234567_S00E1204_2160P"),
        (VariantCode(321, Quality.FULL_HD, copy=2), "CM_M000321_1080P_C02"),
        (VariantCode(45, Quality.AUTO, 1, 3, copy=2), "CM_S000045_S01E03_AUTO_C02"),
    ],
)
def test_a_code_is_spelled_as_documented(code: VariantCode, text: str) -> None:
    assert str(code) == text
    assert codes.parse_variant(text) == code


def test_a_part_is_a_suffix() -> None:
    assert str(PartCode(VariantCode(321, Quality.FULL_HD), 2, 3)) == "CM_M000321_1080P_P02OF03"
    assert str(PartCode(VariantCode(321, Quality.FULL_HD))) == "CM_M000321_1080P"
    assert str(PartCode(VariantCode(321, Quality.FULL_HD, copy=2), 1, 3)) == "CM_M000321_1080P_C02_P01OF03"


@given(films | episodes)
def test_each_copy_of_a_target_knows_all_of_them(code: VariantCode) -> None:
    original, second = code.copies
    assert code in code.copies
    assert str(second) == f"{original}_C02"
    assert second.copies == original.copies


@given(parts)
def test_every_code_reads_back_as_itself(code: PartCode) -> None:
    assert codes.parse(str(code)) == code


@given(parts)
def test_every_code_is_found_in_a_caption(code: PartCode) -> None:
    assert codes.find(f"({code})\nrest") == code


@given(parts, parts)
def test_different_codes_have_different_names(one: PartCode, other: PartCode) -> None:
    assert (one == other) == (str(one) == str(other))


@given(st.text(string.ascii_uppercase + string.digits + "_", max_size=40) | st.text(max_size=40))
def test_whatever_is_read_prints_as_it_was_read(text: str) -> None:
    try:
        code = codes.parse(text)
    except InputError:
        return
    assert str(code) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "CM_M321_1080P",
        "CM_M0000321_1080P",  # a second spelling
        "CM_M000000_1080P",
        "CM_M000321_1081P",
        "CM_M000321_1080p",
        "CM_M000321_1080P_P01OF01",  # a whole target has no suffix
        "CM_M000321_1080P_C01",  # an original says no number
        "CM_M000321_1080P_C00",
        "CM_M000321_1080P_C03",
        "CM_M000321_1080P_C2",
        "CM_M000321_1080P_P01OF02_C02",
        "CM_M000321_1080P_P03OF02",
        "CM_M000321_1080P_P00OF02",
        "CM_M000321_S01E03_720P",
        "CM_S000045_720P",
        "CM_S000045_S1E3_720P",
        "CM_S000045_S001E03_720P",
        " CM_M000321_1080P",
        "CM_M000321_1080P\n",
        "CM_M٠٠٠٣٢١_1080P",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        codes.parse(text)


def test_a_part_is_not_a_whole_target() -> None:
    with pytest.raises(InputError, match="one part"):
        codes.parse_variant("CM_M000321_1080P_P02OF03")


@pytest.mark.parametrize(
    ("number", "season", "episode"),
    [(0, None, None), (codes.TITLE_NUMBER_MAX + 1, None, None), (1, 1, None), (1, None, 1), (1, -1, 1), (1, 1, 10**5)],
)
def test_numbers_out_of_range_make_no_code(number: int, season: int | None, episode: int | None) -> None:
    with pytest.raises(InputError):
        VariantCode(number, Quality.HD, season, episode)


def test_find_passes_over_what_only_looks_like_a_code() -> None:
    assert codes.find("CM_M000000_1080P then CM_M000009_720P") == PartCode(VariantCode(9, Quality.HD))
    assert codes.find("no code here") is None


def test_find_does_not_take_one_copy_for_another() -> None:
    assert codes.find("CM_M000009_720P_C02_P01OF02") == PartCode(VariantCode(9, Quality.HD, copy=2), 1, 2)
    assert codes.find("CM_M000009_720P_C03") is None


@given(films | episodes)
def test_find_does_not_take_what_is_left_of_a_part_for_the_whole(variant: VariantCode) -> None:
    part = str(PartCode(variant, 3, 12))
    for length in range(len(str(variant)) + 1, len(part)):
        assert codes.find(part[:length]) is None


@pytest.mark.parametrize(
    "text", ["XCM_M000009_720P", "CM_M000009_720PX", "CM_M000009_720P_P2OF3", "CM_M000009_720P_C2"]
)
def test_find_takes_nothing_out_of_a_longer_word(text: str) -> None:
    assert codes.find(text) is None


@given(numbers)
def test_channel_codes_read_back(number: int) -> None:
    assert codes.parse_channel(codes.channel_code(number)) == number


@pytest.mark.parametrize("text", ["", "CM_C1", "CM_C000000", "CM_C0000012", "CM_M000012"])
def test_other_channel_titles_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        codes.parse_channel(text)


@given(parts)
def test_codes_fit_where_telegram_puts_them(code: PartCode) -> None:
    assert len(str(code).encode()) <= 60, "callback data holds 64 bytes, file names are trimmed at 60 characters"
