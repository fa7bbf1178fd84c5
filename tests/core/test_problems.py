"""What the coordinator raises is raised again where it was asked."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecine.core import errors
from telecine.core.errors import InputError, LeaseLostError, TelecineError, UnavailableError
from telecine.core.problems import error_of
from telecine.core.protocol import PROBLEM_TYPE, Problem


def test_an_error_comes_back_as_itself_with_hint_and_field() -> None:
    problem = Problem(PROBLEM_TYPE + "input", "input", 400, "limit is too large", hint="at most 100", field="limit")
    error = error_of(400, msgspec.json.encode(problem))
    assert type(error) is InputError
    assert (error.message, error.hint, error.field) == ("limit is too large", "at most 100", "limit")


def test_a_lost_lease_is_told_from_other_conflicts() -> None:
    problem = Problem(PROBLEM_TYPE + "lease_lost", "lease lost", 409, "expired")
    assert type(error_of(409, msgspec.json.encode(problem))) is LeaseLostError


@pytest.mark.parametrize("code", ["unheard_of", "error"])
def test_a_code_of_a_later_version_is_a_plain_error(code: str) -> None:
    problem = Problem(PROBLEM_TYPE + code, code, 418, "from the future")
    assert type(error_of(418, msgspec.json.encode(problem))) is TelecineError


@given(st.integers(400, 599), st.binary(max_size=80))
def test_whatever_a_proxy_says_is_an_error(status: int, body: bytes) -> None:
    error = error_of(status, body)
    assert str(status) in str(error)
    assert isinstance(error, UnavailableError) == (status >= 500)


def test_every_error_without_arguments_of_its_own_reads_back() -> None:
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, TelecineError) and kind.__init__ is TelecineError.__init__:
            problem = Problem(PROBLEM_TYPE + kind.code, "", kind.http_status, "x")
            assert type(error_of(kind.http_status, msgspec.json.encode(problem))).code == kind.code
