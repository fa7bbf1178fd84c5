from __future__ import annotations

import base64
import stat
from pathlib import Path

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecine.core.config import CmTokens
from telecine.core.errors import CmError, ConfigError
from telecine.core.intake.tokens import TokenAnswers, TokenFile, TokenPair, jwt_lifetime_s

NOW_MS = 1_800_000_000_000
PAIR = TokenPair("access", "refresh", NOW_MS)
ISSUED = jwt.encode({"iat": 1000, "exp": 1100}, "x" * 32, algorithm="HS256")


def renew_at_ms(answer: dict[str, object], unit: str = "s", skew_s: float = 10) -> int | None:
    settings = CmTokens(expires_in="expires?", expires_unit=unit)
    return TokenAnswers(settings, skew_s).read({"access_token": "opaque", **answer}, NOW_MS).renew_at_ms


@pytest.mark.parametrize(
    ("answer", "unit", "after_s"),
    [
        ({"expires": 100}, "s", 90),
        ({"expires": "100000"}, "ms", 90),
        ({"expires": NOW_MS // 1000 + 100}, "epoch", 90),
        ({"expires": "2027-01-15T08:01:40Z"}, "iso", 90),
        ({"expires": "2027-01-15T08:01:40"}, "iso", 90),
        ({"expires": "2027-01-15T07:00:00Z"}, "iso", None),
        ({"expires": 10}, "s", 7),
        ({"expires": 0}, "s", None),
        ({"expires": -5}, "s", None),
        ({"access_token": ISSUED, "expires": 7}, "s", 90),
        ({}, "s", None),
        ({"expires": None}, "s", None),
    ],
)
def test_pair_is_renewed_ahead_of_its_end(answer: dict[str, object], unit: str, after_s: int | None) -> None:
    assert renew_at_ms(answer, unit) == (None if after_s is None else NOW_MS + after_s * 1000)


@given(lifetime_s=st.integers(1, 10**6), skew_s=st.floats(0, 10**6))
def test_no_skew_makes_a_token_useless(lifetime_s: int, skew_s: float) -> None:
    at_ms = renew_at_ms({"expires": lifetime_s}, skew_s=skew_s)
    assert at_ms is not None
    assert NOW_MS + lifetime_s * 600 < at_ms <= NOW_MS + lifetime_s * 1000


@pytest.mark.parametrize("answer", [{}, [], {"access_token": ""}, {"access_token": 7}, {"access_token": "a\r\nX: b"}])
def test_answer_without_a_token_is_refused(answer: object) -> None:
    with pytest.raises(CmError, match="no token at `access_token`"):
        TokenAnswers(CmTokens(), 10).read(answer, NOW_MS)


@pytest.mark.parametrize("expires", ["soon", [], True])
def test_lifetime_that_is_none_is_refused(expires: object) -> None:
    for unit in ("s", "iso"):
        with pytest.raises(CmError):
            renew_at_ms({"expires": expires}, unit)


@given(st.text(max_size=60) | st.builds("{}.{}.{}".format, st.text(max_size=5), st.text(max_size=40), st.text()))
def test_what_is_no_jwt_has_no_lifetime(token: str) -> None:
    assert jwt_lifetime_s(token) is None


@pytest.mark.parametrize("number", [2**63, 10**400, "9" * 20])
@pytest.mark.parametrize("unit", ["s", "ms", "epoch"])
def test_lifetime_beyond_reckoning_is_a_long_one(number: object, unit: str) -> None:
    at_ms = renew_at_ms({"expires": number}, unit)
    assert at_ms is not None
    assert at_ms > NOW_MS + 1000 * 365 * 86_400


@pytest.mark.parametrize(("exp", "is_long"), [("1e308", True), ("-1e308", False), ("9" * 300, True)])
def test_jwt_beyond_reckoning_lasts_long_or_not_at_all(exp: str, is_long: bool) -> None:
    at_ms = renew_at_ms({"access_token": token_of(f'{{"iat": 0, "exp": {exp}}}')})
    assert (at_ms is not None) is is_long


def test_jwt_that_is_nested_too_deep_has_no_lifetime() -> None:
    assert jwt_lifetime_s(token_of('{"iat": 0, "exp": 9, "x": ' + "[" * 5000 + "]" * 5000 + "}")) is None


def token_of(claims: str) -> str:
    return f"e30.{base64.urlsafe_b64encode(claims.encode()).decode()}.x"


def test_printed_pair_shows_no_token() -> None:
    assert "access" not in f"{PAIR!r} {PAIR}"


def test_kept_pair_comes_back_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    file = TokenFile(tmp_path / "new" / "tokens.json", "https://cm.example")
    assert file.load() is None
    file.save(PAIR)
    file.save(PAIR)
    assert file.load() == PAIR
    assert stat.S_IMODE((tmp_path / "new" / "tokens.json").stat().st_mode) == 0o600
    assert TokenFile(tmp_path / "new" / "tokens.json", "https://other.example").load() is None


def test_failed_write_leaves_the_old_pair_and_no_scratch_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tokens.json"
    file = TokenFile(path, "https://cm.example")
    file.save(PAIR)

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ConfigError, match="cannot be written: No space left on device"):
        file.save(TokenPair("newer"))
    assert file.load() == PAIR
    assert list(tmp_path.iterdir()) == [path]


def test_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cm\.auth\.token_file"):
        TokenFile(tmp_path, "https://cm.example").load()
