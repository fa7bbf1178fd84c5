"""What operators do to uploads: take them out, bring them back, put them first, leave them to one account."""

from __future__ import annotations

from telecine.core.errors import ConflictError, InputError, NotFoundError
from telecine.core.events import VariantChanged
from telecine.core.leases import Event, VariantState, transition
from telecine.core.operator_protocol import VariantMoved
from telecine.store import variants
from telecine.store.accounts import account_id
from telecine.store.transaction import Row, Transaction

PRIORITY_MAX = 9


def cancel(tx: Transaction, code: str) -> VariantState:
    """Raises NotFoundError, ConflictError."""
    return _tell(tx, code, variants.cancel(tx, code))


def requeue(tx: Transaction, code: str) -> VariantState:
    """Raises NotFoundError, ConflictError (leased, or without a link)."""
    row = _row(tx, code)
    if not tx.get("has_link", {"variant_id": row["id"]})["has_link"]:
        comes_back = row["waits_for_link"] or VariantState(row["state"]) is VariantState.DEAD
        hint = "an import that lists one queues it" if comes_back else "try again when an import has listed one"
        raise ConflictError(f"{code} has no link to be uploaded from", hint=hint)
    return _tell(tx, code, variants.requeue(tx, code))


def withdraw(tx: Transaction, code: str) -> VariantState:
    """Take what is done out of delivery. Its messages stay known. Raises NotFoundError, ConflictError (not done)."""
    row = _row(tx, code)
    state = variants.enter_state(tx, row["id"], VariantState(row["state"]), Event.WITHDRAW)
    return _tell(tx, code, state)


def withdraw_title(tx: Transaction, title_id: int) -> tuple[VariantMoved, ...]:
    """Withdraw what is done of a title and cancel what can be, for good; what moved. Raises NotFoundError."""
    if tx.one("title_by_id", {"title_id": title_id}) is None:
        raise _no_title(title_id)
    moved: list[VariantMoved] = []
    for row in tx.all("uploads_of_title", {"title_id": title_id}):
        code, state = row["code"], VariantState(row["state"])
        if state is VariantState.DONE:
            moved.append(VariantMoved(code, withdraw(tx, code)))
        elif row["waits_for_link"] or _takes(state, Event.CANCEL):
            moved.append(VariantMoved(code, cancel(tx, code)))
    return tuple(moved)


def prioritise(tx: Transaction, code: str, priority: int) -> VariantState:
    """0 goes first, 9 last. Raises NotFoundError, InputError for another number."""
    if not 0 <= priority <= PRIORITY_MAX:
        raise InputError(f"a priority is between 0 and {PRIORITY_MAX}, not {priority}", field="priority")
    row = _row(tx, code)
    changed = tx.execute("prioritise_upload", {"variant_id": row["id"], "priority": priority})
    state = VariantState(row["state"])
    return _tell(tx, code, state) if changed else state


def pin(tx: Transaction, code: str, account: str | None) -> VariantState:
    """Leave a variant to one account, or to all.

    Raises NotFoundError (variant, account), ConflictError: the account holds another copy, or a second copy is left to
    all, of whom one holds the first.
    """
    row = _row(tx, code)
    pinned = {"variant_id": row["id"], "account_id": None if account is None else account_id(tx, account)}
    if account is None and row["copy"] > 1:
        raise ConflictError(f"{code} is a second copy, which stays with one account", hint="pin it to another one")
    other = tx.one("other_copy_of_account", pinned)
    if other is not None:
        raise ConflictError(f"the account {account} holds {other['code']} already, a copy of the same")
    changed = tx.execute("pin_upload", pinned)
    state = VariantState(row["state"])
    return _tell(tx, code, state) if changed else state


def set_copies(tx: Transaction, title_id: int, copies: int) -> None:
    """Say how many accounts are to hold each upload of a title. The sweeper plans them. Raises NotFoundError."""
    if not tx.execute("set_copies", {"title_id": title_id, "copies": copies}):
        raise _no_title(title_id)


def _takes(state: VariantState, event: Event) -> bool:
    try:
        transition(state, event)
    except ConflictError:
        return False
    return True


def _tell(tx: Transaction, code: str, state: VariantState) -> VariantState:
    tx.tell(VariantChanged(code, state))
    return state


def _row(tx: Transaction, code: str) -> Row:
    row = tx.one("upload_by_code", {"code": code})
    if row is None:
        raise NotFoundError(f"there is no upload target {code}")
    return row


def _no_title(title_id: int) -> NotFoundError:
    return NotFoundError(f"there is no title {title_id}")
