"""Captions: they come back as they were written, fit, and survive what becomes of a text in a chat."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecine.core import codes
from telecine.core.captions import CAPTION_CHARS_MAX, Caption, Origin, code_of, parse, write
from telecine.core.codes import PartCode, VariantCode
from telecine.core.errors import InputError
from telecine.core.quality import Quality

SHA256 = hashlib.sha256(b"film").hexdigest()
FILM = Caption(codes.parse("CM_M000321_1080P"), Origin("the-iron-giant"), SHA256)

ids = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
origins = st.builds(Origin, ids, st.none() | ids)
variants = st.builds(
    VariantCode,
    title_number=st.integers(1, 10**12 - 1),
    quality=st.sampled_from(Quality),
    season=st.just(99_999),
    episode=st.integers(0, 99_999),
    copy=st.integers(1, 2),
) | st.builds(VariantCode, title_number=st.integers(1, 10**12 - 1), quality=st.sampled_from(Quality))
parts = st.builds(PartCode, variants, part_no=st.integers(1, 40), part_count=st.integers(40, 99)) | st.builds(
    PartCode, variants
)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
captions = st.builds(Caption, parts, st.none() | origins, st.none() | digests)


def utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@given(captions)
def test_a_caption_fits_and_begins_with_its_code_alone(caption: Caption) -> None:
    text = write(caption)
    assert utf16_units(text) <= CAPTION_CHARS_MAX
    assert text.split("\n")[0] == code_of(text) == str(caption.code)
    assert text.isascii()


@given(captions)
def test_what_is_read_is_what_was_written_or_less_of_it(caption: Caption) -> None:
    read = parse(write(caption))
    assert read is not None
    assert (read.code, read.sha256) == (caption.code, caption.sha256)
    assert read.origin in (caption.origin, caption.origin and Origin(caption.origin.title), None)


@given(parts, digests, st.text(st.characters(max_codepoint=127), max_size=200), st.none() | st.text("aé", max_size=200))
def test_ids_of_tens_of_bytes_come_back_whole(code: PartCode, digest: str, title: str, episode: str | None) -> None:
    caption = Caption(code, Origin(title, episode), digest)
    assert parse(write(caption)) == caption


@pytest.mark.parametrize(
    ("origin", "left"),
    [
        (Origin("t" * 400, "e" * 250), Origin("t" * 400, "e" * 250)),
        (Origin("映" * 200, "画" * 200), Origin("映" * 200)),
        (Origin("🎬" * 200, "e"), None),
    ],
)
def test_the_episode_is_left_out_before_the_title_and_the_digest_never(origin: Origin, left: Origin | None) -> None:
    longest = codes.parse("CM_S999999999999_S99999E99999_1080P_C02_P98OF99")
    assert parse(write(Caption(longest, origin, SHA256))) == Caption(longest, left, SHA256)


def test_an_id_is_not_there_to_be_read() -> None:
    assert "iron" not in write(FILM).lower()


def test_nothing_in_a_caption_is_markup_to_a_client() -> None:
    second = write(FILM).split("\n")[1]
    assert not set(second) & set("_*~|`[]().@#:")


def test_a_caption_of_a_code_alone_is_one_line() -> None:
    assert write(Caption(FILM.code)) == "CM_M000321_1080P"
    assert parse("CM_M000321_1080P") == Caption(FILM.code)


@pytest.mark.parametrize(
    "text",
    [
        write(FILM).replace("\n", "\r\n"),
        write(FILM).replace("\n", " "),
        f"watch this!\n\n{write(FILM)}\nposted by somebody",
        f"\u200e{write(FILM)} \u00a0",
        write(FILM).replace(" d=", "\nd="),
        f"{write(FILM)}\n{write(Caption(codes.parse('CM_M000009_720P'), Origin('other'), 'ab' * 32))}",
    ],
)
def test_what_a_person_or_a_bot_puts_around_it_does_no_harm(text: str) -> None:
    assert parse(text) == FILM


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("CM_M000321_1080P TC1", Caption(FILM.code)),
        ("CM_M000321_1080P\nTC2 t=NDU", Caption(FILM.code)),
        ("CM_M000321_1080P\nTC1 t=NDU d=AAAA", Caption(FILM.code, Origin("45"))),
        ("CM_M000321_1080P\nTC1 t=N d=", Caption(FILM.code)),
        ("CM_M000321_1080P\nTC1 t=/w", Caption(FILM.code)),
        ("CM_M000321_1080P\nTC1 e=NDU", Caption(FILM.code)),
        ("CM_M000321_1080P\nTC1 t=ND…", Caption(FILM.code)),
    ],
)
def test_what_is_damaged_is_left_out(text: str, caption: Caption) -> None:
    assert parse(text) == caption


@pytest.mark.parametrize("text", ["", "hello", "TC1 t=NDU", "CM_M321_1080P", "CM_M000321_1080P_P03OF02"])
def test_a_text_without_a_code_is_no_caption(text: str) -> None:
    assert parse(text) is None
    assert code_of(text) is None


@given(
    st.text()
    | st.lists(st.sampled_from(["CM_M000321_1080P", "TC1", "t=", "e=NDU", "d=/", "=", "_P01OF02"])).map(" ".join)
)
def test_any_text_can_be_read(text: str) -> None:
    caption = parse(text)
    assert (caption and str(caption.code)) == code_of(text)


@pytest.mark.parametrize("sha256", ["", "abc", "AB" * 32, "g" * 64])
def test_a_digest_that_is_none_is_refused(sha256: str) -> None:
    with pytest.raises(InputError, match="SHA-256"):
        Caption(FILM.code, sha256=sha256)
