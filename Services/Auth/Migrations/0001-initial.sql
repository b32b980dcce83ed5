CREATE TABLE signing_keys (
    kid text PRIMARY KEY,
    -- The PEM, sealed with AES-GCM under the key that the configuration names; base64.
    sealed_private_key text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_keys (
    id text PRIMARY KEY,
    -- SHA-256 of the whole key, hex; the key itself is shown once and never stored.
    hash text NOT NULL UNIQUE,
    -- The first characters, so that people recognise it.
    prefix text NOT NULL,
    name text NOT NULL,
    tenant text NOT NULL,
    subject text NOT NULL,
    scope text NOT NULL,
    stations text[],
    tier text NOT NULL,
    expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
CREATE INDEX ON api_keys (tenant, created_at);

CREATE TABLE oauth_clients (
    id text PRIMARY KEY,
    secret_hash text NOT NULL,
    name text NOT NULL,
    tenant text NOT NULL,
    scope text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
CREATE INDEX ON oauth_clients (tenant, created_at);

CREATE TABLE access_tokens (
    id text PRIMARY KEY,
    hash text NOT NULL UNIQUE,
    client_id text REFERENCES oauth_clients (id),
    name text NOT NULL,
    tenant text NOT NULL,
    scope text NOT NULL,
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
CREATE INDEX ON access_tokens (expires_at);
