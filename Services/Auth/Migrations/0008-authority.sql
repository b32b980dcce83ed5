-- The session whose end ends a token that was made with one of its tokens. `session_id` is set only for what a session itself issued.
ALTER TABLE access_tokens ADD COLUMN origin text;
CREATE INDEX ON access_tokens (origin);
-- Only what a session itself issues has roles.
UPDATE access_tokens SET origin = session_id, session_id = NULL WHERE session_id IS NOT NULL AND roles IS NULL;
-- Signed tokens name the session as their issuer, which cannot be changed any more: these are revoked.
INSERT INTO revocations (kind, id, forgotten_at)
    SELECT 'token', id, expires_at FROM access_tokens
    WHERE kind = 'jwt' AND origin IS NOT NULL AND revoked_at IS NULL AND expires_at > now();
UPDATE access_tokens SET revoked_at = now() WHERE kind = 'jwt' AND origin IS NOT NULL AND revoked_at IS NULL;

ALTER TABLE sessions
    -- What it was begun with; no refresh exceeds it. NULL roles: begun before this was recorded.
    ADD COLUMN stations text[],
    ADD COLUMN roles text[],
    ADD COLUMN tier text,
    -- The id of the access token that it issued last: the only one that a refresh accepts.
    ADD COLUMN newest_token text,
    -- The one that it replaced, when, and for which device (a hash).
    ADD COLUMN replaced_token text,
    ADD COLUMN replaced_at timestamptz,
    ADD COLUMN replaced_for text,
    -- The answer to that refresh, sealed with AES-GCM, for a retry within half a minute; base64.
    ADD COLUMN successor text;
CREATE INDEX ON sessions (replaced_at) WHERE successor IS NOT NULL;
UPDATE sessions AS s SET newest_token =
    (SELECT t.id FROM access_tokens AS t WHERE t.session_id = s.id ORDER BY t.created_at DESC, t.id DESC LIMIT 1);

-- A machine client ends no later than the credential that made it.
ALTER TABLE oauth_clients ADD COLUMN expires_at timestamptz;
