-- What is wanted of an OBS, and what was last seen there.
CREATE TABLE connections (
    id text PRIMARY KEY,
    tenant text NOT NULL,
    name text NOT NULL,
    host text NOT NULL,
    port int NOT NULL,
    path text NOT NULL,
    tls boolean NOT NULL,
    -- Sealed with the key of the configuration.
    password text,
    enabled boolean NOT NULL,
    wins text NOT NULL CHECK (wins IN ('crosspoint', 'obs')),
    input_kind text NOT NULL,
    fallback_kind text,
    refresh_pages boolean NOT NULL,
    stream text,
    -- As clients were told last.
    connected boolean NOT NULL DEFAULT false,
    obs_version text,
    websocket_version text,
    last_connected timestamptz,
    program_scene text,
    collection text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT connections_name UNIQUE (tenant, name)
);

-- Scene collections in which placements were reconciled at least once: what an unknown one holds is taken over.
CREATE TABLE collections (
    connection text NOT NULL REFERENCES connections ON DELETE CASCADE,
    name text NOT NULL,
    PRIMARY KEY (connection, name)
);

CREATE TABLE placements (
    connection text NOT NULL REFERENCES connections ON DELETE CASCADE,
    collection text NOT NULL,
    scene text NOT NULL,
    scene_uuid text,
    source text NOT NULL REFERENCES sources ON DELETE CASCADE,
    x double precision NOT NULL,
    y double precision NOT NULL,
    width double precision NOT NULL,
    height double precision NOT NULL,
    scale_x double precision NOT NULL,
    scale_y double precision NOT NULL,
    rotation double precision NOT NULL,
    visible boolean NOT NULL,
    item_id bigint NOT NULL,
    -- From the bottom.
    item_index bigint NOT NULL,
    added_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (connection, collection, scene, source)
);
CREATE INDEX placements_source ON placements (source);

-- What a source's input is called in an OBS.
CREATE TABLE inputs (
    connection text NOT NULL REFERENCES connections ON DELETE CASCADE,
    collection text NOT NULL,
    source text NOT NULL REFERENCES sources ON DELETE CASCADE,
    name text NOT NULL,
    uuid text,
    PRIMARY KEY (connection, collection, source)
);

-- Sources that are gone: an OBS that was killed, or away, may come back with their inputs.
CREATE TABLE deleted_sources (
    id text PRIMARY KEY,
    tenant text NOT NULL,
    deleted_at timestamptz NOT NULL
);

-- How an OBS fared while a source was active in it.
CREATE TABLE samples (
    source text NOT NULL,
    connection text NOT NULL,
    time timestamptz NOT NULL,
    cpu double precision NOT NULL,
    memory double precision NOT NULL,
    render_time double precision NOT NULL,
    fps double precision NOT NULL
) PARTITION BY RANGE (time);
CREATE INDEX samples_by_source ON samples (source, time DESC);

-- Every command that somebody gave, or was refused.
CREATE TABLE commands (
    id text NOT NULL,
    time timestamptz NOT NULL,
    tenant text NOT NULL,
    connection text,
    command text NOT NULL,
    actor text NOT NULL,
    credential text NOT NULL,
    address text NOT NULL,
    details jsonb NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('started', 'done', 'failed', 'refused')),
    error text
) PARTITION BY RANGE (time);
CREATE INDEX commands_by_id ON commands (tenant, id DESC);
