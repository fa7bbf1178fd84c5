"""The bot itself, its chats, its commands, its files, and the buttons pressed under its messages."""

from __future__ import annotations

import re
from pathlib import PurePath

import msgspec

from telecine.core.emulator.botapi.errors import WRONG_FILE_ID, BotApiError, bad_request
from telecine.core.emulator.botapi.faces import user_face
from telecine.core.emulator.botapi.registry import Call, ChatId, Methods, NoParameters
from telecine.core.emulator.telegram.entities import Channel, Document
from telecine.core.emulator.telegram.presses import PressAnswer

METHODS = Methods()

DOWNLOAD_BYTES_MAX = 20 * 1024 * 1024
"""What a bot may download from the public Bot API server (core.telegram.org/bots/api#getfile)."""
ANSWER_CHARS_MAX = 200
COMMANDS_MAX = 100


class ChatParameters(msgspec.Struct, frozen=True):
    """Parameters of getChat and sendChatAction."""

    chat_id: ChatId
    action: str | None = None


class MemberParameters(msgspec.Struct, frozen=True):
    """Parameters of getChatMember."""

    chat_id: ChatId
    user_id: int


class FileParameters(msgspec.Struct, frozen=True):
    """Parameters of getFile."""

    file_id: str


class AnswerParameters(msgspec.Struct, frozen=True):
    """Parameters of answerCallbackQuery."""

    callback_query_id: str
    text: str | None = None
    show_alert: bool = False
    url: str | None = None
    cache_time: int = 0


class CommandParameters(msgspec.Struct, frozen=True):
    """A command of a bot's menu."""

    command: str
    description: str


class CommandsParameters(msgspec.Struct, frozen=True):
    """Parameters of setMyCommands."""

    commands: tuple[CommandParameters, ...]


@METHODS.method("getMe", NoParameters)
async def get_me(call: Call, given: NoParameters) -> object:
    """Who the bot is."""
    abilities = {
        "can_join_groups": True,
        "can_read_all_group_messages": False,
        "supports_inline_queries": False,
        "can_connect_to_business": False,
        "has_main_web_app": False,
    }
    return user_face(call.bot) | abilities


@METHODS.method("logOut", NoParameters)
async def log_out(call: Call, given: NoParameters) -> object:
    """Leave this server: its poll ends."""
    call.polls.end(call.bot, "Logged out")
    return True


@METHODS.method("close", NoParameters)
async def close(call: Call, given: NoParameters) -> object:
    """Close the bot's instance: its poll ends."""
    call.polls.end(call.bot, "Closed")
    return True


@METHODS.method("getChat", ChatParameters)
async def get_chat(call: Call, given: ChatParameters) -> object:
    """What the bot may know of a chat."""
    chat = call.known_chat(given.chat_id)
    face = call.faces.chat(chat) | {
        "accent_color_id": 0,
        "max_reaction_count": 11,
        "accepted_gift_types": {
            "unlimited_gifts": False,
            "limited_gifts": False,
            "unique_gifts": False,
            "premium_subscription": False,
            "gifts_from_channels": False,
        },
    }
    if isinstance(chat, Channel):
        face |= {"has_protected_content": True} if chat.no_forwards else {}
        face |= {"description": chat.about} if chat.about else {}
    return face


@METHODS.method("getChatMember", MemberParameters)
async def get_chat_member(call: Call, given: MemberParameters) -> object:
    """Somebody's standing in a chat."""
    chat = call.known_chat(given.chat_id)
    if call.world.directory.peer(given.user_id) is None:
        raise bad_request("PARTICIPANT_ID_INVALID")
    if isinstance(chat, Channel):
        return call.faces.member(chat, given.user_id)
    return {"status": "member", "user": call.faces.user(given.user_id)}


@METHODS.method("sendChatAction", ChatParameters)
async def send_chat_action(call: Call, given: ChatParameters) -> object:
    """Show that the bot is busy."""
    call.known_chat(given.chat_id)
    if not given.action:
        raise bad_request("wrong parameter action in request")
    return True


@METHODS.method("answerCallbackQuery", AnswerParameters)
async def answer_callback_query(call: Call, given: AnswerParameters) -> object:
    """Answer a pressed button, once and in time."""
    if len(given.text or "") > ANSWER_CHARS_MAX:
        raise bad_request("MESSAGE_TOO_LONG")
    press_id = int(given.callback_query_id) if given.callback_query_id.isdecimal() else 0
    answer = PressAnswer(given.text, given.show_alert, given.url, given.cache_time)
    call.world.presses.answer(call.bot, press_id, answer)
    return True


@METHODS.method("setMyCommands", CommandsParameters)
async def set_my_commands(call: Call, given: CommandsParameters) -> object:
    """Replace the bot's menu. Scopes and languages share one."""
    if len(given.commands) > COMMANDS_MAX:
        raise bad_request("BOT_COMMANDS_TOO_MUCH")
    for command in given.commands:
        if not re.fullmatch(r"[a-z0-9_]{1,32}", command.command.removeprefix("/")):
            raise bad_request("BOT_COMMAND_INVALID")
        if not 1 <= len(command.description) <= 256:
            raise bad_request("BOT_COMMAND_DESCRIPTION_INVALID")
    call.bot.commands = tuple((command.command.removeprefix("/"), command.description) for command in given.commands)
    call.world.changed()
    return True


@METHODS.method("getMyCommands", NoParameters)
async def get_my_commands(call: Call, given: NoParameters) -> object:
    """The bot's menu."""
    return [{"command": name, "description": text} for name, text in call.bot.commands]


@METHODS.method("deleteMyCommands", NoParameters)
async def delete_my_commands(call: Call, given: NoParameters) -> object:
    """Empty the bot's menu."""
    call.bot.commands = ()
    call.world.changed()
    return True


@METHODS.method("getFile", FileParameters)
async def get_file(call: Call, given: FileParameters) -> object:
    """Where the bot may download a file of up to 20 MB."""
    documents = call.world.documents
    document = documents.by_file_id(call.bot, given.file_id)
    if document is None:
        raise bad_request(WRONG_FILE_ID)
    if document.size_bytes > DOWNLOAD_BYTES_MAX:
        raise bad_request("file is too big")
    return {
        "file_id": given.file_id,
        "file_unique_id": documents.file_unique_id(document),
        "file_size": document.size_bytes,
        "file_path": f"{document.kind.value}s/{given.file_id}{_suffix(document)}",
    }


def downloadable(call: Call, file_path: str) -> Document:
    """The file behind a `file_path` of getFile. Raises BotApiError 404."""
    kind, _, rest = file_path.partition("/")
    document = call.world.documents.by_file_id(call.bot, rest.partition(".")[0])
    if document is None or kind != f"{document.kind.value}s" or document.size_bytes > DOWNLOAD_BYTES_MAX:
        raise BotApiError(404)
    return document


def _suffix(document: Document) -> str:
    """The end of the file's name where it fits into a path as it is."""
    suffix = PurePath(document.file_name).suffix
    return suffix if suffix.isascii() and suffix[1:].isalnum() else ""
