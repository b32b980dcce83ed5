CREATE TABLE cameras (
    id text PRIMARY KEY,
    tenant text NOT NULL,
    name text NOT NULL,
    -- May hold credentials: never in events, never in logs.
    source_url text NOT NULL,
    location text,
    enabled boolean NOT NULL,
    settings jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX cameras_tenant ON cameras (tenant, created_at);

-- What a capture backend did; none exists yet, so nothing writes here.
CREATE TABLE camera_streams (
    id text PRIMARY KEY,
    tenant text NOT NULL,
    camera_id text NOT NULL REFERENCES cameras ON DELETE CASCADE,
    status text NOT NULL CHECK (status IN ('starting', 'active', 'stopping', 'stopped', 'error')),
    quality jsonb,
    started_at timestamptz NOT NULL,
    stopped_at timestamptz,
    last_error jsonb
);
CREATE UNIQUE INDEX camera_streams_current ON camera_streams (camera_id) WHERE stopped_at IS NULL;

CREATE TABLE detections (
    id text PRIMARY KEY,
    tenant text NOT NULL,
    camera_id text NOT NULL REFERENCES cameras ON DELETE CASCADE,
    -- Unix seconds, as the analyser said it.
    seen bigint NOT NULL,
    received_at timestamptz NOT NULL,
    -- The event's data as it was published. Text, not jsonb: jsonb does not keep the bytes.
    data text NOT NULL
);
CREATE INDEX detections_camera ON detections (camera_id, seen, id);
CREATE INDEX detections_received ON detections (received_at);
