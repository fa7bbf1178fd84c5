"""What a Telegram consists of. Plain data; the rules live beside it, one module an aggregate.

Ids follow Telegram: users and bots are positive numbers, a channel has a bare `id` and a marked `chat_id`
(-100...), and every user, bot and channel owns a `Box` that numbers its messages and its changes (`pts`).
"""

from __future__ import annotations

import enum

import msgspec

CHANNEL_MARK = 1_000_000_000_000


def chat_id_of(channel_id: int) -> int:
    """The marked id under which the Bot API and the boxes know a channel."""
    return -CHANNEL_MARK - channel_id


def channel_id_of(chat_id: int) -> int | None:
    """The bare id of a marked channel id; None for the id of a user or of nothing."""
    return -chat_id - CHANNEL_MARK if chat_id < -CHANNEL_MARK else None


class TextEntity(msgspec.Struct, frozen=True, omit_defaults=True):
    """A styled stretch of a text; `kind` is spelled as in the Bot API, offsets count UTF-16 units."""

    kind: str
    offset: int
    length: int
    url: str | None = None
    language: str | None = None


class InlineButton(msgspec.Struct, frozen=True, omit_defaults=True):
    """One button under a message. At most one of `data` (1-64 bytes), `url` and `query` is given."""

    text: str
    data: bytes | None = None
    url: str | None = None
    query: str | None = None
    query_here: bool = False


class InlineKeyboard(msgspec.Struct, frozen=True, tag="inline"):
    """Buttons that belong to one message."""

    rows: tuple[tuple[InlineButton, ...], ...]


class ReplyKeyboard(msgspec.Struct, frozen=True, tag="reply", omit_defaults=True):
    """Buttons that replace the user's keyboard; pressing one sends its text."""

    rows: tuple[tuple[str, ...], ...]
    resize: bool = False
    one_time: bool = False
    placeholder: str | None = None


class RemoveKeyboard(msgspec.Struct, frozen=True, tag="remove"):
    """Takes a `ReplyKeyboard` away."""


class ForceReply(msgspec.Struct, frozen=True, tag="force", omit_defaults=True):
    """Opens a reply to the message."""

    placeholder: str | None = None


Markup = InlineKeyboard | ReplyKeyboard | RemoveKeyboard | ForceReply


class Content(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a message says. With a document, `text` is its caption."""

    text: str = ""
    entities: tuple[TextEntity, ...] = ()
    document_id: int | None = None
    markup: Markup | None = None
    protected: bool = False


class Forward(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a forwarded message comes from: a channel post, or a person."""

    date_s: int
    channel_id: int | None = None
    message_id: int | None = None
    sender_id: int | None = None


class Message(msgspec.Struct, omit_defaults=True):
    """One message, whoever sees it. `ids` maps each box that holds it to its number there."""

    key: int
    sender_id: int
    date_s: int
    content: Content
    channel_id: int | None = None
    recipient_id: int | None = None
    ids: dict[int, int] = msgspec.field(default_factory=dict)
    edit_date_s: int | None = None
    grouped_id: int | None = None
    forward: Forward | None = None
    reply_to_key: int | None = None

    @property
    def post_id(self) -> int:
        """The number of a channel post in its channel."""
        if self.channel_id is None:
            raise ValueError("a private message has a number in each box, not one")
        return self.ids[chat_id_of(self.channel_id)]

    def other_party(self, owner_id: int) -> int:
        """Whom `owner_id` talks to in this private message."""
        if self.recipient_id is None:
            raise ValueError("a channel post has no other party")
        return self.recipient_id if owner_id == self.sender_id else self.sender_id


class EventKind(enum.StrEnum):
    NEW = "new"
    EDIT = "edit"
    DELETE = "delete"


class BoxEvent(msgspec.Struct, frozen=True):
    """One change of a box: `pts` after it, `message_ids` as numbered in the box."""

    kind: EventKind
    pts: int
    pts_count: int
    message_ids: tuple[int, ...]


class Box(msgspec.Struct):
    """The numbered messages of one user, bot or channel, and the changes that a client may have missed."""

    id: int
    next_message_id: int = 1
    pts: int = 1
    keys: dict[int, int] = msgspec.field(default_factory=dict)
    events: list[BoxEvent] = msgspec.field(default_factory=list)


class User(msgspec.Struct, omit_defaults=True):
    """A person's account. `name` labels it for faults and the control API, such as `cm-ember`."""

    id: int
    access_hash: int
    phone: str
    name: str
    first_name: str
    last_name: str = ""
    username: str | None = None
    premium: bool = False
    password: str | None = None


class MemberChange(msgspec.Struct, frozen=True):
    """A bot's standing in a channel changed: `left`, `member` or `administrator`."""

    channel_id: int
    by_user_id: int
    old_status: str
    new_status: str


class Press(msgspec.Struct, frozen=True):
    """A user pressed a callback button of a bot's message; `message` as it stood then."""

    id: int
    bot_id: int
    user_id: int
    message: Message
    data: bytes


class UpdateKind(enum.StrEnum):
    """What a bot can be told; the values are the Bot API's own names."""

    MESSAGE = "message"
    EDITED_MESSAGE = "edited_message"
    CHANNEL_POST = "channel_post"
    EDITED_CHANNEL_POST = "edited_channel_post"
    CALLBACK_QUERY = "callback_query"
    MY_CHAT_MEMBER = "my_chat_member"


class BotUpdate(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of a bot's queue. `message` is a copy: later edits do not rewrite the queue."""

    id: int
    kind: UpdateKind
    date_s: int
    message: Message | None = None
    press: Press | None = None
    member: MemberChange | None = None


class Bot(msgspec.Struct, omit_defaults=True):
    """A bot and what waits for it. `allowed_updates` None means all kinds."""

    id: int
    access_hash: int
    token: str
    username: str
    first_name: str
    allowed_updates: tuple[str, ...] | None = None
    webhook_url: str | None = None
    webhook_secret: str | None = None
    commands: tuple[tuple[str, str], ...] = ()
    started_by: set[int] = msgspec.field(default_factory=set)
    blocked_by: set[int] = msgspec.field(default_factory=set)
    next_update_id: int = 1
    updates: list[BotUpdate] = msgspec.field(default_factory=list)


class AdminRights(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an administrator of a channel may do."""

    change_info: bool = False
    post_messages: bool = False
    edit_messages: bool = False
    delete_messages: bool = False
    invite_users: bool = False
    add_admins: bool = False
    other: bool = False

    @property
    def any(self) -> bool:
        return self != AdminRights()


ALL_RIGHTS = AdminRights(
    change_info=True,
    post_messages=True,
    edit_messages=True,
    delete_messages=True,
    invite_users=True,
    add_admins=True,
    other=True,
)


class Channel(msgspec.Struct, omit_defaults=True):
    """A broadcast channel. `members` are the users and bots in it, administrators included."""

    id: int
    access_hash: int
    title: str
    creator_id: int
    date_s: int
    about: str = ""
    username: str | None = None
    no_forwards: bool = False
    invite_hash: str | None = None
    admins: dict[int, AdminRights] = msgspec.field(default_factory=dict)
    members: set[int] = msgspec.field(default_factory=set)

    @property
    def chat_id(self) -> int:
        return chat_id_of(self.id)


class VideoTrait(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the sender declared about a video."""

    duration_s: float
    width_px: int
    height_px: int
    supports_streaming: bool = False


class MediaKind(enum.StrEnum):
    """How a file was stored; it cannot be sent as another kind later."""

    VIDEO = "video"
    DOCUMENT = "document"


class Document(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stored file. `blob` names its bytes; the thumbnail is a blob too."""

    id: int
    access_hash: int
    date_s: int
    size_bytes: int
    part_bytes: int
    mime_type: str
    file_name: str
    blob: str
    video: VideoTrait | None = None
    thumb_blob: str | None = None
    thumb_size_bytes: int = 0
    thumb_width_px: int = 0
    thumb_height_px: int = 0

    @property
    def kind(self) -> MediaKind:
        if self.video is not None and self.mime_type == "video/mp4":
            return MediaKind.VIDEO
        return MediaKind.DOCUMENT


class AuthKey(msgspec.Struct):
    """A client's key, and who signed in with it (None: nobody yet)."""

    id: int
    key: bytes
    user_id: int | None = None
    pending_user_id: int | None = None  # gave the right code, owes the password


class WorldState(msgspec.Struct):
    """Everything that survives a restart."""

    next_user_id: int = 1_000_001
    next_channel_id: int = 2_000_000_001
    next_message_key: int = 1
    salt: int = 0
    users: dict[int, User] = msgspec.field(default_factory=dict)
    bots: dict[int, Bot] = msgspec.field(default_factory=dict)
    channels: dict[int, Channel] = msgspec.field(default_factory=dict)
    boxes: dict[int, Box] = msgspec.field(default_factory=dict)
    messages: dict[int, Message] = msgspec.field(default_factory=dict)
    documents: dict[int, Document] = msgspec.field(default_factory=dict)
    auth_keys: dict[int, AuthKey] = msgspec.field(default_factory=dict)
    random_ids: dict[int, dict[int, int]] = msgspec.field(default_factory=dict)
