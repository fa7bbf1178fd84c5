"""The world by itself: what survives a restart, who is told what, what bots know files by."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.clocks import HandClock
from tests.core.emulator.conftest import BOT_TOKEN

from telecine.core.emulator.telegram.boxes import Boxes
from telecine.core.emulator.telegram.entities import (
    ALL_RIGHTS,
    Bot,
    Content,
    EventKind,
    InlineButton,
    InlineKeyboard,
    Message,
    UpdateKind,
    VideoTrait,
    WorldState,
)
from telecine.core.emulator.telegram.feeds import Notice
from telecine.core.emulator.telegram.limits import TelegramLimits
from telecine.core.emulator.telegram.persistence import STATE_FILE
from telecine.core.emulator.telegram.refusals import RefusalError
from telecine.core.emulator.telegram.world import World
from telecine.core.errors import ConflictError, InputError, NotFoundError, StoreError


def bot_of(world: World) -> Bot:
    bot = world.directory.bot_by_token(BOT_TOKEN)
    assert bot is not None
    return bot


def test_everything_survives_a_restart(fresh_folder: Path) -> None:
    world = World.open(fresh_folder)
    user, bot = world.add_user("1", "cm-ember", premium=True), world.add_bot(BOT_TOKEN, "film_bot")
    channel = world.channels.create(user.id, "CM_C000001")
    world.channels.set_admin(channel, user.id, bot.id, ALL_RIGHTS)
    document = world.documents.store(b"film", "film.mp4", "video/mp4", VideoTrait(1.5, 640, 360))
    keyboard = InlineKeyboard(((InlineButton("Go", b"go"),),))
    world.messages.post(channel, user.id, Content("CM_M000001", document_id=document.id))
    world.messages.send(user.id, bot.id, Content("/start"))
    world.messages.send(bot.id, user.id, Content("Hello", markup=keyboard))
    file_id, salt = world.documents.file_id(bot, document), world.salt
    world.close()

    again = World.open(fresh_folder)
    assert again.directory.user(user.id) == user
    (channel,) = again.channels.all()
    (post,) = again.messages.in_channel(channel)
    assert (post.post_id, post.content.text) == (2, "CM_M000001")
    assert [update.kind for update in again.feeds.pending(bot_of(again))] == [
        UpdateKind.MY_CHAT_MEMBER,
        UpdateKind.CHANNEL_POST,
        UpdateKind.MESSAGE,
    ]
    found = again.documents.by_file_id(bot_of(again), file_id)
    assert found == document
    assert again.documents.read(document) == b"film"
    assert again.messages.in_dialog(user.id, bot.id)[0].content.markup == keyboard
    assert again.salt == salt


async def test_changes_are_written_without_being_asked(fresh_folder: Path) -> None:
    world = World.open(fresh_folder)
    world.add_user("1", "cm-ember")
    world.save()
    assert World.open(fresh_folder).directory.user_named("cm-ember").phone == "1"


def test_unclaimed_parts_do_not_survive(fresh_folder: Path) -> None:
    world = World.open(fresh_folder)
    user = world.add_user("1", "cm-ember")
    world.uploads.save_big_part(user, 5, 0, 1, b"part")
    world.save()
    World.open(fresh_folder)
    assert list((fresh_folder / "blobs").iterdir()) == []


def test_damaged_state_is_named(fresh_folder: Path) -> None:
    World.open(fresh_folder).close()
    (fresh_folder / STATE_FILE).write_bytes(b"\xc1")
    with pytest.raises(StoreError, match=STATE_FILE):
        World.open(fresh_folder)


def test_state_is_readable_by_its_owner_alone(fresh_folder: Path) -> None:
    world = World.open(fresh_folder)
    world.add_user("1", "cm-ember")
    world.close()
    assert (fresh_folder / STATE_FILE).stat().st_mode & 0o077 == 0


def test_seeding_refuses_what_is_taken_or_wrong(world: World) -> None:
    with pytest.raises(ConflictError):
        world.add_user("+1 555 0001", "another")
    with pytest.raises(ConflictError):
        world.add_user("15559999", "cm-ember")
    with pytest.raises(ConflictError):
        world.add_bot("8000001:x", "FILM_BOT")
    with pytest.raises(InputError):
        world.add_bot("no-token", "other_bot")
    with pytest.raises(InputError):
        world.add_user("no digits", "another")
    with pytest.raises(NotFoundError):
        world.directory.user_named("nobody")


def test_file_ids_belong_to_one_bot_and_are_stable(world: World) -> None:
    bot, other = bot_of(world), world.add_bot("7000002:BBOther", "other_bot")
    video = world.documents.store(b"v", "v.mp4", "video/mp4", VideoTrait(1, 2, 3))
    plain = world.documents.store(b"d", "d.mkv", "video/x-matroska")
    for document, prefix in ((video, "BAACAgIA"), (plain, "BQACAgIA")):
        file_id = world.documents.file_id(bot, document)
        assert file_id == world.documents.file_id(bot, document)
        assert file_id.startswith(prefix)
        assert world.documents.by_file_id(bot, file_id) == document
        assert world.documents.by_file_id(other, file_id) is None
        assert world.documents.by_file_id(bot, file_id[:-2] + "AA") is None
    assert world.documents.file_unique_id(video) != world.documents.file_unique_id(plain)


@pytest.mark.parametrize("file_id", ["", "AAAA", "not base64!", "BAACAg", "é", "B" * 300])
def test_garbled_file_ids_are_nothing(world: World, file_id: str) -> None:
    assert world.documents.by_file_id(bot_of(world), file_id) is None


def test_queue_keeps_messages_as_they_were(world: World) -> None:
    bot, viewer = bot_of(world), world.directory.user_named("viewer")
    message, _ = world.messages.send(viewer.id, bot.id, Content("first"))
    world.messages.edit(message, viewer.id, Content("second"))
    texts = [(u.kind, u.message and u.message.content.text) for u in world.feeds.pending(bot)]
    assert texts == [(UpdateKind.MESSAGE, "first"), (UpdateKind.EDITED_MESSAGE, "second")]


def test_confirmed_updates_are_gone_and_numbers_go_on(world: World) -> None:
    bot, viewer = bot_of(world), world.directory.user_named("viewer")
    for text in ("a", "b", "c"):
        world.messages.send(viewer.id, bot.id, Content(text))
    world.feeds.confirm(bot, 2)
    assert [update.id for update in world.feeds.pending(bot)] == [2, 3]
    world.feeds.confirm(bot, -1)
    assert [update.id for update in world.feeds.pending(bot)] == [3]
    world.feeds.confirm(bot, 99)
    assert not world.feeds.pending(bot)
    assert not world.feeds.arrival(bot.id).is_set()
    world.messages.send(viewer.id, bot.id, Content("d"))
    assert world.feeds.arrival(bot.id).is_set()
    assert [update.id for update in world.feeds.pending(bot)] == [4]


def test_updates_wait_for_a_day_at_most() -> None:
    clock = HandClock()
    world = World.open(clock=clock)
    bot, viewer = world.add_bot(BOT_TOKEN, "film_bot"), world.add_user("9", "viewer")
    world.messages.send(viewer.id, bot.id, Content("early"))
    clock.advance(24 * 3600)
    world.messages.send(viewer.id, bot.id, Content("late"))
    assert len(world.feeds.pending(bot)) == 2
    clock.advance(1)
    assert [u.message and u.message.content.text for u in world.feeds.pending(bot)] == ["late"]


def test_kinds_that_a_bot_does_not_want_are_not_queued(world: World) -> None:
    bot, viewer = bot_of(world), world.directory.user_named("viewer")
    bot.allowed_updates = ("callback_query",)
    world.messages.send(viewer.id, bot.id, Content("unheard"))
    assert not world.feeds.pending(bot)


def test_listener_is_told_until_it_unsubscribes_and_never_of_its_own(world: World) -> None:
    ember = world.directory.user_named("cm-ember")
    channel = world.channels.create(ember.id, "CM_C000001")
    told: list[Notice] = []
    unsubscribe = world.feeds.subscribe(ember.id, told.append)
    world.messages.post(channel, ember.id, Content("one"))
    unsubscribe()
    unsubscribe()
    world.messages.post(channel, ember.id, Content("two"))
    assert [(notice.box_id, notice.event.pts) for notice in told] == [(channel.chat_id, 2)]


def test_keyboards_that_telegram_refuses_are_refused(world: World) -> None:
    ember = world.directory.user_named("cm-ember")
    refused = {
        "BUTTON_DATA_INVALID": [InlineButton("x", b"")],
        "BUTTON_TEXT_INVALID": [InlineButton(" ", b"x")],
        "REPLY_MARKUP_TOO_LONG": [InlineButton("x", b"x")] * 101,
    }
    for name, buttons in refused.items():
        with pytest.raises(RefusalError) as error:
            world.messages.send(ember.id, ember.id, Content("x", markup=InlineKeyboard((tuple(buttons),))))
        assert error.value.name == name
    with pytest.raises(RefusalError, match="BUTTON_DATA_INVALID"):
        TelegramLimits().check_keyboard(InlineKeyboard(((InlineButton("x", b"x" * 65),),)))
    TelegramLimits().check_keyboard(InlineKeyboard(((InlineButton("x", b"x" * 64),),)))


@pytest.mark.parametrize(("text", "name"), [(" ", "MESSAGE_EMPTY"), ("x" * 4097, "MESSAGE_TOO_LONG")])
def test_texts_that_telegram_refuses_are_refused(world: World, text: str, name: str) -> None:
    ember = world.directory.user_named("cm-ember")
    with pytest.raises(RefusalError) as error:
        world.messages.send(ember.id, ember.id, Content(text))
    assert error.value.name == name
    assert world.messages.in_dialog(ember.id, ember.id) == []


def test_caption_limit_depends_on_premium() -> None:
    limits = TelegramLimits()
    limits.check_caption("x" * 1024, premium=False)
    limits.check_caption("x" * 4096, premium=True)
    with pytest.raises(RefusalError, match="MEDIA_CAPTION_TOO_LONG"):
        limits.check_caption("x" * 1025, premium=False)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a.mp4", "a.mp4"),
        ("x" * 80 + ".mkv", "x" * 56 + ".mkv"),
        ("x" * 80, "x" * 60),
        ("x" * 70 + "." + "y" * 9, "x" * 60),
    ],
)
def test_file_names_are_trimmed_to_sixty(name: str, kept: str) -> None:
    assert TelegramLimits().trim_file_name(name) == kept


def test_box_tells_every_missed_change_until_it_has_forgotten_some() -> None:
    boxes = Boxes(WorldState(), msgspec.structs.replace(TelegramLimits(), box_events_max=4))
    for key in range(1, 4):
        boxes.put(7, Message(key, 7, 0, Content("x")))
    boxes.take_out(7, (1, 2))
    missed = boxes.since(7, 1)
    assert missed is not None
    assert [(event.kind, event.pts) for event in missed] == [
        (EventKind.NEW, 2),
        (EventKind.NEW, 3),
        (EventKind.NEW, 4),
        (EventKind.DELETE, 6),
    ]
    assert boxes.since(7, 6) == []
    boxes.put(7, Message(4, 7, 0, Content("x")))
    assert boxes.since(7, 1) is None
    last = boxes.since(7, 6)
    assert last is not None
    assert [event.message_ids for event in last] == [(4,)]


def test_rights_decide_who_edits_and_deletes(world: World) -> None:
    ember, rora = world.directory.user_named("cm-ember"), world.directory.user_named("cm-rora")
    channel = world.channels.create(ember.id, "CM_C000001")
    world.channels.invite(channel, ember.id, rora.id)
    message, _ = world.messages.post(channel, ember.id, Content("mine"))
    with pytest.raises(RefusalError, match="CHAT_ADMIN_REQUIRED"):
        world.messages.edit(message, rora.id, Content("theirs"))
    with pytest.raises(RefusalError, match="MESSAGE_DELETE_FORBIDDEN"):
        world.messages.delete(rora.id, channel.chat_id, [message.post_id])
    with pytest.raises(RefusalError, match="CHAT_WRITE_FORBIDDEN"):
        world.messages.post(channel, rora.id, Content("theirs"))
    with pytest.raises(RefusalError, match="CHAT_ADMIN_REQUIRED"):
        world.channels.delete(channel, rora.id)
    assert message.content.text == "mine"
    world.channels.delete(channel, ember.id)
    assert world.messages.by_key(message.key) is None
