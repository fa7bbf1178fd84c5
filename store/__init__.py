"""SQLite behind the domain's Protocols: nothing outside this package knows the engine.

`Store.open` is the way in. Operations are plain functions over a `Transaction`; `Writer` commits them in groups,
`Readers` run them on read-only connections. SQL stands in `queries/*.sql` and `migrations/*.sql` alone.
"""

from telecine.store.database import Store

__all__ = ["Store"]
