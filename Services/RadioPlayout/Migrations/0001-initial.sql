CREATE TABLE stations (
    id text PRIMARY KEY,
    tenant text NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    timezone text NOT NULL,
    active boolean NOT NULL,
    public boolean NOT NULL,
    owner_id text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT stations_name UNIQUE (tenant, name)
);

CREATE TABLE mounts (
    id text PRIMARY KEY,
    tenant text NOT NULL,
    station_id text NOT NULL REFERENCES stations ON DELETE CASCADE,
    name text NOT NULL,
    url text NOT NULL,
    format text NOT NULL,
    bitrate bigint NOT NULL,
    channels bigint NOT NULL,
    sample_rate bigint NOT NULL,
    encoder_preset_id text,
    created_at timestamptz NOT NULL,
    CONSTRAINT mounts_name UNIQUE (station_id, name)
);

-- What was on air, as the playout systems sent it; one entry a station has no end. Text, not jsonb: jsonb refuses \u0000.
CREATE TABLE play_history (
    id text PRIMARY KEY,
    tenant text NOT NULL,
    station_id text NOT NULL REFERENCES stations ON DELETE CASCADE,
    payload text NOT NULL,
    received_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE UNIQUE INDEX play_history_current ON play_history (station_id) WHERE ended_at IS NULL;
CREATE INDEX play_history_received ON play_history (received_at);
