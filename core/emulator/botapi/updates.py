"""How updates reach the bot: by long polling or by webhook."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from telecine.core.emulator.botapi.errors import bad_request
from telecine.core.emulator.botapi.polling import WEBHOOK_SET
from telecine.core.emulator.botapi.registry import Call, Methods, NoParameters
from telecine.core.emulator.botapi.webhooks import secret_is_allowed

METHODS = Methods()

CONNECTIONS_MAX = 40


class GetUpdates(msgspec.Struct, frozen=True):
    """Parameters of getUpdates."""

    offset: int = 0
    limit: int = 100
    timeout: float = 0
    allowed_updates: tuple[str, ...] | None = None


class SetWebhook(msgspec.Struct, frozen=True):
    """Parameters of setWebhook."""

    url: str = ""
    secret_token: str | None = None
    allowed_updates: tuple[str, ...] | None = None
    drop_pending_updates: bool = False


class DeleteWebhook(msgspec.Struct, frozen=True):
    """Parameters of deleteWebhook."""

    drop_pending_updates: bool = False


@METHODS.method("getUpdates", GetUpdates)
async def get_updates(call: Call, given: GetUpdates) -> object:
    """The next updates; an `offset` confirms those before it. Kinds asked for stay asked for."""
    _remember_kinds(call, given.allowed_updates)
    return await call.polls.updates(call.bot, given.offset, given.limit, given.timeout)


@METHODS.method("setWebhook", SetWebhook)
async def set_webhook(call: Call, given: SetWebhook) -> object:
    """Have updates delivered to an address; an empty one ends that."""
    if given.url:
        _check_address(given.url)
    if given.secret_token and not secret_is_allowed(given.secret_token):
        raise bad_request("secret token contains unallowed characters")
    _remember_kinds(call, given.allowed_updates)
    if given.drop_pending_updates:
        _drop_pending(call)
    if given.url:
        call.polls.end(call.bot, WEBHOOK_SET)
    call.bot.webhook_url = given.url or None
    call.bot.webhook_secret = given.secret_token
    call.world.changed()
    call.webhooks.restart(call.bot)
    return True


@METHODS.method("deleteWebhook", DeleteWebhook)
async def delete_webhook(call: Call, given: DeleteWebhook) -> object:
    """Back to long polling."""
    return await set_webhook(call, SetWebhook(drop_pending_updates=given.drop_pending_updates))


@METHODS.method("getWebhookInfo", NoParameters)
async def get_webhook_info(call: Call, given: NoParameters) -> object:
    """Whether there is a webhook and how it fares."""
    info: dict[str, object] = {
        "url": call.bot.webhook_url or "",
        "has_custom_certificate": False,
        "pending_update_count": len(call.world.feeds.pending(call.bot)),
    }
    if call.bot.webhook_url:
        info |= {"max_connections": CONNECTIONS_MAX, "ip_address": urlsplit(call.bot.webhook_url).hostname}
    if call.bot.allowed_updates:
        info["allowed_updates"] = list(call.bot.allowed_updates)
    if error := call.webhooks.errors.get(call.bot.id):
        info |= {"last_error_date": error.date_s, "last_error_message": error.message}
    return info


def _check_address(url: str) -> None:
    """Telegram takes HTTPS alone; the emulator takes HTTP too, so that a bot under test needs no certificate."""
    try:
        address = urlsplit(url)
    except ValueError:
        raise bad_request("invalid webhook URL specified") from None
    if address.scheme not in {"http", "https"}:
        raise bad_request("bad webhook: An HTTPS URL must be provided for webhook")
    if not address.hostname:
        raise bad_request("invalid webhook URL specified")


def _remember_kinds(call: Call, kinds: tuple[str, ...] | None) -> None:
    """None leaves them as they were; an empty list asks for all."""
    if kinds is not None and kinds != call.bot.allowed_updates:
        call.bot.allowed_updates = kinds or None
        call.world.changed()


def _drop_pending(call: Call) -> None:
    if call.bot.updates:
        call.world.feeds.confirm(call.bot, call.bot.updates[-1].id + 1)
