-- The API's bearer tokens.

-- name: insert_token
INSERT INTO tokens (jti, subject, scope, issued_at_ms, expires_at_ms, revoked_at_ms)
VALUES (:jti, :subject, :scope, :issued_at_ms, :expires_at_ms, :revoked_at_ms)
ON CONFLICT (jti) DO NOTHING;

-- name: revoke_token
UPDATE tokens SET revoked_at_ms = coalesce(revoked_at_ms, :now_ms) WHERE jti = :jti
RETURNING jti, subject, scope, issued_at_ms, expires_at_ms, revoked_at_ms;

-- name: revoked_tokens
SELECT jti FROM tokens WHERE revoked_at_ms IS NOT NULL AND expires_at_ms > :now_ms;

-- name: tokens_all
SELECT jti, subject, scope, issued_at_ms, expires_at_ms, revoked_at_ms
FROM tokens ORDER BY issued_at_ms DESC, jti;
