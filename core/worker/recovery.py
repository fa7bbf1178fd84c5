"""What becomes of messages whose lease ended in the dark: settled where that is still possible, else taken back.

Afterwards a channel holds each part once, whenever the worker or the connection died.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Container, Iterable

import msgspec

from telecine.core.errors import ConflictError, FloodWaitError, InputError, NotFoundError, TelegramError
from telecine.core.protocol import ObjectReport, SettleDone, SettleReleased, SettleRequest
from telecine.core.worker.coordinator import CoordinatorClient
from telecine.core.worker.journal import Closed, Journal, Posting
from telecine.core.worker.machine import trouble_of
from telecine.core.worker.telegram.calls import CHANNEL_LOST, SIGNED_OUT
from telecine.core.worker.telegram.channels import Channels
from telecine.core.worker.telegram.uploads import Uploads

Kept = frozenset[tuple[int, int | None]]  # channel and message ids that the coordinator has written down

logger = logging.getLogger(__name__)


class Resolution(enum.Enum):
    SETTLED = "settled"  # the coordinator knows the messages
    WITHDRAWN = "withdrawn"  # there are none, or none any more


class Recovery:
    """Closes what the journal holds open."""

    def __init__(
        self,
        channels: Channels,
        journal: Journal,
        coordinator: CoordinatorClient,
        uploads: Uploads | None = None,
    ) -> None:
        """`uploads`: what is remembered of files whose messages turn out to be there."""
        self._channels = channels
        self._journal = journal
        self._coordinator = coordinator
        self._uploads = uploads

    async def resolve_all(self, held: Container[str] = (), *, boot_id: str | None = None) -> None:
        """Close everything that is open, oldest first, but for the leases that are `held`: their jobs see to them.

        So it is with variants that are `held`, under another lease by now: a message that carries their code may be
        that job's. What is withdrawn of a lease of `boot_id` is given back: it may hold still, and nobody beats for it.

        Raises FloodWaitError and UnavailableError, and TelegramError for an account that is signed out. What
        Telegram refuses otherwise, or has not posted yet, stays open until the next time, and is in nobody's way.
        """
        for lease in self._journal.open_leases():
            postings = self._journal.postings(lease)
            if lease in held or any(posting.sending.variant in held for posting in postings):
                continue
            try:
                resolution = await self.resolve(lease)
            except FloodWaitError:
                raise
            except TelegramError as error:
                if error.name in SIGNED_OUT:
                    raise
                logger.warning("lease %s cannot be closed yet: %s", lease, error)
            else:
                logger.info("lease %s, left open before: %s", lease, resolution.value)
                if resolution is Resolution.WITHDRAWN and postings[0].sending.boot_id == boot_id:
                    await self._give_back(lease, postings[0].sending.boot_id)

    async def resolve(self, lease: str) -> Resolution:
        """Settle a lease with the messages that are in the channel, or take them out of it.

        Waits for a coordinator that is away. Raises UnavailableError where Telegram does not answer or the journal
        cannot be written, and TelegramError where Telegram has taken a message but not posted it: the lease stays open
        in the journal, as it does when this is cancelled.
        """
        postings = await self._located(lease)
        if _complete(postings) and await self._accepted(lease, postings):
            resolution = Resolution.SETTLED
        else:
            resolution = await self._cleared(postings)
        self._close(lease)
        return resolution

    async def withdraw(self, lease: str) -> None:
        """Take the messages of a lease out of the channel after a refusal, before another source is tried."""
        await self._delete(await self._located(lease, refused=True), keep=frozenset())
        self._close(lease)

    def _close(self, lease: str) -> None:
        try:
            self._journal.append(Closed(lease))
        except OSError as error:
            trouble = trouble_of(error)
            if trouble is None:
                raise
            raise trouble from error

    async def _located(self, lease: str, *, refused: bool = False) -> list[Posting]:
        postings = [await self._locate(posting, refused=refused) for posting in self._journal.postings(lease)]
        for posting in postings:
            self._forget_upload(posting)
        return postings

    def _forget_upload(self, posting: Posting) -> None:
        """The parts of a file are gone once there is a message of it, whatever becomes of that."""
        key = posting.sending.upload
        if self._uploads is not None and key is not None and posting.message_id is not None:
            self._uploads.open(key).discard()

    async def _locate(self, posting: Posting, *, refused: bool) -> Posting:
        """`refused`: Telegram has answered the sending, so that nothing is under way any more."""
        sending, channel_id = posting.sending, posting.sending.object.channel_id
        if posting.message_id is not None:
            return posting
        find = self._channels.find if refused or posting.taken else self._channels.find_settled
        try:
            found = await find(channel_id, sending.code, after=sending.after_message_id)
        except TelegramError as error:
            if error.name not in CHANNEL_LOST:
                raise
            return Posting(sending)  # whatever is in there is out of everybody's reach
        if found is None and posting.taken:
            raise TelegramError(f"Telegram has taken {sending.code} but not posted it yet", name="VIDEO_PROCESSING")
        return Posting(sending, None if found is None else found.message_id)

    async def _accepted(self, lease: str, postings: list[Posting]) -> bool:
        """Whether the coordinator takes these messages now."""
        request = SettleRequest(postings[0].sending.boot_id, settlement(postings))
        try:
            settled = await self._coordinator.settle(lease, request)
        except (ConflictError, NotFoundError, InputError) as refusal:
            logger.info("lease %s is not ours to settle: %s", lease, refusal)
            return False
        return not settled.repeated  # settled before, but who knows as what

    async def _give_back(self, lease: str, boot_id: str) -> None:
        try:
            await self._coordinator.settle(lease, SettleRequest(boot_id, SettleReleased()))
        except (ConflictError, NotFoundError, InputError) as refusal:
            logger.info("lease %s is not ours to give back: %s", lease, refusal)

    async def _cleared(self, postings: list[Posting]) -> Resolution:
        """Leave the messages that the coordinator has written down, delete the others."""
        sent = [posting for posting in postings if posting.message_id is not None]
        if not sent:
            return Resolution.WITHDRAWN
        kept = await self._kept(sent[0].sending.variant)
        await self._delete(sent, keep=kept)
        return Resolution.SETTLED if all(_address(posting) in kept for posting in postings) else Resolution.WITHDRAWN

    async def _kept(self, code: str) -> Kept:
        try:
            variant = await self._coordinator.variant(code)
        except (NotFoundError, InputError):
            return frozenset()
        return frozenset((stored.channel_id, stored.message_id) for stored in variant.objects)

    async def _delete(self, postings: Iterable[Posting], *, keep: Kept) -> None:
        for posting in postings:
            if posting.message_id is not None and _address(posting) not in keep:
                logger.info("taking the orphaned message of %s out of its channel", posting.sending.code)
                await self._deleted(posting.sending.object.channel_id, posting.message_id)

    async def _deleted(self, channel_id: int, message_id: int) -> None:
        try:
            await self._channels.delete(channel_id, message_id)
        except TelegramError as error:
            if error.name not in CHANNEL_LOST:
                raise
            logger.warning("message %d stays where it is: %s", message_id, error)


def settlement(postings: Iterable[Posting]) -> SettleDone:
    """The report of a lease whose messages are all in the channel."""
    postings = tuple(postings)
    return SettleDone(
        objects=tuple(_report(posting) for posting in postings),
        sources=postings[-1].sending.sources,
        plan=postings[-1].sending.plan,
    )


def _report(posting: Posting) -> ObjectReport:
    if posting.message_id is None:
        raise ValueError(f"{posting.sending.code} has not been sent")
    facts = msgspec.structs.asdict(posting.sending.object)
    facts["message_id"] = posting.message_id
    return ObjectReport(**facts)


def _complete(postings: list[Posting]) -> bool:
    return (
        bool(postings)
        and len(postings) == postings[0].sending.object.part_count
        and all(posting.message_id is not None for posting in postings)
    )


def _address(posting: Posting) -> tuple[int, int | None]:
    return posting.sending.object.channel_id, posting.message_id
