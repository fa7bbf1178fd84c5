"""What operators do to uploads: retry, cancel, withdraw, put first, leave to one account; one by one or by title."""

from __future__ import annotations

from telecine.core.coordinator.calls import OPERATORS, Call, Route, answer
from telecine.core.coordinator.http.answers import Answer
from telecine.core.operator_protocol import Copies, Pin, Priority, TitleMoved, VariantMoved


async def retry(call: Call) -> Answer:
    """Queue an upload target again, all its links untried."""
    code = call.name("code")
    return answer(VariantMoved(code, await call.services.operations.requeue(code)))


async def cancel(call: Call) -> Answer:
    """Take an upload target out of the queue, and out of a worker's hands."""
    code = call.name("code")
    return answer(VariantMoved(code, await call.services.operations.cancel(code)))


async def withdraw(call: Call) -> Answer:
    """Take what is done out of delivery. Its messages stay in Telegram, and known."""
    code = call.name("code")
    return answer(VariantMoved(code, await call.services.operations.withdraw(code)))


async def prioritise(call: Call) -> Answer:
    """Put an upload target before others, or behind them."""
    code, told = call.name("code"), call.body(Priority)
    return answer(VariantMoved(code, await call.services.operations.prioritise(code, told.priority)))


async def pin(call: Call) -> Answer:
    """Leave an upload target to one account, or to all. A lease that is under way goes on."""
    code, told = call.name("code"), call.body(Pin)
    return answer(VariantMoved(code, await call.services.operations.pin(code, told.account)))


async def withdraw_title(call: Call) -> Answer:
    """Withdraw what is done of a title and cancel the rest. Answers with what moved."""
    return answer(TitleMoved(await call.services.operations.withdraw_title(call.number("id"))))


async def set_copies(call: Call) -> Answer:
    """Say how many accounts are to hold each upload of a title. Copies that are there already stay."""
    title_id, told = call.number("id"), call.body(Copies)
    await call.services.operations.set_copies(title_id, told.copies)
    return answer(told)


ROUTES = (
    Route("POST", "/v1/variants/{code}/retry", retry, OPERATORS, answers=VariantMoved, refusals=(409,)),
    Route("POST", "/v1/variants/{code}/cancel", cancel, OPERATORS, answers=VariantMoved, refusals=(409,)),
    Route("POST", "/v1/variants/{code}/withdraw", withdraw, OPERATORS, answers=VariantMoved, refusals=(409,)),
    Route("POST", "/v1/variants/{code}/priority", prioritise, OPERATORS, body=Priority, answers=VariantMoved),
    Route("POST", "/v1/variants/{code}/pin", pin, OPERATORS, body=Pin, answers=VariantMoved, refusals=(409,)),
    Route("POST", "/v1/titles/{id}/withdraw", withdraw_title, OPERATORS, answers=TitleMoved),
    Route("POST", "/v1/titles/{id}/copies", set_copies, OPERATORS, body=Copies, answers=Copies),
)
