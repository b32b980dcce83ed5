-- What does not fit into a token that counts once, until it is spent.
CREATE TABLE kept_tokens (
    id text PRIMARY KEY,
    content text NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX ON kept_tokens (expires_at);
