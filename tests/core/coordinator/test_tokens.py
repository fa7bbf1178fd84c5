from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from telecine.core.coordinator.tokens import AUDIENCE, ISSUER, Identity, Scope, Tokens
from telecine.core.errors import ConfigError, ConflictError, InputError, UnauthorizedError

if TYPE_CHECKING:
    from tests.core.coordinator.conftest import RegistryInMemory, SteeredClock

SECRET = "a secret of the tests, " + 64 * "x"


def _part(content: Any) -> str:
    text = content if isinstance(content, str) else json.dumps(content)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def _signed(clock: SteeredClock, *, secret: str = SECRET, algorithm: str = "HS256", **changed: Any) -> str:
    now_s = clock.now_ms() // 1000
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "scope": "operator", "jti": "j"}
    claims |= {"iat": now_s, "exp": now_s + 60} | changed
    kept = {name: value for name, value in claims.items() if value is not None}
    # Not by `jwt.encode`, which refuses some of what a forger would write.
    return "Bearer " + jwt.PyJWS().encode(json.dumps(kept).encode(), secret, algorithm=algorithm)


async def test_issued_token_says_who_and_what_for(tokens: Tokens) -> None:
    text, issued = await tokens.issue("cm-ember", Scope.WORKER, ttl_s=60, jti="j1")
    assert tokens.verify(f"Bearer {text}") == Identity("cm-ember", Scope.WORKER, "j1", account="cm-ember")
    assert issued.expires_at_ms - issued.issued_at_ms == 60_000
    assert await tokens.issued() == (issued,)


async def test_account_of_another_name_is_carried_by_the_token(tokens: Tokens) -> None:
    text, _ = await tokens.issue("cm-ember", Scope.WORKER, ttl_s=60, jti="j1", account="premium-2")
    assert tokens.verify(f"bearer {text}").account == "premium-2"


async def test_token_ends_with_its_time_even_when_it_was_verified_before(tokens: Tokens, clock: SteeredClock) -> None:
    text, _ = await tokens.issue("ada", Scope.OPERATOR, ttl_s=60, jti="j1")
    tokens.verify(f"Bearer {text}")
    clock.ahead_ms = 61_000
    with pytest.raises(UnauthorizedError, match="expired"):
        tokens.verify(f"Bearer {text}")


async def test_revoked_token_is_worthless_at_once(tokens: Tokens) -> None:
    text, _ = await tokens.issue("ada", Scope.OPERATOR, ttl_s=60, jti="j1")
    tokens.verify(f"Bearer {text}")
    await tokens.revoke("j1")
    with pytest.raises(UnauthorizedError, match="revoked"):
        tokens.verify(f"Bearer {text}")


async def test_token_revoked_by_another_process_is_worthless_after_loading(
    tokens: Tokens, registry: RegistryInMemory
) -> None:
    text, _ = await tokens.issue("ada", Scope.OPERATOR, ttl_s=60, jti="j1")
    await registry.revoke("j1")
    tokens.verify(f"Bearer {text}")
    await tokens.load()
    with pytest.raises(UnauthorizedError, match="revoked"):
        tokens.verify(f"Bearer {text}")


async def test_revocation_during_a_load_is_kept(tokens: Tokens, registry: RegistryInMemory) -> None:
    text, _ = await tokens.issue("ada", Scope.OPERATOR, ttl_s=60, jti="j1")
    before = await registry.revoked()

    async def outdated() -> frozenset[str]:
        await tokens.revoke("j1")
        return before

    registry.revoked = outdated  # type: ignore[method-assign]
    await tokens.load()
    with pytest.raises(UnauthorizedError, match="revoked"):
        tokens.verify(f"Bearer {text}")


@pytest.mark.parametrize(
    "changed",
    [
        {"secret": 64 * "y"},
        {"algorithm": "HS512"},
        {"iss": "somebody"},
        {"aud": "something"},
        {"scope": "admin"},
        {"scope": None},
        {"iss": None},
        {"aud": None},
        {"iat": None},
        {"exp": None},
        {"jti": None},
        {"sub": None},
        {"exp": "never"},
        {"exp": 1.5e308},
        {"jti": 7},
        {"account": ["a"]},
        {"exp": 1},
        {"iat": 2**53, "exp": 2**54},
    ],
)
async def test_token_that_is_not_ours_is_refused(tokens: Tokens, clock: SteeredClock, changed: dict[str, Any]) -> None:
    assert tokens.verify(_signed(clock)).subject == "ada"  # what the cases below are a change of
    with pytest.raises(UnauthorizedError):
        tokens.verify(_signed(clock, **changed))


async def test_unsigned_token_is_refused(tokens: Tokens, clock: SteeredClock) -> None:
    now_s = clock.now_ms() // 1000
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "scope": "operator", "jti": "j", "iat": now_s}
    body = _part(claims | {"exp": now_s + 60})
    for algorithm in ("none", "None", "NONE", "HS256", ""):
        for signature in ("", _part("signed")):
            with pytest.raises(UnauthorizedError):
                tokens.verify(f"Bearer {_part({'alg': algorithm, 'typ': 'JWT'})}.{body}.{signature}")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "Bearer not-a-token",
        "Bearer a.b.c",
        "Bearer \udcff.\udcff.\udcff",
        "Bearer " + "a" * 5000,
        "Bearer " + _part("[" * 2500) + ".e30.x",
        "Bearer " + _part("[]") + ".e30.x",
    ],
)
async def test_header_without_a_token_is_refused_without_repeating_it(tokens: Tokens, header: str | None) -> None:
    with pytest.raises(UnauthorizedError) as refused:
        tokens.verify(header)
    if header and header.removeprefix("Bearer").strip():
        assert header.removeprefix("Bearer ") not in f"{refused.value} {refused.value.hint}"


async def test_short_secret_is_refused(clock: SteeredClock, registry: RegistryInMemory) -> None:
    with pytest.raises(ConfigError, match=r"coordinator\.secret"):
        Tokens("short", clock, registry)


async def test_token_without_subject_or_time_or_with_a_used_id_is_not_issued(tokens: Tokens) -> None:
    for subject, ttl_s in (("", 60), ("ada", 0), ("ada", -1), ("ada", 10**12)):
        with pytest.raises(InputError):
            await tokens.issue(subject, Scope.OPERATOR, ttl_s=ttl_s, jti="j")
    await tokens.issue("ada", Scope.OPERATOR, ttl_s=60, jti="j")
    with pytest.raises(ConflictError):
        await tokens.issue("eve", Scope.OPERATOR, ttl_s=60, jti="j")


async def test_memory_of_verified_tokens_is_bounded(
    tokens: Tokens, clock: SteeredClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telecine.core.coordinator.tokens.VERIFIED_MAX", 3)
    for number in range(10):
        tokens.verify(_signed(clock, jti=f"j{number}"))
    assert len(tokens._verified) == 3
