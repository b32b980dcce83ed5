-- A channel (an organisation, a station group): whose things are whose. Every credential belongs to one.
CREATE TABLE channels (
    id text PRIMARY KEY,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO channels (id, name) VALUES ('default', 'default');
INSERT INTO channels (id, name)
    SELECT DISTINCT tenant, tenant FROM (SELECT tenant FROM api_keys UNION SELECT tenant FROM oauth_clients) AS known
    ON CONFLICT DO NOTHING;

CREATE TABLE users (
    id text PRIMARY KEY,
    -- As it was given; unique without regard to case.
    email text NOT NULL,
    name text NOT NULL,
    -- scrypt, with its parameters and salt; NULL: cannot sign in with a password.
    password_hash text,
    -- May administer auth itself (the scope auth:admin).
    is_owner boolean NOT NULL DEFAULT false,
    -- Counts how often everything that they held was revoked: who was let in before that is not let in further.
    generation bigint NOT NULL DEFAULT 0,
    disabled_at timestamptz,
    last_login_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX ON users (lower(email));

-- What a user is in a channel, or at one station of it.
CREATE TABLE memberships (
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    tenant text NOT NULL REFERENCES channels (id),
    -- Empty: everywhere in the channel.
    station text NOT NULL DEFAULT '',
    role text NOT NULL,
    PRIMARY KEY (user_id, tenant, station)
);
CREATE INDEX ON memberships (tenant);

-- A sign-in or an authorization: the family that refresh tokens belong to.
CREATE TABLE sessions (
    id text PRIMARY KEY,
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id text REFERENCES oauth_clients (id),
    tenant text NOT NULL,
    -- The one station that the sign-in asked for.
    station text,
    scope text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- No refresh after this.
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX ON sessions (user_id);
CREATE INDEX ON sessions (client_id);
CREATE INDEX ON sessions (expires_at);

CREATE TABLE refresh_tokens (
    hash text PRIMARY KEY,
    session_id text NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Set when it was exchanged; shown again after that, it ends its session.
    used_at timestamptz
);
CREATE INDEX ON refresh_tokens (session_id);

ALTER TABLE oauth_clients ALTER COLUMN secret_hash DROP NOT NULL;
ALTER TABLE oauth_clients
    ADD COLUMN redirect_uris text[] NOT NULL DEFAULT '{}',
    ADD COLUMN grants text[] NOT NULL DEFAULT '{client_credentials}',
    -- opaque or jwt
    ADD COLUMN token_format text NOT NULL DEFAULT 'opaque',
    -- The subject of whoever made it, and the client that it was made with.
    ADD COLUMN created_by text,
    ADD COLUMN client_id text;

CREATE TABLE authorization_codes (
    hash text PRIMARY KEY,
    client_id text NOT NULL REFERENCES oauth_clients (id),
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    redirect_uri text NOT NULL,
    -- PKCE, S256 (RFC 7636 §4.2).
    challenge text NOT NULL,
    tenant text NOT NULL,
    -- The one station that it is for.
    station text,
    scope text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    -- What it was exchanged for: ended when the code is shown again.
    session_id text REFERENCES sessions (id) ON DELETE SET NULL
);
CREATE INDEX ON authorization_codes (expires_at);

-- A browser that signed in at the login page.
CREATE TABLE browser_sessions (
    hash text PRIMARY KEY,
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX ON browser_sessions (expires_at);

-- Every access token that was issued, opaque or signed; a signed one has no hash, since nobody asks for it.
ALTER TABLE access_tokens ALTER COLUMN hash DROP NOT NULL;
ALTER TABLE access_tokens
    ADD COLUMN kind text NOT NULL DEFAULT 'oauth2',
    ADD COLUMN subject text,
    ADD COLUMN session_id text,
    ADD COLUMN tier text NOT NULL DEFAULT 'free',
    ADD COLUMN roles text[];
UPDATE access_tokens SET subject = coalesce(client_id, id);
ALTER TABLE access_tokens ALTER COLUMN subject SET NOT NULL;
CREATE INDEX ON access_tokens (subject);
CREATE INDEX ON access_tokens (session_id);
-- How many of a client have not ended.
CREATE INDEX ON access_tokens (client_id, subject, expires_at);

ALTER TABLE api_keys
    -- Addresses and networks that it may be used from, in CIDR form; NULL: all.
    ADD COLUMN allowed_ips text[],
    ADD COLUMN last_used_at timestamptz,
    -- The key that took its place, and until when both count.
    ADD COLUMN replaced_by text,
    -- The OAuth2 client that made it: revoked with it.
    ADD COLUMN client_id text;

-- Old keys stay in the key set until the last token that they signed has ended.
ALTER TABLE signing_keys
    ADD COLUMN active_from timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN tokens_until timestamptz NOT NULL DEFAULT now() + interval '31 days';

CREATE TABLE tickets (
    hash text PRIMARY KEY,
    -- Whom it is for, as the bus says it.
    principal text NOT NULL,
    expires_at timestamptz NOT NULL,
    redeemed_at timestamptz
);
CREATE INDEX ON tickets (expires_at);

-- Ids of tokens that count once and were shown.
CREATE TABLE spent_tokens (
    id text PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX ON spent_tokens (expires_at);

-- What processes must refuse, for those who were away when it was published. The one writer gives the numbers in order.
CREATE TABLE revocations (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    id text NOT NULL,
    concerns_until timestamptz,
    forgotten_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON revocations (forgotten_at);
CREATE INDEX ON revocations (id);
