"""The ladder, for every mixture of parts that have a `file_id`, have a bad one, or have lost their post."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecine.core.delivery import (
    CAPTION_CHARS_MAX,
    BotFile,
    CaptionedFile,
    Deliverable,
    DeliveryDesk,
    DeliveryOutcome,
    FileRefusedError,
    MediaKind,
    PostRefusedError,
    Resolved,
    albums,
    caption,
)
from telecine.core.errors import ConflictError
from telecine.core.leases import VariantState
from telecine.core.quality import Quality

BOT_ID, USER_ID, CHANNEL_ID = 4242, 99, 777


class Condition(enum.Enum):
    """How a part stands with this bot."""

    VIDEO = "video"
    DOCUMENT = "document"
    BAD_FILE = "bad file"  # the file_id is refused, the post can be copied
    NO_FILE = "no file"
    BAD_FILE_NO_POST = "bad file, no post"
    NOTHING = "nothing"  # neither file_id nor post


HAS_FILE = {Condition.VIDEO, Condition.DOCUMENT, Condition.BAD_FILE, Condition.BAD_FILE_NO_POST}
GOOD_FILE = {Condition.VIDEO, Condition.DOCUMENT}
LOST = {Condition.BAD_FILE_NO_POST, Condition.NOTHING}


class Chat:
    """A courier and a shelf over parts in given conditions; `arrived` holds part numbers in order."""

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self.target = resolved(conditions)
        self.conditions = dict(enumerate(conditions, 1))
        self.arrived: list[int] = []
        self.forgotten: list[int] = []
        self.requeued: list[str] = []
        self.deliveries: list[DeliveryOutcome] = []
        self.now: Resolved | None = None  # what is there now, if it is not what was resolved before
        self.after_requeue: Resolved | None = None  # what there is once something was queued again

    async def send_files(self, user_id: int, files: Sequence[CaptionedFile]) -> None:
        assert 1 <= len(files) <= 10
        assert len({item.file.kind for item in files}) == 1
        if any(self.conditions[item.file.message_id] not in GOOD_FILE for item in files):
            raise FileRefusedError("wrong file identifier")
        self.arrived += [item.file.message_id for item in files]

    async def copy_post(self, user_id: int, channel_id: int, message_id: int, caption: str) -> None:
        if self.conditions[message_id] in LOST:
            raise PostRefusedError("message to copy not found")
        self.arrived.append(message_id)

    async def resolve(self, code: str, *, bot_id: int) -> Resolved:
        return self.now or self.target

    async def save_bot_file(self, file: BotFile) -> None:
        raise AssertionError("delivery keeps no files")

    async def forget_bot_file(self, bot_id: int, channel_id: int, message_id: int) -> None:
        self.forgotten.append(message_id)

    async def note_user(self, user_id: int, language: str | None) -> None:
        raise AssertionError("delivery notes no users")

    async def record_delivery(self, code: str, user_id: int, outcome: DeliveryOutcome) -> None:
        self.deliveries.append(outcome)

    async def requeue(self, code: str) -> VariantState:
        self.requeued.append(code)
        self.now = self.after_requeue
        return VariantState.READY


def resolved(conditions: Sequence[Condition], title: str = "Heat") -> Resolved:
    def part(number: int, condition: Condition) -> Deliverable:
        kind = MediaKind.DOCUMENT if condition is Condition.DOCUMENT else MediaKind.VIDEO
        file = BotFile(BOT_ID, CHANNEL_ID, number, kind, f"f{number}", f"u{number}")
        known = file if condition in HAS_FILE else None
        return Deliverable(number, len(conditions), CHANNEL_ID, number, 1, None, known)

    parts = tuple(part(n, c) for n, c in enumerate(conditions, 1))
    return Resolved("CM_M000007_1080P", VariantState.DONE, title, 1995, None, None, Quality.FULL_HD, parts)


@given(st.lists(st.sampled_from(Condition), min_size=1, max_size=25))
def test_parts_arrive_once_and_in_order_up_to_the_first_that_is_lost(conditions: list[Condition]) -> None:
    chat = Chat(conditions)
    desk = DeliveryDesk(chat, chat, chat, bot_id=BOT_ID)
    outcome = asyncio.run(desk.deliver(resolved(conditions), USER_ID))

    lost = [number for number, condition in chat.conditions.items() if condition in LOST]
    reached = range(1, lost[0]) if lost else range(1, len(conditions) + 1)
    assert chat.arrived == list(reached)
    assert chat.deliveries == [outcome]
    assert (outcome is DeliveryOutcome.MISSING) == bool(lost) == bool(chat.requeued)
    if not lost:
        assert (outcome is DeliveryOutcome.SENT) == GOOD_FILE.issuperset(conditions)
    tried = [n for n in (*reached, *lost[:1]) if chat.conditions[n] in HAS_FILE - GOOD_FILE]
    assert chat.forgotten == tried


async def test_what_was_uploaded_anew_meanwhile_is_sent_and_not_queued_again() -> None:
    chat = Chat([Condition.NOTHING, Condition.NO_FILE])
    stale = resolved([Condition.NOTHING])
    chat.now = msgspec.structs.replace(stale, parts=(msgspec.structs.replace(stale.parts[0], message_id=2),))
    outcome = await DeliveryDesk(chat, chat, chat, bot_id=BOT_ID).deliver(stale, USER_ID)
    assert (outcome, chat.arrived, chat.requeued) == (DeliveryOutcome.COPIED, [2], [])
    assert chat.deliveries == [DeliveryOutcome.MISSING, DeliveryOutcome.COPIED]


@pytest.mark.parametrize("state", [s for s in VariantState if s is not VariantState.DONE])
async def test_what_was_queued_or_taken_out_meanwhile_is_not_queued_again(state: VariantState) -> None:
    chat = Chat([Condition.NOTHING])
    stale = resolved([Condition.NOTHING])
    chat.now = msgspec.structs.replace(stale, state=state, parts=())
    outcome = await DeliveryDesk(chat, chat, chat, bot_id=BOT_ID).deliver(stale, USER_ID)
    assert (outcome, chat.requeued, chat.deliveries) == (DeliveryOutcome.MISSING, [], [DeliveryOutcome.MISSING])


COPY_CODE, COPY_MESSAGE_ID = "CM_M000007_1080P_C02", 40


def copy_of(target: Resolved) -> Resolved:
    part = msgspec.structs.replace(target.parts[0], part_count=1, message_id=COPY_MESSAGE_ID, file=None)
    return msgspec.structs.replace(target, code=COPY_CODE, parts=(part,))


async def test_another_copy_is_sent_where_a_post_is_lost() -> None:
    conditions = [Condition.VIDEO, Condition.NOTHING]
    chat = Chat(conditions)
    chat.after_requeue = copy_of(resolved(conditions))
    chat.conditions[COPY_MESSAGE_ID] = Condition.NO_FILE
    outcome = await DeliveryDesk(chat, chat, chat, bot_id=BOT_ID).deliver(resolved(conditions), USER_ID)
    assert outcome is DeliveryOutcome.COPIED
    assert chat.arrived == [1, COPY_MESSAGE_ID], "the copy is sent whole: its parts may be cut elsewhere"
    assert chat.requeued == ["CM_M000007_1080P"]
    assert chat.deliveries == [DeliveryOutcome.MISSING, DeliveryOutcome.COPIED]


async def test_where_every_copy_is_lost_each_is_queued_again() -> None:
    conditions = [Condition.NOTHING]
    chat = Chat(conditions)
    chat.after_requeue = copy_of(resolved(conditions))
    chat.conditions[COPY_MESSAGE_ID] = Condition.NOTHING
    outcome = await DeliveryDesk(chat, chat, chat, bot_id=BOT_ID).deliver(resolved(conditions), USER_ID)
    assert (outcome, chat.arrived) == (DeliveryOutcome.MISSING, [])
    assert chat.requeued == ["CM_M000007_1080P", COPY_CODE]


@given(st.lists(st.sampled_from(Condition), max_size=40))
def test_albums_hold_every_part_in_order_and_as_few_messages_as_can_be(conditions: list[Condition]) -> None:
    parts = resolved(conditions).parts
    cut = list(albums(parts))
    assert [part for album in cut for part in album] == list(parts)
    assert all(len(album) == 1 or all(part.file is not None for part in album) for album in cut)


@pytest.mark.parametrize("state", [s for s in VariantState if s is not VariantState.DONE])
async def test_only_what_is_done_is_delivered(state: VariantState) -> None:
    chat = Chat([Condition.VIDEO])
    target = msgspec.structs.replace(resolved([Condition.VIDEO]), state=state)
    with pytest.raises(ConflictError):
        await DeliveryDesk(chat, chat, chat, bot_id=BOT_ID).deliver(target, USER_ID)
    assert (chat.arrived, chat.deliveries) == ([], [])


@given(st.text(min_size=1, max_size=1500), st.sampled_from([1, 3]))
def test_a_caption_of_any_title_fits_and_names_the_part(title: str, count: int) -> None:
    target = resolved([Condition.VIDEO] * count, title)
    text = caption(target, target.parts[-1])
    assert len(text) <= CAPTION_CHARS_MAX
    assert text.endswith(" (1995) · 1080p" if count == 1 else " (1995) · 1080p · part 3 of 3")


def test_a_name_leaves_out_what_is_not_known() -> None:
    target = msgspec.structs.replace(resolved([]), year=None, quality=Quality.AUTO)
    assert target.name == "Heat"
    assert msgspec.structs.replace(target, season=0, episode=12).name == "Heat · S00E12"
