"""The numbers that the queue acts by. Settings change them; tests shrink them."""

from __future__ import annotations

import msgspec

from telecine.core.backoff import Ladder
from telecine.core.leases import LEASE_TTL_S

ROUNDS_MAX = 4
ROUND_PAUSES_S = (30.0, 300.0, 3600.0, 21600.0)
HOST_PAUSES_S = (5.0, 30.0, 120.0, 600.0, 3600.0)
ACCOUNT_PAUSES_S = (60.0, 300.0, 1800.0, 7200.0)
CHANNEL_MESSAGES_MAX = 100_000  # a tenth of what Telegram allows
CHANNELS_PER_ACCOUNT_MAX = 200  # a plain account may be in 500
SENDS_AHEAD_S_MAX = 600.0  # how long uploaded parts may wait for a message; Telegram drops them some time later


class QueuePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How long a lease lasts, and what follows a failure.

    `rounds`: pauses between rounds over the links of a variant, of which there are `rounds_max`. `hosts`, `accounts`:
    how long a source host, or an account, is left alone as it fails again. `host_leases_max`: how many uploads may read
    from one host at once (None: any number), where no operator has said otherwise.
    """

    lease_ttl_s: float = LEASE_TTL_S
    rounds: Ladder = Ladder(ROUND_PAUSES_S)
    rounds_max: int = ROUNDS_MAX
    hosts: Ladder = Ladder(HOST_PAUSES_S)
    accounts: Ladder = Ladder(ACCOUNT_PAUSES_S)
    host_leases_max: int | None = None
    channel_messages_max: int = CHANNEL_MESSAGES_MAX
    channels_per_account_max: int = CHANNELS_PER_ACCOUNT_MAX
    sends_ahead_s_max: float = SENDS_AHEAD_S_MAX

    def lease_due_at_ms(self, now_ms: int) -> int:
        """When a lease that is given or beaten now runs out."""
        return now_ms + round(self.lease_ttl_s * 1000)

    def claims_from_ms(self, uploads_parked_until_ms: int, sends_parked_until_ms: int) -> int:
        """When an account with these parks may claim again. While messages are parked, parts can be uploaded already;
        for as long as Telegram keeps them."""
        return max(uploads_parked_until_ms, sends_parked_until_ms - round(self.sends_ahead_s_max * 1000))


STANDARD = QueuePolicy()
