"""Why a source, or a whole attempt, failed, and what each reason means for everyone concerned.

`CONSEQUENCES` is the one table: the link, the host it points to, the upload, and the account that tried. The queue acts
by it; docs/queue.md prints it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType

import msgspec


class Reason(enum.StrEnum):
    """Why a source, or a whole attempt, failed."""

    GONE = "gone"  # 404, 410, unknown host
    FORBIDDEN = "forbidden"  # 401, 403, an address that is not allowed
    RATE_LIMITED = "rate_limited"  # 429, 503 with Retry-After
    STALLED = "stalled"  # bytes per second under the floor
    TRUNCATED = "truncated"  # ended before the declared length, or the container breaks off
    NOT_MEDIA = "not_media"  # nothing that can be demuxed
    WRONG_CONTENT = "wrong_content"  # far from the declared quality or runtime
    TOO_LARGE = "too_large"  # over the account's limit
    NETWORK = "network"  # connection refused or reset, 5xx
    TELEGRAM = "telegram"  # Telegram refused the file or the message
    INTERNAL = "internal"  # our own fault

    @property
    def is_passing(self) -> bool:
        """Whether the same link may work at a later time."""
        return CONSEQUENCES[self].link is ForLink.NEXT_ROUND


class ForLink(enum.StrEnum):
    """What becomes of the link."""

    EXHAUSTED = "exhausted"  # not tried again, unless an operator queues the upload anew
    NEXT_ROUND = "next_round"  # tried again after all others, and a pause
    LARGER_ACCOUNT = "larger_account"  # kept for an account that may send files so large


class ForHost(enum.StrEnum):
    """What becomes of the host that the link points to, and with it of all its links."""

    NOTHING = "nothing"
    CLIMBS = "climbs"  # one rung up its ladder: nobody reads from it for a while, `Retry-After` at least


class ForUpload(enum.StrEnum):
    """What becomes of the upload once no other link is left to try."""

    DEAD = "dead"  # unless another link failed for a reason that may pass
    DELAYED = "delayed"  # waits, and is tried again; dead after the last round
    READY = "ready"  # waits in the queue for an account that may send files so large


class ForAccount(enum.StrEnum):
    """What becomes of the account that tried."""

    NOTHING = "nothing"
    CLIMBS = "climbs"  # one rung up its ladder: it claims nothing for a while, others go on


class Consequence(msgspec.Struct, frozen=True):
    """What one reason means."""

    link: ForLink
    host: ForHost
    upload: ForUpload
    account: ForAccount


_LASTING = Consequence(ForLink.EXHAUSTED, ForHost.NOTHING, ForUpload.DEAD, ForAccount.NOTHING)
_HOST_TROUBLE = Consequence(ForLink.NEXT_ROUND, ForHost.CLIMBS, ForUpload.DELAYED, ForAccount.NOTHING)
_OUR_TROUBLE = Consequence(ForLink.NEXT_ROUND, ForHost.NOTHING, ForUpload.DELAYED, ForAccount.CLIMBS)

CONSEQUENCES: Mapping[Reason, Consequence] = MappingProxyType(
    {
        Reason.GONE: _LASTING,
        Reason.FORBIDDEN: _LASTING,
        Reason.RATE_LIMITED: _HOST_TROUBLE,
        Reason.STALLED: _HOST_TROUBLE,
        Reason.TRUNCATED: _LASTING,
        Reason.NOT_MEDIA: _LASTING,
        Reason.WRONG_CONTENT: _LASTING,
        Reason.TOO_LARGE: Consequence(ForLink.LARGER_ACCOUNT, ForHost.NOTHING, ForUpload.READY, ForAccount.NOTHING),
        Reason.NETWORK: _HOST_TROUBLE,
        Reason.TELEGRAM: _OUR_TROUBLE,
        Reason.INTERNAL: _OUR_TROUBLE,
    }
)
