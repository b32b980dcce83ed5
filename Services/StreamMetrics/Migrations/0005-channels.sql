-- A channel's settings, and the periods that its sums are of, in its own time zone.
ALTER TABLE channels
    ADD COLUMN timezone text NOT NULL DEFAULT 'UTC',
    -- After how many hours offline going live begins a new session; none: never by itself.
    ADD COLUMN reset_after_hours integer DEFAULT 1,
    -- What its tips are summed in; none: nobody has tipped yet.
    ADD COLUMN currency text,
    ADD COLUMN tips_moderated boolean NOT NULL DEFAULT false,
    ADD COLUMN session_began timestamptz,
    ADD COLUMN week_began timestamptz,
    ADD COLUMN month_began timestamptz;
UPDATE channels SET session_began = now(), week_began = date_trunc('week', now(), 'UTC'), month_began = date_trunc('month', now(), 'UTC');
ALTER TABLE channels
    ALTER COLUMN session_began SET NOT NULL,
    ALTER COLUMN week_began SET NOT NULL,
    ALTER COLUMN month_began SET NOT NULL;

-- The values of a channel's session that are not zero. The event log is kept in the same order: one writer writes both.
CREATE TABLE session_values (
    tenant text NOT NULL,
    key text NOT NULL,
    data jsonb NOT NULL,
    PRIMARY KEY (tenant, key)
);

-- How much each has given in a period.
CREATE TABLE session_contributors (
    tenant text NOT NULL,
    family text NOT NULL,
    span text NOT NULL,
    name text NOT NULL,
    amount numeric NOT NULL,
    PRIMARY KEY (tenant, family, span, name)
);

CREATE TABLE tips (
    id text PRIMARY KEY,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    tenant text NOT NULL,
    username text NOT NULL,
    email text,
    geo text,
    message text NOT NULL,
    amount numeric NOT NULL,
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
    settings jsonb NOT NULL,
    preview text NOT NULL,
    widgets jsonb NOT NULL,
    mobile boolean NOT NULL,
    campaign boolean NOT NULL,
    favorite boolean NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX overlays_by_channel ON overlays (tenant, seq DESC);

-- When a channel was last live.
CREATE INDEX streams_ended ON streams (tenant, ended_at DESC) WHERE ended_at IS NOT NULL;
