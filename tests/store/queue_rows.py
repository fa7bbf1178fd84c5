"""What the model is compared with: the rows of the store, each column that it has a word for."""

from __future__ import annotations

TARGETS = """
SELECT v.code, v.state, v.priority, p.name, h.name, v.file_bytes, v.disk_bytes, v.channel_id, v.generation, v.fence,
       v.attempts, v.expiries, v.rounds, v.due_at_ms, w.name, v.request_id, v.finished_at_ms IS NOT NULL
FROM upload_variants v JOIN hosts h ON h.id = v.host_id
LEFT JOIN accounts p ON p.id = v.account_id LEFT JOIN workers w ON w.id = v.worker_id
ORDER BY v.id
"""
LINKS = """
SELECT link_id, variant_id, position, fate, reason, passing, failed_round, file_bytes, replaced_fence
FROM variant_sources ORDER BY link_id
"""
ACCOUNTS_NOW = "SELECT name, rung, uploads_parked_until_ms, sends_parked_until_ms FROM accounts ORDER BY name"
CHANNELS = """
SELECT c.id, a.name, c.telegram_id, c.messages, c.retired_because
FROM channels c JOIN accounts a ON a.id = c.account_id ORDER BY c.id
"""
HISTORY = """
SELECT t.variant_id, t.fence, w.name, t.outcome FROM upload_attempts t JOIN workers w ON w.id = t.worker_id
"""
