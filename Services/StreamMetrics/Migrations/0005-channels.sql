-- A channel's settings, and the periods that its sums are of, in its own time zone.
ALTER TABLE channels
    ADD COLUMN timezone text NOT NULL DEFAULT 'UTC',
    -- After how many hours offline going live begins a new session; none: never by itself.
    ADD COLUMN reset_after_hours integer DEFAULT 1,
    -- What its tips are summed in; none: nobody has tipped yet.
    ADD COLUMN currency text,
    -- Since when none of its streams is live; none: it never was.
    ADD COLUMN offline_since timestamptz,
    ADD COLUMN tips_moderated boolean NOT NULL DEFAULT false,
    ADD COLUMN session_began timestamptz,
    ADD COLUMN week_began timestamptz,
    ADD COLUMN month_began timestamptz;
UPDATE channels SET session_began = now(), week_began = date_trunc('week', now(), 'UTC'), month_began = date_trunc('month', now(), 'UTC'),
    offline_since = (SELECT max(ended_at) FROM streams WHERE streams.tenant = channels.tenant);
ALTER TABLE channels
    ALTER COLUMN session_began SET NOT NULL,
    ALTER COLUMN week_began SET NOT NULL,
    ALTER COLUMN month_began SET NOT NULL;

-- What clients say is kept as they say it: as jsonb a number such as 1e308 would be read back with all its digits.
ALTER TABLE activities ALTER COLUMN data TYPE json;

-- The values of a channel's session that something has changed.
CREATE TABLE session_values (
    tenant text NOT NULL,
    key text NOT NULL,
    data json NOT NULL,
    PRIMARY KEY (tenant, key)
);

-- How much each has given in a period.
CREATE TABLE session_contributors (
    tenant text NOT NULL,
    family text NOT NULL,
    span text NOT NULL,
    name text NOT NULL,
    amount numeric NOT NULL,
    PRIMARY KEY (tenant, span, family, name)
);

CREATE TABLE tips (
    id text PRIMARY KEY,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    tenant text NOT NULL,
    username text NOT NULL,
    email text,
    geo text,
    message text NOT NULL,
    amount double precision NOT NULL,
    currency text NOT NULL,
    payment_method text,
    provider text NOT NULL,
    transaction_id text,
    imported boolean NOT NULL,
    approved text NOT NULL CHECK (approved IN ('pending', 'allowed', 'rejected')),
    approved_by text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX tips_by_channel ON tips (tenant, seq DESC);
CREATE INDEX tips_by_name ON tips (tenant, currency, username) WHERE approved = 'allowed';
-- A payment is a tip once, however often its provider tells.
CREATE UNIQUE INDEX tips_by_transaction ON tips (tenant, provider, transaction_id) WHERE transaction_id IS NOT NULL;

CREATE TABLE overlays (
    id text PRIMARY KEY,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    tenant text NOT NULL,
    type text NOT NULL,
    name text NOT NULL,
    settings json NOT NULL,
    preview text NOT NULL,
    widgets json NOT NULL,
    mobile boolean NOT NULL,
    campaign boolean NOT NULL,
    favorite boolean NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX overlays_by_channel ON overlays (tenant, seq DESC);
