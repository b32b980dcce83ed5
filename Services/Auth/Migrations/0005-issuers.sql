-- The public keys that other issuers were last seen to publish, for a start without them.
CREATE TABLE trusted_issuer_keys (
    issuer text PRIMARY KEY,
    -- Where they are from: with another address in the configuration they do not count.
    jwks_url text NOT NULL,
    jwks text NOT NULL,
    fetched_at timestamptz NOT NULL DEFAULT now()
);
