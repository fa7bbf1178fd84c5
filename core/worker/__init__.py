"""The worker: takes leases, opens sources, moves their bytes into Telegram, reports back."""
