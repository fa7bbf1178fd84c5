"""A bot on a recorded session: updates are pushed into its polling, its requests are taken out one by one."""

from __future__ import annotations

import asyncio
import html
import json
import re
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import Any, TypeVar

import msgspec
import pytest
from aiogram import Bot
from aiogram.client.session.base import BaseSession
from aiogram.methods import (
    AnswerCallbackQuery,
    CopyMessage,
    GetMe,
    GetUpdates,
    SendMediaGroup,
    SendMessage,
    TelegramMethod,
)
from aiogram.methods.base import TelegramType
from aiogram.types import InlineKeyboardMarkup
from tests.clocks import JumpingClock

from telecine.bot.service import TelecineBot
from telecine.core import codes
from telecine.core.catalogue import (
    CatalogueCounts,
    Episode,
    Title,
    TitleDetail,
    TitleKind,
    VariantDetail,
    VariantSummary,
)
from telecine.core.config import BotSettings, TelegramSettings
from telecine.core.delivery import BotFile, Deliverable, DeliveryOutcome, MediaKind, Resolved
from telecine.core.errors import NotFoundError, TelecineError
from telecine.core.leases import VariantState
from telecine.core.protocol import StoredContent

TOKEN = "4242:AAbbCCddEEffGGhhIIjjKKllMMnnOOppQQr"
BOT_ID = 4242
CHANNEL_ID = 777
USER_ID = 99
PATIENCE_S = 5.0
TOO_OLD = "query is too old and response timeout expired or query ID is invalid"

M = TypeVar("M", bound=TelegramMethod[Any])


class MemoryCatalogue:
    """The catalogue that the bot reads, in a dict."""

    def __init__(self) -> None:
        self.details: dict[int, TitleDetail] = {}
        self.failure: Exception | None = None

    async def search(self, text: str, *, limit: int = 20, offset: int = 0) -> tuple[Title, ...]:
        if self.failure is not None:
            raise self.failure
        words = text.casefold().split()
        found = [d for d in self.details.values() if all(w in d.name.casefold() for w in words)]
        titles = [Title(d.id, d.kind, d.name, d.year, self._available(d)) for d in sorted(found, key=lambda d: d.name)]
        return tuple(titles[offset : offset + limit])

    async def title(self, title_id: int) -> TitleDetail:
        if title_id not in self.details:
            raise NotFoundError(f"no title {title_id}")
        return self.details[title_id]

    async def variant(self, code: str) -> VariantDetail:
        raise NotFoundError(code)

    async def variants(
        self, *, state: VariantState | None = None, account: str | None = None, after: str = "", limit: int = 100
    ) -> tuple[VariantSummary, ...]:
        return ()

    async def contents(self, account: str, blake3: str) -> tuple[StoredContent, ...]:
        return ()

    async def counts(self) -> CatalogueCounts:
        raise NotFoundError("counts")

    @staticmethod
    def _available(detail: TitleDetail) -> int:
        variants = [*detail.variants, *(v for e in detail.episodes for v in e.variants)]
        return sum(v.state is VariantState.DONE for v in variants)


class MemoryShelf:
    """The shelf and the queue that delivery uses, in dicts."""

    def __init__(self) -> None:
        self.targets: dict[str, Resolved] = {}
        self.files: dict[tuple[int, int, int], BotFile] = {}
        self.deliveries: list[tuple[str, int, DeliveryOutcome]] = []
        self.users: list[tuple[int, str | None]] = []
        self.requeued: list[str] = []
        self.save_failures: deque[Exception] = deque()
        self.requeue_failure: TelecineError | None = None
        self.saved = asyncio.Event()
        self.recorded = asyncio.Event()

    async def resolve(self, code: str, *, bot_id: int) -> Resolved:
        codes.parse_variant(code)
        if code not in self.targets:
            raise NotFoundError(f"no variant {code}")
        target = self.targets[code]
        parts = [
            msgspec.structs.replace(p, file=self.files.get((bot_id, p.channel_id, p.message_id))) for p in target.parts
        ]
        return msgspec.structs.replace(target, parts=tuple(parts))

    async def save_bot_file(self, file: BotFile) -> None:
        if self.save_failures:
            raise self.save_failures.popleft()
        self.files[file.bot_id, file.channel_id, file.message_id] = file
        self.saved.set()

    async def forget_bot_file(self, bot_id: int, channel_id: int, message_id: int) -> None:
        del self.files[bot_id, channel_id, message_id]

    async def note_user(self, user_id: int, language: str | None) -> None:
        self.users.append((user_id, language))

    async def record_delivery(self, code: str, user_id: int, outcome: DeliveryOutcome) -> None:
        self.deliveries.append((code, user_id, outcome))
        self.recorded.set()

    async def requeue(self, code: str) -> VariantState:
        if self.requeue_failure is not None:
            raise self.requeue_failure
        self.requeued.append(code)
        return VariantState.READY


class RecordingSession(BaseSession):
    """Answers from what was queued, else with what Telegram would say when all is well; records every request."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[TelegramMethod[Any]] = []
        self.pending: list[dict[str, Any]] = []
        self.changed = asyncio.Condition()
        self.closed = False
        self.answered: set[str] = set()
        self._answers: dict[type[Any], deque[tuple[int, dict[str, Any]] | Exception]] = defaultdict(deque)
        self._message_id = 5000

    def refuse(self, method: type[Any], status: int, description: str, **parameters: int) -> None:
        """Queue a refusal of the next request of a kind."""
        answer = {"ok": False, "error_code": status, "description": description, "parameters": parameters}
        self._answers[method].append((status, answer))

    def fail(self, method: type[Any], error: Exception) -> None:
        """Queue an error of the HTTP client."""
        self._answers[method].append(error)

    async def push(self, update: dict[str, Any]) -> None:
        async with self.changed:
            self.pending.append(update)
            self.changed.notify_all()

    async def make_request(
        self, bot: Bot, method: TelegramMethod[TelegramType], timeout: int | None = None
    ) -> TelegramType:
        async with self.changed:
            self.requests.append(method)
            self.changed.notify_all()
        status, answer = await self._answer(method)
        response = self.check_response(bot, method, status, json.dumps(answer))
        assert response.result is not None
        return response.result

    async def _answer(self, method: TelegramMethod[Any]) -> tuple[int, dict[str, Any]]:
        queued = self._answers[type(method)]
        if queued:
            answer = queued.popleft()
            if isinstance(answer, Exception):
                raise answer
            return answer
        if isinstance(method, AnswerCallbackQuery):
            if method.callback_query_id in self.answered:
                return 400, {"ok": False, "error_code": 400, "description": f"Bad Request: {TOO_OLD}"}
            self.answered.add(method.callback_query_id)
        result = await self._updates(method) if isinstance(method, GetUpdates) else self._result(method)
        return 200, {"ok": True, "result": result}

    async def _updates(self, method: GetUpdates) -> list[dict[str, Any]]:
        async with self.changed:
            self.pending = [u for u in self.pending if u["update_id"] >= (method.offset or 0)]
            if method.timeout:
                await self.changed.wait_for(lambda: bool(self.pending))
            return list(self.pending)

    def _result(self, method: TelegramMethod[Any]) -> Any:
        self._message_id += 1
        chat = {"id": getattr(method, "chat_id", None) or USER_ID, "type": "private"}
        message = {"message_id": self._message_id, "date": 1, "chat": chat}
        match method:
            case GetMe():
                return {"id": BOT_ID, "is_bot": True, "first_name": "Telecine", "username": "telecine_bot"}
            case CopyMessage():
                return {"message_id": self._message_id}
            case SendMediaGroup():
                return [message] * len(method.media)
            case _ if method.__api_method__.startswith(("send", "editMessage")):
                return message
            case _:
                return True

    async def close(self) -> None:
        self.closed = True

    async def stream_content(self, url: str, *_: Any, **__: Any) -> AsyncGenerator[bytes, None]:
        yield b""


class Talk:
    """One user's conversation with the bot, seen from Telegram's side."""

    def __init__(self, bot: TelecineBot, session: RecordingSession, shelf: MemoryShelf, clock: JumpingClock) -> None:
        self.bot = bot
        self.session = session
        self.shelf = shelf
        self.clock = clock
        self._update_id = 0
        self._taken: dict[type[Any], int] = defaultdict(int)

    async def say(self, text: str, user_id: int = USER_ID) -> None:
        await self.push("message", private_message(user_id, text=text))

    async def press(self, screen: Any, label: str) -> None:
        """Press the button of a recorded screen whose label holds `label`."""
        data = [b.callback_data for b in buttons(screen) if label in b.text]
        assert data, f"no button {label!r} among {labels(screen)}"
        await self.press_data(data[0] or "", text=plain(screen.text))

    async def press_data(self, data: str, *, text: str = "something", user_id: int = USER_ID) -> None:
        message = private_message(BOT_ID, chat_id=user_id, text=text)
        press = {
            "id": str(self._update_id + 1),
            "from": person(user_id),
            "chat_instance": "1",
            "message": message,
            "data": data,
        }
        await self.push("callback_query", press)

    async def post(self, message_id: int, *, kind: str = "channel_post", **content: Any) -> None:
        chat = {"id": -1_000_000_000_000 - CHANNEL_ID, "type": "channel", "title": "CM_C000001"}
        await self.push(kind, {"message_id": message_id, "date": 1, "chat": chat, **content})

    async def push(self, kind: str, event: dict[str, Any]) -> None:
        self._update_id += 1
        await self.session.push({"update_id": self._update_id, kind: event})

    async def next(self, method: type[M]) -> M:
        """The next request of a kind that has not been taken yet; waits for it."""
        taken = self._taken[method]
        self._taken[method] += 1

        def found() -> list[M]:
            return [r for r in self.session.requests if isinstance(r, method)]

        async with asyncio.timeout(PATIENCE_S), self.session.changed:
            await self.session.changed.wait_for(lambda: len(found()) > taken)
            return found()[taken]

    async def reply(self) -> str:
        """The text of the next message."""
        return (await self.next(SendMessage)).text or ""

    async def nothing_more_of(self, *methods: type[Any]) -> None:
        """Assert that no request of these kinds is left untaken, once the bot has answered one more message."""
        await self.say("/help")
        while "Send me a few words" not in ((await self.next(SendMessage)).text or ""):
            assert SendMessage not in methods, "a message more than expected"
        for method in methods:
            if method is not SendMessage:
                assert sum(isinstance(r, method) for r in self.session.requests) == self._taken[method]

    async def recorded(self) -> tuple[str, int, DeliveryOutcome]:
        async with asyncio.timeout(PATIENCE_S):
            await self.shelf.recorded.wait()
        return self.shelf.deliveries[-1]


def person(user_id: int) -> dict[str, Any]:
    return {"id": user_id, "is_bot": user_id == BOT_ID, "first_name": "Ada", "language_code": "en"}


def private_message(user_id: int, *, chat_id: int | None = None, **content: Any) -> dict[str, Any]:
    chat = {"id": chat_id or user_id, "type": "private", "first_name": "Ada"}
    entities = {}
    if str(content.get("text", "")).startswith("/"):
        length = len(str(content["text"]).split()[0])
        entities = {"entities": [{"type": "bot_command", "offset": 0, "length": length}]}
    return {"message_id": 10, "date": 1, "chat": chat, "from": person(user_id), **content, **entities}


def buttons(screen: Any) -> list[Any]:
    markup = screen.reply_markup if hasattr(screen, "reply_markup") else screen.keyboard
    return [b for row in markup.inline_keyboard for b in row] if isinstance(markup, InlineKeyboardMarkup) else []


def labels(screen: Any) -> list[str]:
    return [b.text for b in buttons(screen)]


def plain(text: str | None) -> str:
    """What Telegram shows of an HTML text."""
    return html.unescape(re.sub(r"<[^>]+>", "", text or ""))


def summary(code: str, state: VariantState = VariantState.DONE) -> VariantSummary:
    return VariantSummary(code, codes.parse_variant(code).quality, state)


def film(title_id: int, name: str, *variants: VariantSummary, year: int | None = 1999) -> TitleDetail:
    return TitleDetail(title_id, f"cm-{title_id}", TitleKind.MOVIE, name, year, variants, ())


def series(title_id: int, name: str, numbers: list[tuple[int, int]], year: int | None = 2008) -> TitleDetail:
    def episode(season: int, number: int) -> Episode:
        code = f"CM_S{title_id:06d}_S{season:02d}E{number:02d}_720P"
        return Episode(season * 100 + number, season, number, f"Part {number}", (summary(code),))

    episodes = tuple(episode(*pair) for pair in numbers)
    return TitleDetail(title_id, f"cm-{title_id}", TitleKind.SERIES, name, year, (), episodes)


def target(
    code: str, *message_ids: int, state: VariantState = VariantState.DONE, title: str = "The Matrix"
) -> Resolved:
    """A target whose parts are the given messages of the storage channel."""
    parsed = codes.parse_variant(code)
    parts = tuple(
        Deliverable(i, len(message_ids), CHANNEL_ID, message_id, 1000, 2.0, None)
        for i, message_id in enumerate(message_ids, 1)
    )
    return Resolved(code, state, "The Matrix", 1999, parsed.season, parsed.episode, parsed.quality, parts)


def stored(message_id: int, kind: MediaKind = MediaKind.VIDEO) -> BotFile:
    return BotFile(BOT_ID, CHANNEL_ID, message_id, kind, f"file-{message_id}", f"unique-{message_id}")


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock(1000.0)


@pytest.fixture
def catalogue() -> MemoryCatalogue:
    return MemoryCatalogue()


@pytest.fixture
def shelf() -> MemoryShelf:
    return MemoryShelf()


@pytest.fixture
def session() -> RecordingSession:
    return RecordingSession()


@pytest.fixture
def settings() -> BotSettings:
    return BotSettings(page_size=3)


@pytest.fixture
def bot(
    settings: BotSettings,
    catalogue: MemoryCatalogue,
    shelf: MemoryShelf,
    session: RecordingSession,
    clock: JumpingClock,
) -> TelecineBot:
    telegram = TelegramSettings(api_id=1, api_hash="0" * 32, bot_token=TOKEN)
    return TelecineBot(
        telegram, settings, catalogue=catalogue, shelf=shelf, requeue=shelf, clock=clock, session=session
    )


@pytest.fixture
async def talk(
    bot: TelecineBot, session: RecordingSession, shelf: MemoryShelf, clock: JumpingClock
) -> AsyncIterator[Talk]:
    """A conversation with a running bot."""
    running = asyncio.create_task(bot.run())
    yield Talk(bot, session, shelf, clock)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await bot.stop()


FILM = "CM_M000321_1080P"
EPISODE = "CM_S000045_S01E03_720P"
