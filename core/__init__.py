"""What Telecine knows and does.

Top-level modules are the domain (`catalogue`, `codes`, `quality`, `leases`, `plans`, `delivery`, `protocol`,
`config`, `errors`, `clock`). Folders are the services, in the order of the flow: `intake`, `coordinator`,
`worker`; `emulator` is the embedded CM and Telegram of the demo, the tests and the benchmarks.
"""
