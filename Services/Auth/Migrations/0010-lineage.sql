-- The session or API key whose credential made it: what was made with a stolen session's credentials ends with the session.
ALTER TABLE api_keys ADD COLUMN origin text;
CREATE INDEX ON api_keys (origin);
ALTER TABLE oauth_clients ADD COLUMN origin text;
CREATE INDEX ON oauth_clients (origin);
-- Needed for as long as a token that was made with the key can be valid, and no longer.
UPDATE revocations SET forgotten_at = now() + interval '30 days' WHERE kind = 'apikey';
