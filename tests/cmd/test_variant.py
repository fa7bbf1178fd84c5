"""`telecine variant`: one upload in full; retry, cancel, withdraw, priority, pin, of one or of several."""

from __future__ import annotations

import msgspec
import pytest
from tests.cmd.conftest import Deployment, Said, film

from telecine.cmd.arguments import STATE
from telecine.cmd.showing import display
from telecine.cmd.upload import describe
from telecine.core.catalogue import VariantDetail
from telecine.core.leases import VariantState
from telecine.core.quality import Quality
from telecine.core.reasons import Reason

FIRST, SECOND, THIRD = (f"CM_M{number:06d}_720P" for number in (1, 2, 3))
MISSING = "CM_M000999_720P"


async def states(deployment: Deployment) -> list[str]:
    return [variant.state.value for variant in await deployment.store.catalogue.variants()]


async def priority(deployment: Deployment, code: str) -> int:
    return (await deployment.store.catalogue.variant(code)).priority


def nothing_was_changed(said: Said) -> bool:
    return said.out == "" and "nothing was changed" in said.err and said.status != 0


# ---- show ----------------------------------------------------------------------------------------


async def test_an_upload_is_shown_with_its_links_and_what_became_of_them(deployment: Deployment) -> None:
    await deployment.imports(film(1, "a.example", "b.example"))
    await deployment.enrols("cm-ember")
    await deployment.fails("cm-ember")
    said = await deployment.types("variant", "show", FIRST)
    assert said.status == 0
    assert ["state", "dead"] in said.lines
    assert "https://a.example/1.mp4" in said.out
    assert said.out.count("gone: 404 Not Found") == 2
    assert "secret" not in said.out, "a link may carry a key in its query"


async def test_a_link_is_shown_without_its_user_info(deployment: Deployment) -> None:
    await deployment.imports(film(1, "user:pw1@a.example"))
    said = await deployment.types("variant", "show", FIRST)
    assert "https://a.example/1.mp4" in said.out
    assert "pw1" not in said.out
    assert "pw1" in (await deployment.types("variant", "show", FIRST, "--json")).out


async def test_a_link_is_shown_with_the_quality_that_was_measured(deployment: Deployment) -> None:
    await deployment.imports(film(1, "a.example", "b.example"))
    await deployment.enrols("cm-ember")
    await deployment.fails("cm-ember", Reason.WRONG_CONTENT, measured=Quality.SD)
    declared = (await deployment.types("variant", "show", FIRST)).out
    assert "720p" in declared
    assert "measured" not in declared
    moved = (await deployment.types("variant", "show", FIRST.replace("720P", "480P"))).out
    assert "480p measured" in moved
    assert "https://b.example/1.mp4" in moved
    shown = (await deployment.types("title", "show", "1")).lines
    assert [FIRST.replace("720P", "480P"), "ready"] in shown


async def test_an_upload_that_lost_its_links_says_what_it_waits_for(deployment: Deployment) -> None:
    await deployment.imports(film(1, "a.example"))
    await deployment.enrols("cm-ember")
    await deployment.fails("cm-ember", Reason.WRONG_CONTENT, measured=Quality.SD)
    said = await deployment.types("variant", "show", FIRST)
    assert "cancelled, waits for a link of its quality to be listed" in said.out
    assert (await deployment.types("variant", "show", FIRST, "--json")).document["waits_for_link"] is True


async def test_what_was_cancelled_waits_for_no_link_though_it_has_none(deployment: Deployment) -> None:
    await deployment.imports(film(1, "a.example"))
    await deployment.enrols("cm-ember")
    await deployment.fails("cm-ember", Reason.WRONG_CONTENT, measured=Quality.SD)
    await deployment.types("variant", "cancel", FIRST)
    said = await deployment.types("variant", "show", FIRST)
    assert ["state", "cancelled"] in said.lines


async def test_an_upload_is_shown_with_the_messages_that_hold_it(deployment: Deployment) -> None:
    await deployment.imports(film(1))
    await deployment.enrols("cm-ember")
    lease = await deployment.uploads("cm-ember")
    said = await deployment.types("variant", "show", FIRST)
    assert "1 of 1" in said.out
    assert f"{lease.channel.telegram_id}" in said.out
    assert "1.4 GB" in said.out


async def test_an_upload_is_shown_with_who_has_it(deployment: Deployment) -> None:
    await deployment.imports(film(1))
    await deployment.enrols("cm-ember")
    await deployment.claims("cm-ember")
    said = await deployment.types("variant", "show", FIRST)
    assert said.lines[1][:6] == ["state", "leased", "by", "cm-ember,", "expires", "in"]


async def test_an_upload_that_waits_is_shown_with_when_it_is_tried_again(deployment: Deployment) -> None:
    await deployment.imports(film(1))
    await deployment.enrols("cm-ember")
    await deployment.fails("cm-ember", Reason.TELEGRAM)
    said = await deployment.types("variant", "show", FIRST)
    assert said.lines[1][:4] == ["state", "delayed,", "again", "in"]
    assert ["rounds", "1"] in said.lines


def test_what_an_upload_needs_is_said_where_not_everyone_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    plain = VariantDetail(FIRST, 1, None, Quality.HD, VariantState.READY, 2, 0, 0, None, (), ())
    demanding = msgspec.structs.replace(plain, file_bytes=3 * 10**9, disk_bytes=5 * 10**9)
    display(*describe(plain))
    assert "needs" not in capsys.readouterr().out
    display(*describe(demanding))
    assert "an account that may send 3.0 GB, a worker with 5.0 GB of disk free" in capsys.readouterr().out


async def test_json_shows_an_upload_as_the_api_does(deployment: Deployment) -> None:
    await deployment.imports(film(1))
    written = (await deployment.types("variant", "show", FIRST, "--json")).document
    assert (written["code"], written["state"]) == (FIRST, "ready")
    assert written["sources"][0]["url"] == "https://files.example/1.mp4?key=secret"


@pytest.mark.parametrize("options", [[], ["--json"]])
async def test_an_upload_that_is_not_there_is_named(deployment: Deployment, options: list[str]) -> None:
    said = await deployment.types("variant", "show", MISSING, *options)
    assert (said.status, said.out) == (1, "")
    assert said.err == f"telecine: there is no upload target {MISSING}\n"


async def test_what_is_not_a_code_is_a_mistake_of_the_person(deployment: Deployment) -> None:
    for how in ("show", "retry", "cancel", "withdraw", "unpin"):
        said = await deployment.types("variant", how, "harbour")
        assert said.status == 2
        assert "'harbour' is not a code" in said.err


# ---- retry and cancel ----------------------------------------------------------------------------


async def test_an_upload_is_taken_out_and_queued_again(deployment: Deployment) -> None:
    await deployment.imports(film(1), film(2))
    assert (await deployment.types("variant", "cancel", FIRST)).lines == [[FIRST, "cancelled"]]
    assert await states(deployment) == ["cancelled", "ready"]
    assert (await deployment.types("variant", "retry", FIRST)).lines == [[FIRST, "ready"]]
    assert await states(deployment) == ["ready", "ready"]


async def test_where_one_of_several_is_refused_the_others_go_on(deployment: Deployment) -> None:
    await deployment.imports(film(1), film(2))
    await deployment.types("variant", "cancel", FIRST)
    said = await deployment.types("variant", "cancel", FIRST, MISSING, SECOND)
    assert said.status == 1
    assert said.lines == [[SECOND, "cancelled"]]
    complaints = said.err.splitlines()
    assert complaints[0].startswith(f"{FIRST}: an upload that is cancelled cannot be")
    assert complaints[1] == f"there is no upload target {MISSING}"
    assert complaints[2] == "telecine: 2 of 3 uploads stayed as before"


async def test_what_is_leased_is_not_queued_again(deployment: Deployment) -> None:
    await deployment.imports(film(1))
    await deployment.enrols("cm-ember")
    await deployment.claims("cm-ember")
    said = await deployment.types("variant", "retry", FIRST)
    assert (said.status, said.out) == (1, "")
    assert said.err == f"telecine: {FIRST}: an upload that is leased cannot be queued again\n"


async def test_an_upload_that_is_named_twice_moves_once(deployment: Deployment) -> None:
    await deployment.imports(film(1))
    said = await deployment.types("variant", "cancel", FIRST, FIRST)
    assert (said.status, said.lines) == (0, [[FIRST, "cancelled"]])


async def test_json_tells_what_moved_and_what_was_refused(deployment: Deployment) -> None:
    await deployment.imports(film(1))
    said = await deployment.types("variant", "cancel", MISSING, FIRST, "--json")
    assert said.status == 1
    assert said.document == {
        "variants": [{"code": FIRST, "state": "cancelled"}],
        "refused": [{"code": MISSING, "detail": f"there is no upload target {MISSING}"}],
    }


async def test_one_code_that_is_none_leaves_all_others_alone(deployment: Deployment) -> None:
    await deployment.imports(film(1))
    assert (await deployment.types("variant", "cancel", FIRST, "harbour")).status == 2
    assert await states(deployment) == ["ready"]


async def test_all_of_a_state_are_queued_again_when_the_person_agrees(deployment: Deployment) -> None:
    await deployment.imports(film(1), film(2), film(3))
    await deployment.types("variant", "cancel", FIRST, THIRD)
    said = await deployment.types("variant", "retry", "--state", "cancelled", answering="y\n")
    assert "Queue 2 uploads, cancelled now, again? [y/N]" in said.err
    assert said.lines == [[FIRST, "ready"], [THIRD, "ready"]]


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
async def test_nothing_moves_unless_the_person_agrees(deployment: Deployment, answer: str) -> None:
    await deployment.imports(film(1))
    assert nothing_was_changed(await deployment.types("variant", "cancel", "--state", "ready", answering=answer))
    assert await states(deployment) == ["ready"]


async def test_yes_asks_nothing(deployment: Deployment) -> None:
    await deployment.imports(film(1))
    said = await deployment.types("variant", "cancel", "--state", "ready", "--yes", "--json")
    assert (said.status, said.err) == (0, "")
    assert said.document["variants"] == [{"code": FIRST, "state": "cancelled"}]


async def test_a_state_without_uploads_moves_nothing_and_asks_nothing(deployment: Deployment) -> None:
    said = await deployment.types("variant", "retry", "--state", "dead")
    assert (said.status, said.out, said.err) == (0, "", "no upload is dead\n")


@pytest.mark.parametrize("arguments", [["retry"], ["cancel", FIRST, "--state", "ready"], ["withdraw"], ["pin", FIRST]])
async def test_moving_needs_to_know_what(deployment: Deployment, arguments: list[str]) -> None:
    said = await deployment.types("variant", *arguments)
    assert said.status == 2
    assert f"Usage: telecine variant {arguments[0]}" in said.err


async def test_a_coordinator_that_goes_away_ends_it_at_once(deployment: Deployment) -> None:
    deployment.settings.write_text('[operator]\ncoordinator_url = "http://127.0.0.1:9"\ntoken = "t"\n')
    said = await deployment.types("variant", "cancel", FIRST, SECOND, "--json")
    assert said.status == 75
    assert said.document == {"variants": [], "refused": []}
    assert "no coordinator answers" in said.err


async def test_a_token_that_does_not_hold_ends_it_at_once(deployment: Deployment) -> None:
    text = deployment.settings.read_text().replace('token = "', 'token = "x')
    deployment.settings.write_text(text)
    said = await deployment.types("variant", "cancel", FIRST, SECOND)
    assert said.status == 1
    assert said.err.count("refuses operator.token") == 1


# ---- withdraw ------------------------------------------------------------------------------------


async def test_what_is_done_is_delivered_no_more_when_the_person_agrees(deployment: Deployment) -> None:
    await deployment.imports(film(1))
    await deployment.enrols("cm-ember")
    await deployment.uploads("cm-ember")
    assert nothing_was_changed(await deployment.types("variant", "withdraw", FIRST, answering="n\n"))
    said = await deployment.types("variant", "withdraw", FIRST, answering="y\n")
    assert said.lines == [[FIRST, "withdrawn"]]
    assert await states(deployment) == ["withdrawn"]


async def test_what_is_done_is_uploaded_anew_when_the_person_agrees(deployment: Deployment) -> None:
    await deployment.imports(film(1), film(2))
    await deployment.enrols("cm-ember")
    await deployment.uploads("cm-ember")
    await deployment.types("variant", "cancel", SECOND)
    for answer in ("n\n", ""):
        refused = await deployment.types("variant", "retry", FIRST, SECOND, MISSING, answering=answer)
        assert nothing_was_changed(refused)
        assert "Deliver 1 upload, done now, no more until uploaded anew?" in refused.err
    assert await states(deployment) == ["done", "cancelled"]
    said = await deployment.types("variant", "retry", FIRST, SECOND, answering="y\n")
    assert said.lines == [[FIRST, "ready"], [SECOND, "ready"]]


async def test_only_what_is_done_can_be_withdrawn(deployment: Deployment) -> None:
    await deployment.imports(film(1))
    said = await deployment.types("variant", "withdraw", FIRST, "--yes")
    assert said.status == 1
    assert said.err == f"telecine: {FIRST}: an upload that is ready cannot be withdrawn\n"


# ---- priority and pin ----------------------------------------------------------------------------


async def test_several_are_put_first(deployment: Deployment) -> None:
    await deployment.imports(film(1), film(2), film(3))
    said = await deployment.types("variant", "priority", THIRD, SECOND, 0)
    assert said.lines == [[THIRD, "ready", "priority", "0"], [SECOND, "ready", "priority", "0"]]
    assert [await priority(deployment, code) for code in (FIRST, SECOND, THIRD)] == [2, 0, 0]


@pytest.mark.parametrize("wrong", ["10", "-1", "first"])
async def test_a_priority_is_a_digit(deployment: Deployment, wrong: str) -> None:
    assert (await deployment.types("variant", "priority", FIRST, "--", wrong)).status == 2


async def test_an_upload_is_left_to_one_account_until_it_is_left_to_all(deployment: Deployment) -> None:
    await deployment.imports(film(1))
    await deployment.enrols("cm-ember")
    await deployment.enrols("cm-rora")
    assert (await deployment.types("variant", "pin", FIRST, "cm-ember")).lines == [
        [FIRST, "ready", "pinned", "to", "cm-ember"]
    ]
    assert (await deployment.types("queue", "--account", "cm-ember")).lines == [[FIRST, "ready"]]
    assert (await deployment.types("variant", "unpin", FIRST)).status == 0
    assert (await deployment.types("queue", "--account", "cm-ember")).lines == []
    assert (await deployment.claims("cm-rora")).code == FIRST


async def test_an_account_that_is_not_there_holds_nothing(deployment: Deployment) -> None:
    await deployment.imports(film(1))
    said = await deployment.types("variant", "pin", FIRST, "cm-nobody")
    assert said.status == 1
    assert "cm-nobody" in said.err


def test_every_state_can_be_asked_for() -> None:
    assert set(STATE.choices) == {state.value for state in VariantState}
